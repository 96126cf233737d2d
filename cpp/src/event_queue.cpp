#include "event_queue.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

namespace ecocore {
namespace {

enum : int { kWaiting, kLeading, kDone };

constexpr double kMoment = 0.02;     // seconds: a few turns of threads that run Python, 5 ms each
constexpr std::int64_t kLeft = 128;  // events that may lie in the queue while nobody leads

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

EventQueue::EventQueue(std::int64_t room, double max_delay, Process process)
    : room_(room),
      max_delay_(max_delay),
      process_(std::move(process)),
      poster_changed_(-std::numeric_limits<double>::infinity()) {}

void EventQueue::run(Call& call) {
  call.waiter = &Waiter::of_this_thread();
  call.waiter->state.store(kWaiting, std::memory_order_relaxed);
  if (enter(call, std::numeric_limits<std::int64_t>::max()) || call.waiter->wait() == kLeading) lead(call);
  if (call.error) std::rethrow_exception(call.error);
}

bool EventQueue::run_now(Call& call, std::int64_t most) {
  if (!enter(call, most)) return false;
  lead(call);
  if (call.error) std::rethrow_exception(call.error);
  return true;
}

bool EventQueue::post(std::string_view user, std::uint32_t hash, const SessionEvent& event, double now) {
  std::lock_guard lock(turn_);
  const bool crowded = is_crowded(now);
  if (queued_events_ >= (leading_ ? room_ : crowded ? std::min(room_, kLeft) : 0)) return false;
  queue_.push_back({nullptr, event, std::string(user), hash, now});
  ++queued_events_;
  posted_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Whether more than one thread is at it.
bool EventQueue::is_crowded(double now) {
  thread_local char here;
  if (last_poster_ != &here) {
    if (last_poster_) poster_changed_ = now;
    last_poster_ = &here;
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

// Whether the caller must lead: at once, since nobody does and at most so many events are to be done. Else it is in the
// queue if it can wait.
bool EventQueue::enter(Call& call, std::int64_t most) {
  std::lock_guard lock(turn_);
  const Entry entry{&call, {}, {}, 0, call.now};
  if (!call.waiter && (leading_ || queued_events_ + entry.size() > most)) return false;
  queue_.push_back(entry);
  queued_events_ += entry.size();
  if (leading_) {
    if (gathering_) arrived_.notify_one();
    return false;
  }
  return leading_ = true;
}

void EventQueue::lead(Call& call) {
  do {
    try {
      take();
    } catch (const std::bad_alloc&) {
      return give_up(call, std::current_exception());
    }
    do_taken(call);
  } while (!call.done);  // events that were left before may have come first
}

// The next batch: the first of the queue and those behind it that fit.
void EventQueue::take() {
  std::unique_lock lock(turn_);
  if (max_delay_ > 0 && last_batch_ > 1 && !queue_.front().is_alone()) {
    gathering_ = true;
    arrived_.wait_for(lock, std::chrono::duration<double>(max_delay_),
                      [&] { return queued_events_ >= std::min(last_batch_, room_); });
    gathering_ = false;
  }
  batch_.clear();
  batch_.reserve(queue_.size());
  std::int64_t events = 0;
  for (const Entry& e : queue_) {
    if (!batch_.empty() && (e.is_alone() || batch_[0]->is_alone() || events + e.size() > room_)) break;
    events += e.size();
    batch_.push_back(&e);
  }
  queued_events_ -= events;
  if (!batch_[0]->is_alone()) last_batch_ = events;
}

// Does what was taken. One caller's trouble is not the others': where a batch fails, each of it is tried by itself, up
// to an event that was left, which has no caller who could be told: it stays, with all behind it, and the leading call
// fails in its stead.
void EventQueue::do_taken(Call& mine) {
  std::size_t done = 0;
  std::exception_ptr error = attempt(batch_), stuck;
  if (!error) done = batch_.size();
  for (const bool single = batch_.size() == 1; done < batch_.size(); ++done) {
    if (!single) error = attempt({&batch_[done], 1});
    Call* call = batch_[done]->call;
    if (error && !call) {
      stuck = error;
      break;
    }
    if (error) call->error = error;
  }
  Waiter* finished = nullptr;
  {
    std::lock_guard lock(turn_);
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
  if (stuck && !mine.done)
    give_up(mine, stuck);
  else if (mine.done)
    leave();
  while (finished) {  // whose calls, and waiters, are others' as soon as they wake
    Waiter* w = finished;
    finished = w->also;
    w->wake(kDone);
  }
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
  leave();
}

void EventQueue::leave() {
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
