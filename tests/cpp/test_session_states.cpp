// The states of users, with a network so simple that a state tells its whole history: exact whole numbers in floats.
#include "ecocore/session_states.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

namespace {

// Every element is a number below 2^17, so that each step is exact in float.
float step(float h, std::int32_t item) {
  return static_cast<float>((static_cast<std::int64_t>(h) * 31 + item + 1) % 131071);
}

void advance(const Events& e, const StateRows& from, const RowsDone& done) {
  for (std::int64_t i = 0; i < e.rows; ++i) {
    float h[3] = {}, c[3], query[2];
    if (from.h[i]) std::copy_n(from.h[i], 3, h);
    for (std::int64_t p = e.indptr[i]; p < e.indptr[i + 1]; ++p)
      for (int k = 0; k < 3; ++k) h[k] = step(h[k], e.ids[0][p] + k);
    for (int k = 0; k < 3; ++k) c[k] = -h[k];
    for (int k = 0; k < 2; ++k) query[k] = 2 * h[k];
    done({&i, 1}, h, c, query);
  }
}

SessionShape shape() {
  SessionShape s;
  s.state = 3;
  s.has_cell = true;
  s.query = 2;
  s.has_types = true;
  return s;
}

SessionOptions options(std::int64_t capacity, std::int64_t max_batch = 64) {
  SessionOptions o;
  o.capacity = capacity;
  o.history = 4;
  o.max_batch = max_batch;
  return o;
}

SessionEvent event(std::string_view user, std::int32_t item) {
  return {user, item, item % 7, static_cast<double>(item)};
}

void append(SessionStates& store, const SessionEvent& e, double now) {
  store.append({&e, 1}, now);
}

// As the bindings do it: the event is left to whoever is at work, else this thread advances it.
void add(SessionStates& store, const SessionEvent& e) {
  if (!store.post(e, 0) && !store.try_append(e, 0)) append(store, e, 0);
}

struct Held {
  float h[3], c[3], query[2];
  std::int64_t count = 0;
  double last_time = 0;
};

// Events are numbered 1, 2, ... for each user, so that the last `count` of `appended` are known. Whether what is held
// is what they make.
bool is_history(const Held& s, std::int64_t appended) {
  if (s.count < 1 || s.count > appended || s.last_time != static_cast<double>(appended)) return false;
  for (int k = 0; k < 3; ++k) {
    float h = 0;
    for (std::int64_t item = appended - s.count + 1; item <= appended; ++item)
      h = step(h, static_cast<std::int32_t>(item) + k);
    if (s.h[k] != h || s.c[k] != -h || (k < 2 && s.query[k] != 2 * h)) return false;
  }
  return true;
}

bool read(const SessionStates& store, const std::string& user, Held& s, double now = 0) {
  if (const auto found = store.try_read(user, now, s.h, s.c, s.query, &s.count, &s.last_time)) return *found;
  return store.read(user, now, s.h, s.c, s.query, &s.count, &s.last_time);
}

// Whether each user's kept events are the last ones of those that made the state.
bool histories_fit(const SessionDump& d, std::int64_t history) {
  for (std::size_t u = 0; u < d.users.size(); ++u) {
    const std::int64_t begin = d.indptr[u], end = d.indptr[u + 1];
    if (end - begin != std::min(d.count[u], history) || end == begin) return false;
    Held s;
    std::copy_n(d.h.begin() + static_cast<std::ptrdiff_t>(3 * u), 3, s.h);
    std::copy_n(d.c.begin() + static_cast<std::ptrdiff_t>(3 * u), 3, s.c);
    std::copy_n(d.query.begin() + static_cast<std::ptrdiff_t>(2 * u), 2, s.query);
    s.count = d.count[u];
    s.last_time = d.last_time[u];
    const std::int32_t last = d.items[static_cast<std::size_t>(end - 1)];
    if (!is_history(s, last)) return false;
    for (std::int64_t p = begin; p < end; ++p) {
      const auto at = static_cast<std::size_t>(p);
      if (d.items[at] != last - static_cast<std::int32_t>(end - 1 - p) || d.types[at] != d.items[at] % 7 ||
          d.times[at] != static_cast<double>(d.items[at]))
        return false;
    }
  }
  return true;
}

// Allocations by operator new of at least so many bytes.
std::atomic<std::size_t> counted_size{SIZE_MAX};
std::atomic<int> counted{0};

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  if (size >= counted_size.load(std::memory_order_relaxed)) counted.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size ? size : 1);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

void many_threads_keep_every_users_own_history(bool posts) {
  constexpr int kThreads = 8, kUsers = 30, kRounds = 400;
  SessionOptions o = options(20);  // fewer than the users of one thread
  o.posts = posts;
  o.try_most = posts ? 3 : 0;
  SessionStates store(shape(), o, advance);
  std::atomic<int> wrong{0}, held{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::vector<std::string> users;
      for (int u = 0; u < kUsers; ++u)
        users.push_back("a user of thread " + std::to_string(t) + ", number " + std::to_string(u));
      std::vector<std::int64_t> appended(kUsers, 0);
      std::uint32_t random = 1u + static_cast<std::uint32_t>(t);
      for (int round = 0; round < kRounds; ++round) {
        random = random * 1664525u + 1013904223u;
        const int u = static_cast<int>(random >> 16) % kUsers, many = static_cast<int>(random >> 24) % 4;
        std::vector<SessionEvent> events;
        for (int i = 0; i <= many; ++i) {
          const int who = (u + (i == 2 ? 7 : 0)) % kUsers;
          events.push_back(event(users[static_cast<std::size_t>(who)],
                                 static_cast<std::int32_t>(++appended[static_cast<std::size_t>(who)])));
        }
        if (posts && round % 3)
          for (const SessionEvent& e : events) add(store, e);
        else
          store.append(events, 0);
        Held s;
        for (int who = 0; who < kUsers; ++who) {
          if (!read(store, users[static_cast<std::size_t>(who)], s)) continue;
          ++held;
          if (!is_history(s, appended[static_cast<std::size_t>(who)])) ++wrong;
        }
        if (round % 16 == 15) {
          store.forget({users[static_cast<std::size_t>(u)]});
          if (read(store, users[static_cast<std::size_t>(u)], s)) ++wrong;
        }
        if (round % 64 == 63 && !histories_fit(store.dump(0), 4)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  const SessionCounters c = store.counters();
  CHECK(wrong == 0);
  CHECK(held > kRounds);
  CHECK(c.evicted > kRounds);
  CHECK(c.forgotten > 0);
  CHECK(c.users <= 20);
  CHECK(histories_fit(store.dump(0), 4));
}

TEST(session_states_many_threads_keep_every_users_own_history) {
  many_threads_keep_every_users_own_history(false);
}

TEST(session_states_many_threads_leave_events_to_each_other) {
  many_threads_keep_every_users_own_history(true);
}

TEST(session_states_an_event_that_was_left_is_done_before_its_user_is_read) {
  std::atomic<bool> at_work{false}, go_on{false}, no_memory{false};
  SessionOptions o = options(8);
  o.posts = true;
  o.try_most = 4;
  SessionStates store(shape(), o, [&](const Events& e, const StateRows& from, const RowsDone& done) {
    if (no_memory) throw std::bad_alloc();
    at_work = true;
    while (!go_on) std::this_thread::yield();
    advance(e, from, done);
  });
  CHECK(!store.post(event("left", 1), 0));  // nobody else is there
  const auto leave_one = [&](std::int32_t item) {
    at_work = go_on = false;
    std::thread leader([&] { append(store, event("leader", item), 0); });
    while (!at_work) std::this_thread::yield();
    CHECK(store.post(event("left", item), 0));
    go_on = true;
    leader.join();
  };
  leave_one(1);
  Held s;
  CHECK(read(store, "leader", s) && is_history(s, 1));
  CHECK(read(store, "left", s) && is_history(s, 1));
  leave_one(2);
  CHECK(store.counters().events == 4);
  CHECK(read(store, "left", s) && is_history(s, 2));
  leave_one(3);
  CHECK(histories_fit(store.dump(0), 4));
  CHECK(store.dump(0).users == (std::vector<std::string>{"leader", "left"}));

  // Where memory fails it, the calls that would have done it fail, and it is done later.
  leave_one(4);
  no_memory = true;
  CHECK_THROWS(std::bad_alloc, "", append(store, event("third", 1), 0));
  CHECK_THROWS(std::bad_alloc, "", read(store, "left", s));
  CHECK(read(store, "leader", s) && is_history(s, 4));
  no_memory = false;
  CHECK(read(store, "left", s) && is_history(s, 4));
  CHECK(!read(store, "third", s));
  leave_one(5);
  CHECK(store.forget({"left"}) == 1);
  CHECK(!read(store, "left", s));

  // What would have to wait for another is not done "now".
  at_work = go_on = false;
  std::thread busy([&] { append(store, event("leader", 6), 0); });
  while (!at_work) std::this_thread::yield();
  CHECK(!store.try_append(event("other", 1), 0));
  CHECK(store.try_read("leader", 0, s.h, s.c, s.query, &s.count, &s.last_time) == true);
  CHECK(is_history(s, 5));
  CHECK(store.post(event("left", 1), 0));
  CHECK(!store.try_read("left", 0, s.h, s.c, s.query, &s.count, &s.last_time).has_value());
  go_on = true;
  busy.join();
  CHECK(store.try_read("left", 0, s.h, s.c, s.query, &s.count, &s.last_time) == true);
  CHECK(is_history(s, 1));
  CHECK(store.try_append(event("left", 2), 0));
  CHECK(store.forget({"left"}) == 1);

  // The queue is no larger than a batch.
  at_work = go_on = false;
  std::thread leader([&] { append(store, event("leader", 7), 0); });
  while (!at_work) std::this_thread::yield();
  for (std::int32_t i = 1; i <= 8; ++i) CHECK(store.post(event("left", i), 0));
  CHECK(!store.post(event("left", 9), 0));
  go_on = true;
  leader.join();
  CHECK(read(store, "left", s) && is_history(s, 8));
}

TEST(session_states_a_posted_event_keeps_its_own_clock) {
  SessionOptions o = options(8);
  o.posts = true;
  o.ttl = 10;
  SessionStates store(shape(), o, advance);
  append(store, event("user", 1), 0);
  CHECK(!store.post(event("first", 1), 5));
  std::thread([&] { CHECK(store.post(event("other", 1), 5)); }).join();
  CHECK(store.post(event("user", 2), 5));
  append(store, event("late", 1), 14);  // 14 seconds after the user's first event, 9 after the second
  Held s;
  CHECK(read(store, "user", s, 14) && s.count == 2 && is_history(s, 2));
  CHECK(!read(store, "user", s, 16));
  CHECK(store.counters().expired == 0);
  CHECK(store.dump(15.5).users == std::vector<std::string>{"late"});  // nothing is written of those who are gone
  CHECK(store.counters().expired == 2);
}

TEST(session_states_who_comes_twice_in_a_batch_counts_from_the_last_time) {
  SessionStates store(shape(), options(3), advance);
  const std::vector<SessionEvent> batch{event("a", 1), event("b", 1), event("c", 1), event("a", 2)};
  for (int twice = 0; twice < 2; ++twice) {  // as strangers, and as users who are held
    store.append(batch, 0);
    CHECK(store.dump(0).users == (std::vector<std::string>{"b", "c", "a"}));
  }
}

TEST(session_states_who_waits_for_others_is_woken_by_them) {
  SessionOptions o = options(8);
  o.posts = true;
  o.try_most = 4;
  o.max_delay = 60;
  SessionStates store(shape(), o, advance);
  const std::vector<SessionEvent> two{event("a", 1), event("b", 1)};
  store.append(two, 0);  // the next batch waits for two
  std::thread leader([&] { append(store, event("a", 2), 0); });
  std::thread poster([&] {
    while (!store.post(event("b", 2), 0)) std::this_thread::yield();
  });
  poster.join();
  leader.join();
  Held s;
  CHECK(read(store, "b", s) && is_history(s, 2));
  store.append(two, 0);
  CHECK(store.try_append(event("c", 1), 0));  // waits for nobody
  CHECK(read(store, "c", s));
}

TEST(session_states_rows_that_the_network_does_not_have_are_refused) {
  SessionShape bounded = shape();
  bounded.items = 5;
  bounded.types = 3;
  SessionOptions o = options(8);
  o.posts = true;
  SessionStates store(bounded, o, advance);
  CHECK_THROWS(InvalidArgument, "items: expected rows from 0 to 4; got 5", append(store, {"u", 5, 0, 0}, 0));
  CHECK_THROWS(InvalidArgument, "items: expected rows from 0 to 4; got -1", store.post({"u", -1, 0, 0}, 0));
  CHECK_THROWS(InvalidArgument, "event_types: expected rows from 0 to 2; got 3", append(store, {"u", 4, 3, 0}, 0));
  CHECK_THROWS(InvalidArgument, "user: expected a key of 1 to", store.post({"", 1, 1, 0}, 0));
  CHECK(store.counters().users == 0);
}

TEST(session_states_large_batches_of_many_threads) {
  constexpr int kThreads = 4, kUsers = 500;
  SessionStates store(shape(), options(700, 4096), advance);
  std::atomic<int> wrong{0}, held{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::vector<std::string> users;
      for (int u = 0; u < kUsers; ++u) users.push_back(std::to_string(t) + ":" + std::to_string(u));
      std::vector<std::int32_t> appended(kUsers, 0);
      for (std::size_t round = 0; round < 12; ++round) {
        std::vector<SessionEvent> events;
        for (std::size_t i = 0; i < 400; ++i) {
          const std::size_t u = (i * 7 + round * 61) % kUsers;
          events.push_back(event(users[u], ++appended[u]));
        }
        store.append(events, 0);
        for (std::size_t u = 0; u < kUsers; ++u) {
          Held s;
          if (!read(store, users[u], s)) continue;
          ++held;
          if (!is_history(s, appended[u])) ++wrong;
        }
        if (round % 4 == 3) store.forget({users.begin(), users.begin() + 50});
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(held > 0);
  CHECK(store.counters().evicted > 0);
  CHECK(histories_fit(store.dump(0), 4));
}

TEST(session_states_a_batch_as_large_as_the_capacity) {
  for (const int capacity : {1, 4, 700}) {
    SessionStates store(shape(), options(capacity, 4096), advance);
    std::vector<std::string> users;
    for (int u = 0; u < 2 * capacity; ++u) users.push_back(std::to_string(u));
    std::vector<std::int64_t> appended(users.size(), 0);
    // Strangers before and between those who are held: none of the batch makes room for another of it.
    for (int round = 0; round < 6; ++round) {
      std::vector<SessionEvent> events;
      std::vector<std::size_t> batch;
      for (int i = 0; i < capacity; ++i)
        batch.push_back(static_cast<std::size_t>((round * (capacity / 2 + 1) + (capacity - 1 - i)) % (2 * capacity)));
      std::vector<Held> before(batch.size());
      for (std::size_t i = 0; i < batch.size(); ++i)
        if (!read(store, users[batch[i]], before[i])) before[i].count = 0;
      for (int twice = 0; twice < 2; ++twice)
        for (const std::size_t u : batch) events.push_back(event(users[u], static_cast<std::int32_t>(++appended[u])));
      store.append(events, 0);
      CHECK(store.counters().users == capacity);
      const SessionDump d = store.dump(0);
      CHECK(histories_fit(d, 4));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        Held s;
        CHECK(read(store, users[batch[i]], s));
        CHECK(s.count == before[i].count + 2);  // who was held goes on
        CHECK(is_history(s, appended[batch[i]]));
        CHECK(d.users[i] == users[batch[i]]);  // from the one touched longest ago
      }
    }
    std::vector<SessionEvent> too_many;
    for (int u = 0; u <= capacity; ++u) too_many.push_back(event(users[static_cast<std::size_t>(u)], 1));
    const SessionDump before = store.dump(0);
    CHECK_THROWS(InvalidArgument, "at most capacity", store.append(too_many, 0));
    const SessionDump after = store.dump(0);
    CHECK(before.users == after.users && before.h == after.h && before.items == after.items);
  }
}

TEST(session_states_who_expired_begins_anew_whatever_the_clock_does) {
  SessionOptions o = options(8);
  o.ttl = 10;
  SessionStates store(shape(), o, advance);
  append(store, event("later", 1), 100);  // the clock is then set back
  append(store, event("user", 1), 80);
  append(store, event("user", 2), 95);
  Held s;
  CHECK(!read(store, "user", s, 106));
  append(store, event("user", 1), 106);
  CHECK(read(store, "user", s, 106));
  CHECK(is_history(s, 1));
  CHECK(s.count == 1);
  CHECK(histories_fit(store.dump(0), 4));
}

TEST(session_states_new_users_take_no_memory_in_large_steps) {
  constexpr int kCapacity = 50'000, kBatch = 50;
  SessionStates store(shape(), options(kCapacity), advance);
  counted = 0;
  counted_size = 8 * kCapacity / 64;  // far above what a batch needs, far below a map of all users
  for (int first = 0; first < kCapacity + 20 * kBatch; first += kBatch) {
    std::vector<std::string> users;
    for (int u = first; u < first + kBatch; ++u) users.push_back(std::to_string(u));
    std::vector<SessionEvent> events;
    for (const std::string& user : users) events.push_back(event(user, 1));
    store.append(events, 0);
  }
  counted_size = SIZE_MAX;
  CHECK(store.counters().users == kCapacity);
  CHECK(counted == 0);
}
