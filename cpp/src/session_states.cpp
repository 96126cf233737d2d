#include "ecocore/session_states.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>

#include "ecocore/error.hpp"
#include "ecocore/parallel.hpp"

namespace ecocore {
namespace {

constexpr std::int64_t kManyUsers = 256;  // fewer are looked up and copied sooner than another thread wakes
constexpr std::int64_t kAhead = 8;        // users whose states are asked for before they are copied
constexpr double kUnknownTime = std::numeric_limits<double>::quiet_NaN();

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

int threads_for(std::int64_t users) {
  return users < kManyUsers ? 1 : 0;
}

// Zeroed memory that the system hands out page by page as it is touched.
template <class T>
class LazyArray {
 public:
  LazyArray() = default;
  LazyArray(std::int64_t rows, std::int64_t columns) : columns_(columns) {
    if (rows * columns == 0) return;
    data_.reset(static_cast<T*>(std::calloc(at(rows * columns), sizeof(T))));
    if (!data_) throw std::bad_alloc();
  }
  T* row(std::int64_t i) { return data_.get() + i * columns_; }
  const T* row(std::int64_t i) const { return data_.get() + i * columns_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  std::int64_t columns_ = 0;
};

struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
};

using KeyMap = std::unordered_map<std::string, std::int32_t, KeyHash, std::equal_to<>>;

// Where a caller sleeps. Waiters are kept for reuse and never freed, so that a late wake-up finds valid memory.
struct Waiter {
  std::atomic<int> state{0};

  static Waiter& of_this_thread() {
    struct Held {
      Waiter* waiter = take();
      ~Held() { give(waiter); }
    };
    thread_local Held held;
    return *held.waiter;
  }

 private:
  struct Spare {
    std::mutex mutex;
    std::vector<Waiter*> list;
  };
  static Spare& spare() {
    static Spare* s = new Spare;
    return *s;
  }
  static Waiter* take() {
    std::lock_guard lock(spare().mutex);
    if (spare().list.empty()) return new Waiter;
    Waiter* w = spare().list.back();
    spare().list.pop_back();
    return w;
  }
  static void give(Waiter* w) {
    std::lock_guard lock(spare().mutex);
    spare().list.push_back(w);
  }
};

// What is known of a slot's user beside states and events, together, since an event touches most of it.
struct Slot {
  double last_time, last_used;
  std::int64_t count;         // of events
  std::int32_t older, newer;  // list of use: from `oldest` to `newest`
  std::int32_t kept;          // how many events the rings hold
  std::int32_t row;           // of the user in the batch that was last grouped, if that row's slot is this one
};

enum : int { kWaiting, kLeading, kDone };

struct Request {
  const std::vector<SessionEvent>* events = nullptr;  // null: this caller wants the store to itself
  double now = 0;
  std::exception_ptr error;
  Waiter* waiter = nullptr;
};

}  // namespace

struct SessionStates::Impl {
  const SessionShape shape;
  const SessionOptions options;
  const Advance advance;

  // ---- what is known of users; guarded by `data` ----
  mutable std::mutex data;
  KeyMap slots;
  LazyArray<const std::string*> key_of;  // keys of slots, where the map keeps them
  std::int32_t used = 0;                 // slots that were ever taken are those before it
  std::vector<std::int32_t> free_slots;
  LazyArray<float> h, c, query;
  LazyArray<Slot> info;
  std::int32_t oldest = -1, newest = -1;
  LazyArray<std::int32_t> items, types;  // rings of the last events; the next one goes to count % history
  LazyArray<double> times;
  SessionCounters counters;

  // ---- whose turn it is; guarded by `turn` ----
  std::mutex turn;
  std::condition_variable arrived;
  std::deque<Request*> queue;
  bool leading = false, gathering = false;
  std::int64_t last_batch = 1, queued_events = 0;

  Impl(SessionShape s, SessionOptions o, Advance a)
      : shape(std::move(s)),
        options(o),
        advance(std::move(a)),
        key_of(o.capacity, 1),
        h(o.capacity, shape.state),
        c(o.capacity, shape.has_cell ? shape.state : 0),
        query(o.capacity, shape.query),
        info(o.capacity, 1),
        items(o.capacity, o.history),
        types(o.capacity, shape.has_types ? o.history : 0),
        times(o.capacity, o.history) {
    slots.reserve(at(std::min<std::int64_t>(o.capacity, 4 << 20)));  // growing later would stall a call
  }

  // ---- the turn: requests lead in the order they came ----

  // Returns true when the caller must lead, false when another has done its work.
  bool enter(Request& r) {
    r.waiter = &Waiter::of_this_thread();
    r.waiter->state.store(kWaiting, std::memory_order_relaxed);
    {
      std::lock_guard lock(turn);
      queue.push_back(&r);
      queued_events += size(r);
      if (!leading) {
        leading = true;
        return true;
      }
      if (gathering) arrived.notify_one();
    }
    int state;
    while ((state = r.waiter->state.load(std::memory_order_acquire)) == kWaiting)
      r.waiter->state.wait(kWaiting, std::memory_order_acquire);
    return state == kLeading;
  }

  static std::int64_t size(const Request& r) { return r.events ? static_cast<std::int64_t>(r.events->size()) : 0; }

  // The leader's batch: itself, at the front of the queue, and those behind it that fit.
  std::vector<Request*> take() {
    std::unique_lock lock(turn);
    const std::int64_t room = std::min(options.max_batch, options.capacity);
    if (options.max_delay > 0 && last_batch > 1 && queue.front()->events) {
      gathering = true;
      arrived.wait_for(lock, std::chrono::duration<double>(options.max_delay),
                       [&] { return queued_events >= std::min(last_batch, room); });
      gathering = false;
    }
    std::vector<Request*> batch;
    std::int64_t events = 0;
    while (!queue.empty()) {
      Request* r = queue.front();
      if (!batch.empty() && (!r->events || !batch[0]->events || events + size(*r) > room)) break;
      events += size(*r);
      queued_events -= size(*r);
      batch.push_back(r);
      queue.pop_front();
    }
    if (batch[0]->events) last_batch = events;
    return batch;
  }

  void leave(const std::vector<Request*>& batch) {
    Request* next = nullptr;
    {
      std::lock_guard lock(turn);
      if (queue.empty())
        leading = false;
      else
        next = queue.front();
    }
    if (next) wake(*next, kLeading);
    for (std::size_t i = 1; i < batch.size(); ++i) wake(*batch[i], kDone);
  }

  static void wake(const Request& r, int state) {
    Waiter* w = r.waiter;  // r may be gone once the state is set
    w->state.store(state, std::memory_order_release);
    w->state.notify_one();
  }

  // Runs f while no events are being advanced.
  template <class F>
  void alone(const F& f) {
    Request r;
    enter(r);  // always leads: only requests with events are done by others
    const std::vector<Request*> batch = take();
    try {
      f();
    } catch (...) {
      leave(batch);
      throw;
    }
    leave(batch);
  }

  // ---- events ----

  struct Batch {
    std::vector<std::string_view> users;         // distinct
    std::vector<std::int32_t> slots;             // of each user, -1 = not held
    std::vector<std::int64_t> indptr, order;     // events of each user, in order of arrival
    std::vector<std::vector<std::int32_t>> ids;  // per input
    std::vector<double> times, last_time;        // per event; per user, before the batch and then after
    std::vector<float> h, c, query;
    std::int64_t late = 0;
  };

  void apply(const std::vector<const SessionEvent*>& events, double now) {
    Batch b;
    group(events, b);
    const auto users = static_cast<std::int64_t>(b.users.size());
    require(users <= options.capacity, "users: expected at most capacity = " + std::to_string(options.capacity) +
                                           " different users in one call; got " + std::to_string(users));
    gather(b, now);
    prepare(events, b);
    Events e{users, b.indptr.data(), {}};
    for (const auto& ids : b.ids) e.ids.push_back(ids.data());
    advance(e, b.h.data(), shape.has_cell ? b.c.data() : nullptr, shape.query ? b.query.data() : nullptr);
    commit(events, b, now);
  }

  // The events by user, and where the users' states lie. Whether two events are of one user is told by their slot; only
  // users that are not held are compared by name.
  void group(const std::vector<const SessionEvent*>& events, Batch& b) {
    const auto n = static_cast<std::int64_t>(events.size());
    std::vector<std::int32_t> slot_of(events.size());
    std::vector<std::int64_t> user_of(events.size());
    std::lock_guard lock(data);
    parallel_for(0, n, kManyUsers / 2, threads_for(n), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto it = slots.find(events[at(i)]->user);
        slot_of[at(i)] = it == slots.end() ? -1 : it->second;
        if (it != slots.end()) __builtin_prefetch(info.row(it->second), 1);
      }
    });
    std::unordered_map<std::string_view, std::int64_t> strangers;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int32_t slot = slot_of[at(i)];
      const std::string_view user = events[at(i)]->user;
      const auto fresh = static_cast<std::int64_t>(b.users.size());
      std::int64_t row = fresh;
      if (slot < 0) {
        if (n > 1) row = strangers.try_emplace(user, fresh).first->second;
      } else if (const std::int64_t r = info.row(slot)->row; r < fresh && b.slots[at(r)] == slot) {
        row = r;
      } else {
        info.row(slot)->row = static_cast<std::int32_t>(fresh);
      }
      if (row == fresh) {
        b.users.push_back(user);
        b.slots.push_back(slot);
      }
      user_of[at(i)] = row;
    }
    b.indptr.assign(b.users.size() + 1, 0);
    for (std::int64_t u : user_of) ++b.indptr[at(u + 1)];
    for (std::size_t u = 0; u < b.users.size(); ++u) b.indptr[u + 1] += b.indptr[u];
    std::vector<std::int64_t> next(b.indptr.begin(), b.indptr.end() - 1);
    b.order.resize(events.size());
    for (std::int64_t i = 0; i < n; ++i) b.order[at(next[at(user_of[at(i)])]++)] = i;
  }

  bool is_expired(std::int32_t slot, double now) const {
    return options.ttl > 0 && now - info.row(slot)->last_used > options.ttl;
  }

  void gather(Batch& b, double now) const {
    const auto users = static_cast<std::int64_t>(b.users.size());
    b.h.assign(at(users * shape.state), 0.0f);
    if (shape.has_cell) b.c.assign(at(users * shape.state), 0.0f);
    b.query.resize(at(users * shape.query));
    b.last_time.assign(at(users), kUnknownTime);
    std::lock_guard lock(data);
    parallel_for(0, users, kManyUsers / 2, threads_for(users), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t u = begin; u < end; ++u) {
        if (u + kAhead < end) prefetch_states(b.slots[at(u + kAhead)]);
        const std::int32_t slot = b.slots[at(u)];
        if (slot < 0 || is_expired(slot, now)) continue;
        std::copy_n(h.row(slot), shape.state, b.h.data() + u * shape.state);
        if (shape.has_cell) std::copy_n(c.row(slot), shape.state, b.c.data() + u * shape.state);
        b.last_time[at(u)] = info.row(slot)->last_time;
      }
    });
  }

  // The first lines of a user's states; the processor itself fetches those that follow.
  void prefetch_states(std::int32_t slot) const {
    if (slot < 0) return;
    __builtin_prefetch(h.row(slot));
    if (shape.has_cell) __builtin_prefetch(c.row(slot));
  }

  // The inputs of the network, and what becomes of the users' clocks: a time before the user's latest counts as a gap
  // of zero and does not set the clock back.
  void prepare(const std::vector<const SessionEvent*>& events, Batch& b) const {
    const std::size_t n = events.size();
    b.ids.assign(1u + (shape.has_types ? 1u : 0u) + (shape.has_gaps ? 1u : 0u), std::vector<std::int32_t>(n));
    b.times.resize(n);
    for (std::size_t u = 0; u < b.users.size(); ++u)
      for (std::int64_t p = b.indptr[u]; p < b.indptr[u + 1]; ++p) {
        const SessionEvent& e = *events[at(b.order[at(p)])];
        b.ids[0][at(p)] = e.item;
        if (shape.has_types) b.ids[1][at(p)] = e.type;
        b.times[at(p)] = e.time;
        double& last = b.last_time[u];
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

  void commit(const std::vector<const SessionEvent*>& events, const Batch& b, double now) {
    std::lock_guard lock(data);
    // What may fail for want of memory comes before the first change, all but the keys of new users.
    make_room(b.users.size());
    std::vector<std::int32_t> slot_of(b.users.size());
    const auto users = static_cast<std::int64_t>(b.users.size());
    const std::function<void(std::int64_t, std::int64_t, int)> store = [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t u = begin; u < end; ++u) {
        const std::int32_t slot = slot_of[at(u)];
        std::copy_n(b.h.data() + u * shape.state, shape.state, h.row(slot));
        if (shape.has_cell) std::copy_n(b.c.data() + u * shape.state, shape.state, c.row(slot));
        std::copy_n(b.query.data() + u * shape.query, shape.query, query.row(slot));
      }
    };
    expire(now);
    settle_held(b, now);
    for (std::int64_t u = 0; u < users; ++u) {
      const std::int32_t slot = slot_of[at(u)] = touch(b.users[at(u)], b.slots[at(u)], now);
      info.row(slot)->last_time = b.last_time[at(u)];
      for (std::int64_t p = b.indptr[at(u)]; p < b.indptr[at(u + 1)]; ++p)
        remember(slot, b.ids[0][at(p)], type_at(b, p), b.times[at(p)]);
    }
    parallel_for(0, users, kManyUsers / 2, threads_for(users), store);
    counters.events += static_cast<std::int64_t>(events.size());
    counters.largest_batch = std::max(counters.largest_batch, static_cast<std::int64_t>(events.size()));
    counters.late += b.late;
    counters.unknown += std::count(b.ids[0].begin(), b.ids[0].end(), 0);
    ++counters.batches;
  }

  // Makes the slots agree with what gather() took of them. Who had expired is gone, also where the clock was set back
  // and the list of use is out of order. And where room must be made, those of the batch who are held come to its end
  // first: nobody's history is dropped for another of the same batch while the state goes on.
  void settle_held(const Batch& b, double now) {
    const bool crowded =
        b.users.size() > 1 && static_cast<std::int64_t>(slots.size() + b.users.size()) > options.capacity;
    if (!crowded && options.ttl == 0) return;
    for (std::size_t u = 0; u < b.users.size(); ++u) {
      const std::int32_t slot = b.slots[u];
      if (!holds(slot, b.users[u])) continue;
      if (is_expired(slot, now)) {
        remove(slot);
        ++counters.expired;
      } else if (crowded) {
        unlink(slot);
        link_newest(slot);
      }
    }
  }

  // Buckets for so many more users. (Not by reserve() alone, which also takes buckets away.)
  void make_room(std::size_t users) {
    const std::size_t wanted = slots.size() + users;
    if (static_cast<double>(wanted) > static_cast<double>(slots.bucket_count()) * slots.max_load_factor())
      slots.reserve(2 * wanted);
  }

  std::int32_t type_at(const Batch& b, std::int64_t p) const { return shape.has_types ? b.ids[1][at(p)] : 0; }

  void remember(std::int32_t slot, std::int32_t item, std::int32_t type, double time) {
    if (options.history > 0) {
      const std::int64_t place = info.row(slot)->count % options.history;
      items.row(slot)[place] = item;
      if (shape.has_types) types.row(slot)[place] = type;
      times.row(slot)[place] = time;
      info.row(slot)->kept =
          static_cast<std::int32_t>(std::min<std::int64_t>(info.row(slot)->kept + 1, options.history));
    }
    ++info.row(slot)->count;
  }

  // ---- slots ----

  void unlink(std::int32_t s) {
    const std::int32_t a = info.row(s)->older, b = info.row(s)->newer;
    (a < 0 ? oldest : info.row(a)->newer) = b;
    (b < 0 ? newest : info.row(b)->older) = a;
  }

  void link_newest(std::int32_t s) {
    info.row(s)->older = newest;
    info.row(s)->newer = -1;
    (newest < 0 ? oldest : info.row(newest)->newer) = s;
    newest = s;
  }

  void remove(std::int32_t s) {
    unlink(s);
    slots.erase(**key_of.row(s));
    *key_of.row(s) = nullptr;
    info.row(s)->count = 0;
    info.row(s)->kept = 0;
    free_slots.push_back(s);
  }

  bool holds(std::int32_t slot, std::string_view user) const {
    return slot >= 0 && *key_of.row(slot) && **key_of.row(slot) == user;
  }

  void expire(double now) {
    while (oldest >= 0 && is_expired(oldest, now)) {
      remove(oldest);
      ++counters.expired;
    }
  }

  // The user's slot, a fresh one if there is none, as the latest in use. `slot`: where the user was a moment ago, or
  // -1.
  std::int32_t touch(std::string_view user, std::int32_t slot, double now) {
    if (!holds(slot, user)) {  // a stranger, or expired since
      const auto it = slots.find(user);
      slot = it == slots.end() ? -1 : it->second;
    }
    if (slot >= 0)
      unlink(slot);
    else
      slot = add(user);
    link_newest(slot);
    info.row(slot)->last_used = now;
    return slot;
  }

  std::int32_t add(std::string_view user) {
    if (static_cast<std::int64_t>(slots.size()) == options.capacity) {
      remove(oldest);
      ++counters.evicted;
    }
    std::int32_t slot;
    if (!free_slots.empty()) {
      slot = free_slots.back();
      free_slots.pop_back();
    } else {
      slot = used++;
    }
    *key_of.row(slot) = &slots.emplace(std::string(user), slot).first->first;
    return slot;
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

void SessionStates::append(const std::vector<SessionEvent>& events, double now) {
  if (events.empty()) return;
  Request mine;
  mine.events = &events;
  mine.now = now;
  if (impl_->enter(mine)) {
    const std::vector<Request*> batch = impl_->take();
    const auto apply = [&](auto begin, auto end) {
      std::vector<const SessionEvent*> all;
      double latest = 0;
      for (auto r = begin; r != end; ++r) {
        for (const SessionEvent& e : *(*r)->events) all.push_back(&e);
        latest = std::max(latest, (*r)->now);
      }
      impl_->apply(all, latest);
    };
    try {
      apply(batch.begin(), batch.end());
    } catch (...) {
      // One caller's trouble is not the others': each on its own.
      if (batch.size() == 1) batch[0]->error = std::current_exception();
      for (auto r = batch.begin(); batch.size() > 1 && r != batch.end(); ++r) try {
          apply(r, r + 1);
        } catch (...) {
          (*r)->error = std::current_exception();
        }
    }
    impl_->leave(batch);
  }
  if (mine.error) std::rethrow_exception(mine.error);
}

bool SessionStates::read(std::string_view user, double now, float* h, float* c, float* query, std::int64_t* count,
                         double* last_time) const {
  const Impl& m = *impl_;
  std::lock_guard lock(m.data);
  const auto it = m.slots.find(user);
  if (it == m.slots.end() || m.is_expired(it->second, now)) return false;
  const std::int32_t slot = it->second;
  if (h) std::copy_n(m.h.row(slot), m.shape.state, h);
  if (c) std::copy_n(m.c.row(slot), m.shape.has_cell ? m.shape.state : 0, c);
  if (query) std::copy_n(m.query.row(slot), m.shape.query, query);
  if (count) *count = m.info.row(slot)->count;
  if (last_time) *last_time = m.info.row(slot)->last_time;
  return true;
}

std::int64_t SessionStates::forget(const std::vector<std::string>& users) {
  std::int64_t held = 0;
  impl_->alone([&] {
    std::lock_guard lock(impl_->data);
    for (const std::string& user : users) {
      const auto it = impl_->slots.find(user);
      if (it == impl_->slots.end()) continue;
      const std::int32_t slot = it->second;
      std::fill_n(impl_->h.row(slot), impl_->shape.state, 0.0f);  // forgotten is gone, not only unlinked
      if (impl_->shape.has_cell) std::fill_n(impl_->c.row(slot), impl_->shape.state, 0.0f);
      std::fill_n(impl_->query.row(slot), impl_->shape.query, 0.0f);
      std::fill_n(impl_->items.row(slot), impl_->options.history, 0);
      if (impl_->shape.has_types) std::fill_n(impl_->types.row(slot), impl_->options.history, 0);
      std::fill_n(impl_->times.row(slot), impl_->options.history, 0.0);
      impl_->remove(slot);
      impl_->info.row(slot)->last_time = impl_->info.row(slot)->last_used = 0;
      ++held;
    }
    impl_->counters.forgotten += held;
  });
  return held;
}

SessionDump SessionStates::dump() const {
  SessionDump d;
  impl_->alone([&] {
    const Impl& m = *impl_;
    std::lock_guard lock(m.data);
    d.indptr.push_back(0);
    for (std::int32_t s = m.oldest; s >= 0; s = m.info.row(s)->newer) {
      d.users.push_back(**m.key_of.row(s));
      d.h.insert(d.h.end(), m.h.row(s), m.h.row(s) + m.shape.state);
      if (m.shape.has_cell) d.c.insert(d.c.end(), m.c.row(s), m.c.row(s) + m.shape.state);
      d.query.insert(d.query.end(), m.query.row(s), m.query.row(s) + m.shape.query);
      d.last_time.push_back(m.info.row(s)->last_time);
      d.last_used.push_back(m.info.row(s)->last_used);
      const std::int64_t count = m.info.row(s)->count, kept = m.info.row(s)->kept;
      d.count.push_back(count);
      for (std::int64_t i = count - kept; i < count; ++i) {
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
  impl_->alone([&] {
    Impl& m = *impl_;
    std::lock_guard lock(m.data);
    while (m.oldest >= 0) m.remove(m.oldest);
    m.make_room(at(users));
    for (std::int64_t u = 0; u < users; ++u) {
      const std::int32_t slot = m.touch(d.users[at(u)], -1, d.last_used[at(u)]);
      std::copy_n(d.h.data() + u * shape.state, shape.state, m.h.row(slot));
      if (shape.has_cell) std::copy_n(d.c.data() + u * shape.state, shape.state, m.c.row(slot));
      std::copy_n(d.query.data() + u * shape.query, shape.query, m.query.row(slot));
      m.info.row(slot)->last_time = d.last_time[at(u)];
      const std::int64_t begin = d.indptr[at(u)], end = d.indptr[at(u + 1)];
      const std::int64_t kept = std::min(end - begin, m.options.history);
      m.info.row(slot)->count = d.count[at(u)] - kept;
      for (std::int64_t p = end - kept; p < end; ++p) m.remember(slot, d.items[at(p)], d.types[at(p)], d.times[at(p)]);
    }
  });
}

SessionCounters SessionStates::counters() const {
  std::lock_guard lock(impl_->data);
  SessionCounters out = impl_->counters;
  out.users = static_cast<std::int64_t>(impl_->slots.size());
  return out;
}

const SessionShape& SessionStates::shape() const {
  return impl_->shape;
}

const SessionOptions& SessionStates::options() const {
  return impl_->options;
}

}  // namespace ecocore
