#include "ecocore/parallel.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using ecocore::num_threads;
using ecocore::parallel_for;

namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

std::int64_t sum_to(std::int64_t n, int threads) {
  std::atomic<std::int64_t> sum{0};
  parallel_for(0, n, 7, threads, [&](std::int64_t b, std::int64_t e, int) {
    std::int64_t part = 0;
    for (std::int64_t i = b; i < e; ++i) part += i;
    sum += part;
  });
  return sum;
}

bool sums_right(int threads) {
  return sum_to(10000, threads) == 49995000;
}

// Runs f in a forked child; whether it returned true there.
template <class F>
bool in_child(F f) {
  const pid_t child = fork();
  if (child == 0) {
    bool ok = false;
    try {
      ok = f();
    } catch (...) {
    }
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(parallel_every_index_once) {
  for (int threads : {1, 2, 3, 8})
    for (std::int64_t size : {1, 2, 7, 64, 1000})
      for (std::int64_t grain : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, std::int64_t{3}, std::int64_t{64},
                                 std::int64_t{5000}, kHuge})
        for (std::int64_t begin : {std::int64_t{0}, std::int64_t{-5}, kHuge - 1000}) {
          std::vector<std::atomic<int>> seen(static_cast<std::size_t>(size));
          parallel_for(begin, begin + size, grain, threads, [&](std::int64_t b, std::int64_t e, int) {
            CHECK(b < e);
            for (std::int64_t i = b; i < e; ++i) ++seen[static_cast<std::size_t>(i - begin)];
          });
          for (auto& n : seen) CHECK(n == 1);
        }
}

TEST(parallel_empty_ranges_call_nothing) {
  for (std::int64_t end : {0, -1}) parallel_for(0, end, 1, 4, [](std::int64_t, std::int64_t, int) { CHECK(false); });
}

TEST(parallel_chunks_do_not_depend_on_threads) {
  const auto chunks = [](int threads) {
    std::mutex mutex;
    std::set<std::pair<std::int64_t, std::int64_t>> out;
    parallel_for(3, 1003, 17, threads, [&](std::int64_t b, std::int64_t e, int) {
      std::lock_guard lock(mutex);
      out.emplace(b, e);
    });
    return out;
  };
  CHECK(chunks(1) == chunks(5));
  CHECK(chunks(1).size() == 59);
}

TEST(parallel_slots_are_in_range_and_never_shared) {
  for (int threads : {1, 2, 6}) {
    std::vector<std::atomic<int>> busy(static_cast<std::size_t>(threads));
    std::atomic<bool> shared{false};
    parallel_for(0, 3000, 1, threads, [&](std::int64_t, std::int64_t, int slot) {
      CHECK(0 <= slot && slot < threads);
      if (busy[static_cast<std::size_t>(slot)]++ != 0) shared = true;
      std::this_thread::yield();
      --busy[static_cast<std::size_t>(slot)];
    });
    CHECK(!shared);
  }
}

TEST(parallel_uses_more_than_one_thread) {
  std::mutex mutex;
  std::set<std::thread::id> who;
  // Each chunk waits until somebody else has come too, or a second has passed.
  parallel_for(0, 2, 1, 2, [&](std::int64_t, std::int64_t, int) {
    for (int i = 0; i < 1000; ++i) {
      {
        std::lock_guard lock(mutex);
        who.insert(std::this_thread::get_id());
        if (who.size() == 2) return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  CHECK(who.size() == 2);
}

TEST(parallel_rethrows_the_exception_and_stops) {
  for (int threads : {1, 4})
    for (std::int64_t bad : {0, 1, 500, 9999}) {
      std::atomic<int> calls{0};
      CHECK_THROWS(ecocore::InvalidArgument, "row " + std::to_string(bad),
                   parallel_for(0, 10000, 1, threads, [&](std::int64_t b, std::int64_t, int) {
                     ++calls;
                     if (b >= bad) throw ecocore::InvalidArgument("row " + std::to_string(bad));
                   }));
      CHECK(calls <= bad + 2 * threads);
      CHECK(sums_right(threads));  // the pool is whole
    }
}

TEST(parallel_survives_exceptions_from_every_thread) {
  for (int round = 0; round < 200; ++round)
    CHECK_THROWS(std::runtime_error, "all",
                 parallel_for(0, 8, 1, 4, [](std::int64_t, std::int64_t, int) { throw std::runtime_error("all"); }));
}

TEST(parallel_poll_runs_on_the_caller_and_may_stop_the_loop) {
  const auto caller = std::this_thread::get_id();
  for (int threads : {1, 3}) {
    int polls = 0;
    const auto chunk = [&](std::int64_t, std::int64_t, int) {
      if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    const auto poll = [&] {
      CHECK(std::this_thread::get_id() == caller);
      if (++polls == 3) throw std::runtime_error("ctrl-c");
    };
    CHECK_THROWS(std::runtime_error, "ctrl-c", parallel_for(0, 5000, 1, threads, chunk, poll));
    CHECK(polls == 3);
  }
}

TEST(parallel_nested_calls_run_inline) {
  std::vector<std::int64_t> sums(64, 0);
  parallel_for(0, 64, 1, 4, [&](std::int64_t b, std::int64_t, int) {
    const auto outer = std::this_thread::get_id();
    parallel_for(0, 100, 9, 4, [&](std::int64_t first, std::int64_t last, int slot) {
      CHECK(std::this_thread::get_id() == outer);
      CHECK(slot == 0);
      for (std::int64_t i = first; i < last; ++i) sums[static_cast<std::size_t>(b)] += i;
    });
  });
  for (std::int64_t s : sums) CHECK(s == 4950);
  CHECK(sums_right(4));
}

TEST(parallel_takes_many_callers_at_once) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 8; ++c)
    callers.emplace_back([&, c] {
      for (int round = 0; round < 200; ++round)
        if (!sums_right(1 + (c + round) % 5)) ++wrong;
    });
  for (auto& t : callers) t.join();
  CHECK(wrong == 0);
}

TEST(parallel_thread_count_may_change_meanwhile) {
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (int i = 0; !stop; ++i) ecocore::set_num_threads(i % 9);
  });
  for (int round = 0; round < 500; ++round) CHECK(sums_right(0));
  stop = true;
  changer.join();
  ecocore::set_num_threads(0);
}

TEST(parallel_forked_child_has_its_own_pool) {
  if (kThreadSanitizer) throw check::Skip("ThreadSanitizer does not follow threads into a forked child");
  CHECK(sums_right(4));
  for (int round = 0; round < 20; ++round) CHECK(in_child([] { return sums_right(4) && sums_right(6); }));
  CHECK(in_child([] { return in_child([] { return sums_right(4); }); }));
  CHECK(sums_right(4));
}

TEST(parallel_forked_while_other_threads_work) {
  if (kThreadSanitizer) throw check::Skip("ThreadSanitizer does not follow threads into a forked child");
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i)
    workers.emplace_back([&] {
      while (!stop) sums_right(3);
    });
  bool ok = true;
  for (int round = 0; round < 20; ++round) ok = in_child([] { return sums_right(4); }) && ok;
  stop = true;
  for (auto& t : workers) t.join();
  CHECK(ok);
}

TEST(parallel_does_without_threads_that_the_system_refuses) {
  if (kThreadSanitizer || kAddressSanitizer) throw check::Skip("sanitizers need address space of their own");
  CHECK(in_child([] {
    const rlimit none{0, 0};
    return setrlimit(RLIMIT_AS, &none) == 0 && sums_right(64) && sums_right(64);  // no room for another stack
  }));
}

TEST(num_threads_checks_its_range) {
  CHECK(num_threads(3) == 3);
  CHECK(num_threads(0) >= 1);
  for (int bad : {-1, 1025}) {
    CHECK_THROWS(ecocore::InvalidArgument, "expected 0 (automatic) to 1024", num_threads(bad));
    CHECK_THROWS(ecocore::InvalidArgument, "expected 0 (automatic) to 1024", ecocore::set_num_threads(bad));
  }
  ecocore::set_num_threads(5);
  CHECK(num_threads(0) == 5);
  ecocore::set_num_threads(0);
}
