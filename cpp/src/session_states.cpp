#include "ecocore/session_states.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <utility>

#include "ecocore/error.hpp"
#include "event_queue.hpp"
#include "lazy_array.hpp"
#include "user_table.hpp"

namespace ecocore {
namespace {

constexpr std::int64_t kFar = 16, kNear = 8;    // how many users ahead memory is asked for, where that takes two steps
constexpr std::int64_t kKeptScratch = 1 << 16;  // events; the memory of a larger batch is given back
constexpr std::int64_t kNoState = -1;           // the count of a user whose first events are being advanced
constexpr double kOneTime = 0.02;               // seconds; where users expire, later events see another clock
constexpr double kUnknownTime = std::numeric_limits<double>::quiet_NaN();

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

void check_row(std::int32_t row, std::int32_t rows, const char* what) {
  if (row < 0 || (rows > 0 && row >= rows))
    throw InvalidArgument(std::string(what) + ": expected rows from 0" +
                          (rows > 0 ? " to " + std::to_string(rows - 1) : "") + "; got " + std::to_string(row));
}

// What the leader works on. Kept from batch to batch for its memory.
struct Batch {
  std::vector<SessionEvent> several;  // the events of several calls, one after the other
  std::span<const SessionEvent> events;
  double now = 0;
  std::vector<std::uint32_t> hash;                // of each event's user
  std::vector<std::int32_t> user;                 // of each event: its row
  std::vector<std::int32_t> slots;                // of each user, who are distinct
  std::vector<UserKey> keys;                      // of each user who is not held
  std::vector<std::int32_t> strangers;            // places of rows by hash, -1 = none: those who are not held
  std::vector<std::int64_t> indptr, next, order;  // events of each user, in order of arrival
  std::vector<std::vector<std::int32_t>> ids;     // per input
  std::vector<double> times, last_time;           // per event; per user, before the batch and then after
  std::vector<const float*> old_h, old_c;
  std::int64_t late = 0;
  bool placed = false;  // every user has a slot

  std::int64_t users() const { return static_cast<std::int64_t>(slots.size()); }
};

}  // namespace

struct SessionStates::Impl {
  const SessionShape shape;
  const SessionOptions options;
  const Advance advance;

  // What is known of users. Changed by the leader, with `data` held; read by the leader, and by others with `data`
  // held.
  mutable std::mutex data;
  UserTable users;
  LazyArray<float> states;  // h, then c, of each slot
  LazyArray<float> query;
  LazyArray<std::int32_t> items, types;  // rings of the last events; the next one goes to count % history
  LazyArray<double> times;
  SessionCounters counters;

  Batch batch;  // the leader's
  mutable EventQueue queue;

  Impl(SessionShape s, SessionOptions o, Advance a)
      : shape(std::move(s)),
        options(o),
        advance(std::move(a)),
        users(o.capacity),
        states(o.capacity, shape.state * (shape.has_cell ? 2 : 1)),
        query(o.capacity, shape.query),
        items(o.capacity, o.history),
        types(o.capacity, shape.has_types ? o.history : 0),
        times(o.capacity, o.history),
        queue(std::min(o.max_batch, o.capacity), o.max_delay,
              o.ttl > 0 ? kOneTime : std::numeric_limits<double>::infinity(),
              [this](auto entries) { apply(entries); }) {}

  float* h_of(std::int32_t slot) { return states.row(slot); }
  const float* h_of(std::int32_t slot) const { return states.row(slot); }
  float* c_of(std::int32_t slot) { return states.row(slot) + shape.state; }
  const float* c_of(std::int32_t slot) const { return states.row(slot) + shape.state; }

  // Runs f while no events are being advanced.
  template <class F>
  void alone(F f) {
    EventQueue::Call call;
    call.alone = std::move(f);
    queue.run(call);
  }

  // Waits for all that was posted.
  void drain() const {
    EventQueue::Call call;
    queue.run(call);
  }

  void check(const SessionEvent& e) const {
    check_key(e.user);
    check_row(e.item, shape.items, "items");
    if (shape.has_types) check_row(e.type, shape.types, "event_types");
  }

  bool is_expired(std::int32_t slot, double now) const {
    return options.ttl > 0 && now - users[slot].last_used > options.ttl;
  }

  // ---- events ----

  void apply(std::span<const EventQueue::Entry* const> entries) {
    Batch& b = batch;
    collect(entries, b);
    if (b.events.empty()) return;
    group(b);
    if (b.users() > options.capacity)
      throw InvalidArgument("users: expected at most capacity = " + std::to_string(options.capacity) +
                            " different users in one call; got " + std::to_string(b.users()));
    prepare(b);
    Events e{b.users(), b.indptr.data(), {}};
    for (const auto& ids : b.ids) e.ids.push_back(ids.data());
    advance(e, {b.old_h.data(), shape.has_cell ? b.old_c.data() : nullptr},
            [this, &b](std::span<const std::int64_t> rows, const float* h, const float* c, const float* q) {
              store(b, rows, h, c, q);
            });
    count(b);
    if (static_cast<std::int64_t>(b.events.size()) > kKeptScratch) b = Batch{};
  }

  static void collect(std::span<const EventQueue::Entry* const> entries, Batch& b) {
    b.now = entries[0]->now;
    if (entries.size() == 1 && entries[0]->call) {
      b.events = entries[0]->call->events;
      return;
    }
    b.several.clear();
    for (const EventQueue::Entry* e : entries) {
      b.now = std::max(b.now, e->now);
      if (e->call) {
        b.several.insert(b.several.end(), e->call->events.begin(), e->call->events.end());
      } else {
        b.several.push_back(e->event);
        b.several.back().user = e->key;
      }
    }
    b.events = b.several;
  }

  // The events by user, and where the users' slots lie. Whether two events are of one user is told by their slot; only
  // users that are not held are compared by name.
  void group(Batch& b) {
    const auto n = static_cast<std::int64_t>(b.events.size());
    const auto ask = [&](std::int64_t i) {
      if (i < n) users.prefetch(b.hash[at(i)] = hash_of(b.events[at(i)].user));
    };
    b.hash.resize(at(n));
    b.user.resize(at(n));
    b.slots.clear();
    b.keys.clear();
    b.strangers.clear();
    for (std::int64_t i = 0; i < kFar; ++i) ask(i);
    for (std::int64_t i = 0; i < n; ++i) {
      ask(i + kFar);
      if (i + kNear < n) users.prefetch_slot(b.hash[at(i + kNear)]);
      const std::int32_t slot = users.find(b.events[at(i)].user, b.hash[at(i)]);
      const auto fresh = static_cast<std::int32_t>(b.slots.size());
      std::int32_t row = fresh;
      if (slot < 0) {
        row = row_of_stranger(b, i);
      } else if (const std::int32_t r = users[slot].row; r < fresh && b.slots[at(r)] == slot) {
        row = r;
      } else {
        users[slot].row = fresh;
      }
      if (row == fresh) b.slots.push_back(slot);
      b.user[at(i)] = row;
    }
    b.indptr.assign(b.slots.size() + 1, 0);
    for (std::int32_t u : b.user) ++b.indptr[at(u + 1)];
    for (std::size_t u = 0; u < b.slots.size(); ++u) b.indptr[u + 1] += b.indptr[u];
    b.next.assign(b.indptr.begin(), b.indptr.end() - 1);
    b.order.resize(at(n));
    for (std::int64_t i = 0; i < n; ++i) b.order[at(b.next[at(b.user[at(i)])]++)] = i;
  }

  // The row of event i's user, who is not held: the next one if it is the user's first event. Rows lie in an open table
  // by the hash of the user, at most half full, with the events where they are named.
  std::int32_t row_of_stranger(Batch& b, std::int64_t i) const {
    const SessionEvent& e = b.events[at(i)];
    if (b.strangers.empty()) b.strangers.assign(std::bit_ceil(2 * b.events.size()), -1);
    std::size_t place = b.hash[at(i)] & (b.strangers.size() - 1);
    for (; b.strangers[place] >= 0; place = (place + 1) & (b.strangers.size() - 1)) {
      const std::int64_t first = b.strangers[place];
      if (b.hash[at(first)] == b.hash[at(i)] && b.events[at(first)].user == e.user) return b.user[at(first)];
    }
    b.strangers[place] = static_cast<std::int32_t>(i);
    b.keys.emplace_back(e.user, b.hash[at(i)]);
    return static_cast<std::int32_t>(b.slots.size());
  }

  // The inputs of the network, its old states, and what becomes of the users' clocks: a time before the user's latest
  // counts as a gap of zero and does not set the clock back.
  void prepare(Batch& b) const {
    const auto n = static_cast<std::int64_t>(b.events.size());
    b.ids.resize(1u + (shape.has_types ? 1u : 0u) + (shape.has_gaps ? 1u : 0u));
    for (auto& ids : b.ids) ids.resize(at(n));
    b.times.resize(at(n));
    b.last_time.resize(at(b.users()));
    b.old_h.resize(at(b.users()));
    b.old_c.resize(shape.has_cell ? at(b.users()) : 0);
    b.late = 0;
    b.placed = false;
    for (std::int64_t u = 0; u < b.users(); ++u) {
      const std::int32_t slot = b.slots[at(u)];
      const bool held = slot >= 0 && !is_expired(slot, b.now);
      b.old_h[at(u)] = held ? h_of(slot) : nullptr;
      if (shape.has_cell) b.old_c[at(u)] = held ? c_of(slot) : nullptr;
      double& last = b.last_time[at(u)] = held ? users[slot].last_time : kUnknownTime;
      for (std::int64_t p = b.indptr[at(u)]; p < b.indptr[at(u + 1)]; ++p) {
        const SessionEvent& e = b.events[at(b.order[at(p)])];
        b.ids[0][at(p)] = e.item;
        if (shape.has_types) b.ids[1][at(p)] = e.type;
        b.times[at(p)] = e.time;
        std::int32_t bucket = 0;
        if (!std::isnan(e.time)) {
          if (!std::isnan(last)) {
            const double gap = std::max(0.0, e.time - last);
            const auto& edges = shape.gap_edges;
            bucket = 1 + static_cast<std::int32_t>(std::upper_bound(edges.begin(), edges.end(), gap) - edges.begin());
            if (e.time < last) ++b.late;
          }
          last = std::isnan(last) ? e.time : std::max(last, e.time);
        }
        if (shape.has_gaps) b.ids.back()[at(p)] = bucket;
      }
    }
  }

  // Rows that are done, while others are still being advanced. Nothing fails from here on: the memory is there, and so
  // are the keys of new users.
  void store(Batch& b, std::span<const std::int64_t> rows, const float* h, const float* c, const float* q) {
    std::lock_guard lock(data);
    if (!b.placed) place_users(b);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i + kNear < rows.size()) prefetch_ring(b.slots[at(rows[i + kNear])]);
      const std::int64_t u = rows[i];
      const std::int32_t slot = b.slots[at(u)];
      std::copy_n(h + at(shape.state) * i, shape.state, h_of(slot));
      if (shape.has_cell) std::copy_n(c + at(shape.state) * i, shape.state, c_of(slot));
      if (shape.query) std::copy_n(q + at(shape.query) * i, shape.query, query.row(slot));
      UserSlot& user = users[slot];
      user.last_time = b.last_time[at(u)];
      user.count = std::max<std::int64_t>(user.count, 0);
      for (std::int64_t p = b.indptr[at(u)]; p < b.indptr[at(u + 1)]; ++p)
        remember(slot, b.ids[0][at(p)], shape.has_types ? b.ids[1][at(p)] : 0, b.times[at(p)]);
    }
  }

  // Gives every user of the batch a slot and the latest place in the list of use.
  void place_users(Batch& b) {
    // Who is held comes to the end of the list before anybody makes room: nobody's history is dropped for another of
    // the same batch while the state goes on.
    if (options.ttl > 0 || users.size() + static_cast<std::int64_t>(b.keys.size()) > users.capacity()) {
      for (const std::int32_t slot : b.slots)
        if (slot >= 0) touch_held(slot, b.now);
      expire(b.now);
    }
    auto key = b.keys.begin();
    for (std::int64_t u = 0; u < b.users(); ++u) {
      if (u + kNear < b.users()) prefetch_neighbours(b.slots[at(u + kNear)]);
      std::int32_t& slot = b.slots[at(u)];
      if (slot >= 0)
        users.touch(slot);
      else
        slot = add(std::move(*key++));
      users[slot].last_used = b.now;
    }
    // Who comes more than once counts from the last time.
    if (b.users() < static_cast<std::int64_t>(b.events.size()))
      for (std::size_t i = 0; i < b.events.size(); ++i) {
        const std::int32_t u = b.user[i];
        if (b.order[at(b.indptr[at(u + 1)] - 1)] == static_cast<std::int64_t>(i)) users.touch(b.slots[at(u)]);
      }
    b.placed = true;
  }

  void count(const Batch& b) {
    std::lock_guard lock(data);
    const auto n = static_cast<std::int64_t>(b.events.size());
    counters.events += n;
    counters.largest_batch = std::max(counters.largest_batch, n);
    counters.late += b.late;
    counters.unknown += std::count(b.ids[0].begin(), b.ids[0].end(), 0);
    ++counters.batches;
  }

  void touch_held(std::int32_t slot, double now) {
    UserSlot& user = users[slot];
    if (is_expired(slot, now)) {  // begins anew, as the network was told
      user.count = kNoState;
      user.kept = 0;
      ++counters.expired;
    }
    user.last_used = now;
    users.touch(slot);
  }

  void expire(double now) {
    while (users.oldest() >= 0 && is_expired(users.oldest(), now)) {
      users.remove(users.oldest());
      ++counters.expired;
    }
  }

  std::int32_t add(UserKey key) {
    if (users.size() == users.capacity()) {
      users.remove(users.oldest());
      ++counters.evicted;
    }
    const std::int32_t slot = users.add(std::move(key));
    users[slot].count = kNoState;
    return slot;
  }

  void prefetch_neighbours(std::int32_t slot) const {
    if (slot < 0) return;
    const UserSlot& user = users[slot];
    if (user.older >= 0) __builtin_prefetch(&users[user.older], 1);
    if (user.newer >= 0) __builtin_prefetch(&users[user.newer], 1);
  }

  // Where the next event of a user will be kept.
  void prefetch_ring(std::int32_t slot) const {
    if (options.history == 0) return;
    const std::int64_t place = std::max<std::int64_t>(users[slot].count, 0) % options.history;
    __builtin_prefetch(items.row(slot) + place, 1);
    __builtin_prefetch(times.row(slot) + place, 1);
    if (shape.has_types) __builtin_prefetch(types.row(slot) + place, 1);
  }

  void remember(std::int32_t slot, std::int32_t item, std::int32_t type, double time) {
    UserSlot& user = users[slot];
    if (options.history > 0) {
      const std::int64_t place = user.count % options.history;
      items.row(slot)[place] = item;
      if (shape.has_types) types.row(slot)[place] = type;
      times.row(slot)[place] = time;
      user.kept = static_cast<std::int32_t>(std::min<std::int64_t>(user.kept + 1, options.history));
    }
    ++user.count;
  }

  // What is held of a user, with `data` held.
  bool copy(std::string_view user, std::uint32_t hash, double now, float* h, float* c, float* q, std::int64_t* count,
            double* last_time) const {
    const std::int32_t slot = users.find(user, hash);
    if (slot < 0 || users[slot].count == kNoState || is_expired(slot, now)) return false;
    if (h) std::copy_n(h_of(slot), shape.state, h);
    if (c) std::copy_n(c_of(slot), shape.has_cell ? shape.state : 0, c);
    if (q) std::copy_n(query.row(slot), shape.query, q);
    if (count) *count = users[slot].count;
    if (last_time) *last_time = users[slot].last_time;
    return true;
  }

  // Forgotten is gone, not only unlinked.
  void erase(std::int32_t slot) {
    std::fill_n(states.row(slot), shape.state * (shape.has_cell ? 2 : 1), 0.0f);
    std::fill_n(query.row(slot), shape.query, 0.0f);
    std::fill_n(items.row(slot), options.history, 0);
    if (shape.has_types) std::fill_n(types.row(slot), options.history, 0);
    std::fill_n(times.row(slot), options.history, 0.0);
    users.remove(slot);
  }
};

SessionStates::SessionStates(SessionShape shape, SessionOptions options, Advance advance) {
  require(options.capacity >= 1 && options.capacity < std::numeric_limits<std::int32_t>::max(),
          "capacity: expected 1 to 2147483646 users; got " + std::to_string(options.capacity));
  require(options.history < std::numeric_limits<std::int32_t>::max(),
          "history: expected at most 2147483646 events; got " + std::to_string(options.history));
  require(options.max_batch >= 1 && options.history >= 0 && options.ttl >= 0 && options.max_delay >= 0,
          "max_batch, history, ttl, max_delay: expected numbers that are not negative, max_batch at least 1");
  require(std::is_sorted(shape.gap_edges.begin(), shape.gap_edges.end()), "gap_edges: expected rising seconds");
  impl_ = std::make_unique<Impl>(std::move(shape), options, std::move(advance));
}

SessionStates::~SessionStates() = default;

void SessionStates::append(std::span<const SessionEvent> events, double now) {
  if (events.empty()) return;
  require(events.size() <= at(std::numeric_limits<std::int32_t>::max()),
          "users: expected at most 2147483647 events in one call; got " + std::to_string(events.size()));
  for (const SessionEvent& e : events) impl_->check(e);
  EventQueue::Call call;
  call.events = events;
  call.now = now;
  impl_->queue.run(call);
}

bool SessionStates::post(const SessionEvent& event, double now) {
  if (!impl_->options.posts) return false;
  impl_->check(event);
  return impl_->queue.post(event, now);
}

bool SessionStates::try_append(const SessionEvent& event, double now) {
  impl_->check(event);
  EventQueue::Call call;
  call.events = {&event, 1};
  call.now = now;
  return impl_->queue.try_run(call, impl_->options.try_most);
}

bool SessionStates::read(std::string_view user, double now, float* h, float* c, float* query, std::int64_t* count,
                         double* last_time) const {
  const std::uint32_t hash = hash_of(user);
  if (impl_->queue.awaits(hash)) impl_->drain();
  std::lock_guard lock(impl_->data);
  return impl_->copy(user, hash, now, h, c, query, count, last_time);
}

std::optional<bool> SessionStates::try_read(std::string_view user, double now, float* h, float* c, float* query,
                                            std::int64_t* count, double* last_time) const {
  const std::uint32_t hash = hash_of(user);
  if (EventQueue::Call call; impl_->queue.awaits(hash) && !impl_->queue.try_run(call, impl_->options.try_most))
    return {};
  std::unique_lock lock(impl_->data, std::try_to_lock);
  if (!lock) return {};
  return impl_->copy(user, hash, now, h, c, query, count, last_time);
}

std::int64_t SessionStates::forget(const std::vector<std::string>& users) {
  std::int64_t held = 0;
  impl_->alone([&] {
    std::lock_guard lock(impl_->data);
    for (const std::string& user : users) {
      const std::int32_t slot = impl_->users.find(user, hash_of(user));
      if (slot < 0) continue;
      impl_->erase(slot);
      ++held;
    }
    impl_->counters.forgotten += held;
  });
  return held;
}

SessionDump SessionStates::dump(double now) {
  SessionDump d;
  impl_->alone([&] {
    Impl& m = *impl_;
    std::lock_guard lock(m.data);
    m.expire(now);
    d.indptr.push_back(0);
    for (std::int32_t s = m.users.oldest(); s >= 0; s = m.users.newer(s)) {
      const UserSlot& user = m.users[s];
      d.users.emplace_back(user.key.text());
      d.h.insert(d.h.end(), m.h_of(s), m.h_of(s) + m.shape.state);
      if (m.shape.has_cell) d.c.insert(d.c.end(), m.c_of(s), m.c_of(s) + m.shape.state);
      d.query.insert(d.query.end(), m.query.row(s), m.query.row(s) + m.shape.query);
      d.last_time.push_back(user.last_time);
      d.last_used.push_back(user.last_used);
      d.count.push_back(user.count);
      for (std::int64_t i = user.count - user.kept; i < user.count; ++i) {
        const std::int64_t place = i % m.options.history;
        d.items.push_back(m.items.row(s)[place]);
        d.types.push_back(m.shape.has_types ? m.types.row(s)[place] : 0);
        d.times.push_back(m.times.row(s)[place]);
      }
      d.indptr.push_back(static_cast<std::int64_t>(d.items.size()));
    }
  });
  return d;
}

void SessionStates::replace(const SessionDump& d) {
  const SessionShape& shape = impl_->shape;
  const auto users = static_cast<std::int64_t>(d.users.size());
  const auto has = [&](const auto& v, std::int64_t n) { return static_cast<std::int64_t>(v.size()) == n; };
  require(users <= impl_->options.capacity,
          "restore: expected at most capacity = " + std::to_string(impl_->options.capacity) + " users; got " +
              std::to_string(users) + "; make the store larger");
  bool ok = has(d.h, users * shape.state) && has(d.c, shape.has_cell ? users * shape.state : 0) &&
            has(d.query, users * shape.query) && has(d.last_time, users) && has(d.last_used, users) &&
            has(d.count, users) && has(d.indptr, users + 1) && d.indptr[0] == 0 && has(d.items, d.indptr.back()) &&
            has(d.types, d.indptr.back()) && has(d.times, d.indptr.back());
  for (std::int64_t u = 0; ok && u < users; ++u)
    ok = d.indptr[at(u + 1)] >= d.indptr[at(u)] && d.count[at(u)] >= d.indptr[at(u + 1)] - d.indptr[at(u)];
  for (float v : d.h) ok = ok && std::isfinite(v);
  for (float v : d.c) ok = ok && std::isfinite(v);
  require(ok,
          "restore: expected finite states and histories that fit the store and the model; the snapshot is damaged or "
          "of another model");
  std::vector<UserKey> keys;
  for (const std::string& user : d.users) check_key(user), keys.emplace_back(user, hash_of(user));
  impl_->alone([&] {
    Impl& m = *impl_;
    std::lock_guard lock(m.data);
    while (m.users.oldest() >= 0) m.users.remove(m.users.oldest());
    for (std::int64_t u = 0; u < users; ++u) {
      std::int32_t slot = m.users.find(keys[at(u)].text(), keys[at(u)].hash());
      if (slot < 0)
        slot = m.users.add(std::move(keys[at(u)]));
      else
        m.users.touch(slot);
      std::copy_n(d.h.data() + u * shape.state, shape.state, m.h_of(slot));
      if (shape.has_cell) std::copy_n(d.c.data() + u * shape.state, shape.state, m.c_of(slot));
      std::copy_n(d.query.data() + u * shape.query, shape.query, m.query.row(slot));
      UserSlot& user = m.users[slot];
      const std::int64_t begin = d.indptr[at(u)], end = d.indptr[at(u + 1)];
      const std::int64_t kept = std::min(end - begin, m.options.history);
      user.last_time = d.last_time[at(u)];
      user.last_used = d.last_used[at(u)];
      user.count = d.count[at(u)] - kept;
      user.kept = 0;
      for (std::int64_t p = end - kept; p < end; ++p) m.remember(slot, d.items[at(p)], d.types[at(p)], d.times[at(p)]);
    }
  });
}

SessionCounters SessionStates::counters() const {
  if (impl_->queue.awaits_any()) impl_->drain();
  std::lock_guard lock(impl_->data);
  SessionCounters out = impl_->counters;
  out.users = impl_->users.size();
  return out;
}

const SessionShape& SessionStates::shape() const {
  return impl_->shape;
}

const SessionOptions& SessionStates::options() const {
  return impl_->options;
}

}  // namespace ecocore
