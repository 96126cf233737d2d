#include "event_queue.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "ecocore/error.hpp"
#include "user_table.hpp"

namespace ecocore {
namespace {

enum : int { kWaiting, kLeading, kDone };

constexpr double kMoment = 0.02;           // seconds: a few turns of threads that run Python, 5 ms each
constexpr std::int64_t kMostPosted = 128;  // events that may lie in the queue; fewer make batches too small to share

// Stands for the calling thread.
const void* this_thread() {
  thread_local char here;
  return &here;
}

bool is_interrupt(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Interrupted&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

// Where a caller sleeps. Waiters are kept for reuse and never freed, so that a late wake-up finds valid memory.
struct Waiter {
  std::atomic<int> state{0};
  Waiter* also = nullptr;  // who is to be woken as well

  static Waiter& of_this_thread() {
    struct Held {
      Waiter* waiter = take();
      ~Held() { give(waiter); }
    };
    thread_local Held held;
    return *held.waiter;
  }

  int wait() {
    int now;
    while ((now = state.load(std::memory_order_acquire)) == kWaiting) state.wait(kWaiting, std::memory_order_acquire);
    return now;
  }

  void wake(int to) {
    state.store(to, std::memory_order_release);
    state.notify_one();
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

EventQueue::EventQueue(std::int64_t room, double max_delay, double max_apart, Process process)
    : room_(room),
      max_delay_(max_delay),
      max_apart_(max_apart),
      process_(std::move(process)),
      poster_changed_(-std::numeric_limits<double>::infinity()) {}

void EventQueue::run(Call& call) {
  call.waiter = &Waiter::of_this_thread();
  call.waiter->state.store(kWaiting, std::memory_order_relaxed);
  bool leads = false;
  {
    std::lock_guard lock(turn_);
    refuse_leader();
    queue_.push_back({&call, {}, {}, 0, call.now});
    queued_events_ += queue_.back().size();
    if (!leading_)
      leading_ = leads = true;
    else if (gathering_)
      arrived_.notify_one();
  }
  if (leads || call.waiter->wait() == kLeading) lead(call, true);
  if (call.error) std::rethrow_exception(call.error);
}

bool EventQueue::try_run(Call& call, std::int64_t most) {
  {
    std::lock_guard lock(turn_);
    const Entry entry{&call, {}, {}, 0, call.now};
    if (leading_ || queued_events_ + entry.size() > most) return false;
    queue_.push_back(entry);
    queued_events_ += entry.size();
    leading_ = true;
  }
  lead(call, false);
  if (call.error) std::rethrow_exception(call.error);
  return true;
}

bool EventQueue::post(const SessionEvent& event, double now) {
  std::lock_guard lock(turn_);
  if (const bool others = meets_others(now); !leading_ && !others) return false;
  if (queued_events_ >= std::min(room_, kMostPosted)) return false;
  queue_.push_back({nullptr, event, std::string(event.user), hash_of(event.user), now});
  ++queued_events_;
  posted_.fetch_add(1, std::memory_order_relaxed);
  if (gathering_) arrived_.notify_one();
  return true;
}

void EventQueue::refuse_leader() const {
  if (leading_ && leader_ == this_thread())
    throw InvalidArgument(
        "store: expected no call from within the run of its own model; got one, from a signal handler or a finalizer "
        "that Python ran there; let it set a flag, or hand the work to another thread");
}

// Whether more than one thread posts; remembers this one.
bool EventQueue::meets_others(double now) {
  if (last_poster_ != this_thread()) {
    if (last_poster_) poster_changed_ = now;
    last_poster_ = this_thread();
  }
  return std::abs(now - poster_changed_) < kMoment;
}

bool EventQueue::awaits(std::uint32_t hash) const {
  // No event that this thread could know of is missed: who posted it has told the thread, which orders the two.
  if (!awaits_any()) return false;
  const auto is_of_user = [&](const Entry& e) { return !e.call && e.hash == hash; };
  std::lock_guard lock(turn_);
  return std::any_of(queue_.begin(), queue_.end(), is_of_user);
}

// Until the call is done: events that were posted before come first. Who may not wait does no more than that.
void EventQueue::lead(Call& mine, bool may_wait) {
  while (!mine.done) {
    try {
      std::unique_lock lock(turn_);
      if (may_wait) gather(lock);
      take(may_wait ? nullptr : &mine);
      leader_ = this_thread();
    } catch (const std::bad_alloc&) {
      return give_up(mine, std::current_exception());
    }
    std::exception_ptr stuck;
    finish(do_taken(stuck), mine);
    if (stuck && !mine.done) return give_up(mine, stuck);
  }
  hand_over();
}

// Waits for those who were there a moment ago.
void EventQueue::gather(std::unique_lock<std::mutex>& lock) {
  if (max_delay_ == 0 || last_batch_ < 2 || queue_.front().is_alone()) return;
  gathering_ = true;
  arrived_.wait_for(lock, std::chrono::duration<double>(max_delay_),
                    [&] { return queued_events_ >= std::min(last_batch_, room_); });
  gathering_ = false;
}

// The next batch: the first of the queue and those behind it that fit, up to `last`.
void EventQueue::take(const Call* last) {
  batch_.clear();
  batch_.reserve(queue_.size());
  const Entry& first = queue_.front();
  std::int64_t events = 0;
  for (const Entry& e : queue_) {
    if (&e != &first &&
        (e.is_alone() || first.is_alone() || events + e.size() > room_ || std::abs(e.now - first.now) > max_apart_))
      break;
    events += e.size();
    batch_.push_back(&e);
    if (last && e.call == last) break;
  }
  queued_events_ -= events;
  if (!first.is_alone()) last_batch_ = events;
}

// Returns how many are done. One caller's trouble is not the others': where a batch fails, each of it is tried by
// itself, up to a posted event, which has no caller who could be told: it stays, with all behind it, and the leader's
// call fails in its stead. So it does where the leader's thread is asked to stop.
std::size_t EventQueue::do_taken(std::exception_ptr& stuck) {
  std::exception_ptr error = attempt(batch_);
  if (!error) return batch_.size();
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    if (i > 0 || (batch_.size() > 1 && !is_interrupt(error))) error = attempt({&batch_[i], 1});
    Call* call = batch_[i]->call;
    if (error && (!call || is_interrupt(error))) {
      stuck = error;
      return i;
    }
    if (error) call->error = error;
  }
  return batch_.size();
}

std::exception_ptr EventQueue::attempt(std::span<const Entry* const> entries) const {
  try {
    if (entries[0]->is_alone())
      entries[0]->call->alone();
    else
      process_(entries);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

// Takes what is done out of the queue and wakes whose it was.
void EventQueue::finish(std::size_t done, const Call& mine) {
  Waiter* finished = nullptr;
  {
    std::lock_guard lock(turn_);
    leader_ = nullptr;
    for (std::size_t i = done; i < batch_.size(); ++i) queued_events_ += batch_[i]->size();
    for (std::size_t i = 0; i < done; ++i) {
      Call* call = queue_.front().call;
      queue_.pop_front();
      if (!call) posted_.fetch_sub(1, std::memory_order_release);
      if (call) call->done = true;
      if (call && call != &mine) {
        call->waiter->also = finished;
        finished = call->waiter;
      }
    }
  }
  while (finished) {  // whose calls, and waiters, are others' as soon as they wake
    Waiter* w = finished;
    finished = w->also;
    w->wake(kDone);
  }
}

// The leader's call is not done, for an error that is not its own.
void EventQueue::give_up(Call& mine, std::exception_ptr error) {
  {
    std::lock_guard lock(turn_);
    const auto it = std::find_if(queue_.begin(), queue_.end(), [&](const Entry& e) { return e.call == &mine; });
    queued_events_ -= it->size();
    queue_.erase(it);
  }
  mine.error = error;
  mine.done = true;
  hand_over();
}

// The first call that waits leads next. Posted events wait for somebody to come.
void EventQueue::hand_over() {
  Waiter* next = nullptr;
  {
    std::lock_guard lock(turn_);
    const auto it = std::find_if(queue_.begin(), queue_.end(), [](const Entry& e) { return e.call != nullptr; });
    if (it == queue_.end())
      leading_ = false;
    else
      next = it->call->waiter;
  }
  if (next) next->wake(kLeading);
}

}  // namespace ecocore
