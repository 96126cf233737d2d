#include "ecocore/parallel.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "ecocore/cpu_quota.hpp"
#include "ecocore/error.hpp"

namespace ecocore {
namespace {

constexpr int kMaxThreads = 1024;
std::atomic<int> configured{0};
thread_local bool inside_loop = false;

int usable_cpus() {
  cpu_set_t set;
  const int cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                                : static_cast<int>(std::thread::hardware_concurrency());
  const int quota = cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
  return std::clamp(quota > 0 ? std::min(cpus, quota) : cpus, 1, kMaxThreads);
}

// A thread count from the environment, 0 when unset. OMP_NUM_THREADS may hold a list ("4,2"); its head counts.
int env_count(const char* name, bool strict) {
  const char* text = std::getenv(name);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  const bool ok = end != text && n >= 1 && n <= kMaxThreads && (*end == '\0' || (!strict && *end == ','));
  if (ok) return static_cast<int>(n);
  if (strict)
    throw InvalidArgument(std::string(name) + ": expected a whole number from 1 to " + std::to_string(kMaxThreads) +
                          "; got '" + text + "'");
  return 0;
}

// What holds when nobody has set a number. Read once: getenv() while another thread changes the environment is a race.
int automatic_count() {
  static std::atomic<int> known{0};
  if (const int n = known.load(std::memory_order_relaxed)) return n;
  int n = env_count("ECOCORE_NUM_THREADS", true);
  if (n == 0) n = env_count("OMP_NUM_THREADS", false);
  if (n == 0) n = usable_cpus();
  known.store(n, std::memory_order_relaxed);
  return n;
}

// One loop, shared by the threads that work on it.
struct Job {
  const std::int64_t begin, end, grain, chunks;
  const std::function<void(std::int64_t, std::int64_t, int)>& f;
  std::atomic<std::int64_t> next{0};  // chunk
  std::atomic<bool> stop{false};
  std::mutex error_mutex;
  std::exception_ptr error;

  // Requires begin < end and 1 <= grain <= end - begin.
  Job(std::int64_t b, std::int64_t e, std::int64_t g, const std::function<void(std::int64_t, std::int64_t, int)>& fn)
      : begin(b), end(e), grain(g), chunks((e - b - 1) / g + 1), f(fn) {}

  void fail(std::exception_ptr e) {
    std::lock_guard lock(error_mutex);
    if (!error) error = e;
    stop.store(true, std::memory_order_relaxed);
  }

  void work(int slot, const Poll* poll) {
    const bool outer = inside_loop;
    inside_loop = true;
    try {
      while (!stop.load(std::memory_order_relaxed)) {
        const std::int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= chunks) break;
        const std::int64_t b = begin + chunk * grain;
        f(b, chunk + 1 == chunks ? end : b + grain, slot);
        if (poll && *poll) (*poll)();
      }
    } catch (...) {
      fail(std::current_exception());
    }
    inside_loop = outer;
  }
};

class Pool {
 public:
  const pid_t pid = getpid();
  std::mutex owner;  // held by the caller whose loop is running

  // Runs `job` on the calling thread and up to `helpers` workers; returns when all have left it. A worker that wakes
  // too late to find a chunk is not waited for.
  void run(Job& job, int helpers, const Poll* poll) {
    {
      std::lock_guard lock(mutex_);
      start(helpers);
      job_ = &job;
      wanted_ = helpers;
      ++generation_;
    }
    wake_.notify_all();
    job.work(0, poll);
    std::unique_lock lock(mutex_);
    job_ = nullptr;
    done_.wait(lock, [&] { return working_ == 0; });
  }

 private:
  // Where the system refuses another thread (a limit on processes, say), the loop runs on those there are: the result
  // is the same.
  void start(int helpers) {
    try {
      for (; started_ < helpers; ++started_) std::thread(&Pool::worker, this, started_ + 1, generation_).detach();
    } catch (const std::system_error&) {
    }
  }

  void worker(int slot, std::uint64_t seen) {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (!job_ || slot > wanted_) continue;
      Job& job = *job_;
      ++working_;
      lock.unlock();
      job.work(slot, nullptr);
      lock.lock();
      if (--working_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;  // null when there is nothing left to join
  int started_ = 0, wanted_ = 0, working_ = 0;
  std::uint64_t generation_ = 0;
};

// fork() copies memory but not threads, and may copy a locked mutex: a child leaves its parent's pool alone, for good,
// and makes its own. For the same reason pools are never destroyed.
Pool& pool() {
  static std::atomic<Pool*> current{nullptr};
  Pool* p = current.load(std::memory_order_acquire);
  while (!p || p->pid != getpid()) {
    Pool* fresh = new Pool;
    if (current.compare_exchange_strong(p, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
  }
  return *p;
}

}  // namespace

int num_threads(int requested) {
  if (requested < 0 || requested > kMaxThreads)
    throw InvalidArgument("num_threads: expected 0 (automatic) to " + std::to_string(kMaxThreads) + "; got " +
                          std::to_string(requested));
  if (requested > 0) return requested;
  if (const int n = configured.load(std::memory_order_relaxed)) return n;
  return automatic_count();
}

void set_num_threads(int n) {
  num_threads(n);  // checks the range
  configured.store(n, std::memory_order_relaxed);
}

void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, int threads,
                  const std::function<void(std::int64_t, std::int64_t, int)>& f, const Poll& poll) {
  if (begin >= end) return;
  Job job(begin, end, std::clamp<std::int64_t>(grain, 1, end - begin), f);
  const int helpers = static_cast<int>(std::min<std::int64_t>(num_threads(threads), job.chunks)) - 1;
  bool done = false;
  if (helpers > 0 && !inside_loop) {
    Pool& p = pool();
    if (std::unique_lock owner(p.owner, std::try_to_lock); owner.owns_lock()) {
      p.run(job, helpers, &poll);
      done = true;
    }
  }
  if (!done) job.work(0, &poll);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace ecocore
