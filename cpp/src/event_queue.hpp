// Calls on their way into the store, and whose turn it is to advance events.
//
// One caller leads at a time. Who comes while another leads either waits in the queue, and the first of those that wait
// leads next, or posts a single event there and goes: whoever leads next takes it along. Where several threads call,
// events are posted also while nobody leads, up to a small batch: threads that run Python hand one lock to each other,
// and doing so for every event takes longer than the event. The queue keeps its order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ecocore/session_states.hpp"

namespace ecocore {

struct Waiter;

class EventQueue {
 public:
  // What a caller wants: events to be advanced, or, without any, that `alone` be run while none are, or, without that
  // too, that all be done that came before.
  struct Call {
    std::span<const SessionEvent> events;
    double now = 0;  // the caller's clock, seconds
    std::function<void()> alone;

   private:
    friend class EventQueue;
    Waiter* waiter = nullptr;
    std::exception_ptr error;
    bool done = false;
  };

  // One place in the queue: a call, or an event that was posted.
  struct Entry {
    Call* call = nullptr;
    SessionEvent event;  // posted; its user is `key`
    std::string key;
    std::uint32_t hash = 0;
    double now = 0;

    std::int64_t size() const { return call ? static_cast<std::int64_t>(call->events.size()) : 1; }
    bool is_alone() const { return call && call->alone; }
  };

  // Advances all events of some entries, or throws and has changed nothing.
  using Process = std::function<void(std::span<const Entry* const>)>;

  // `room`: events that are advanced together, unless one call has more. `max_delay`: seconds that a leader waits for
  // callers that were there a moment ago. `max_apart`: seconds between the clocks of what is advanced together.
  EventQueue(std::int64_t room, double max_delay, double max_apart, Process process);

  // Returns when the call is done; throws what went wrong with it. A call from within a call, of the thread that leads
  // (Python runs signal handlers and finalizers wherever it runs), would wait for itself and is refused.
  void run(Call& call);

  // The same where nobody leads and no more than `most` events are to be done with it: nothing is waited for. Else
  // false, and nothing was done.
  bool try_run(Call& call, std::int64_t most);

  // Takes an event and returns true where another caller leads, or another thread posted a moment ago, and there is
  // room; else false, and nothing was done. Should the event fail later, which it may for want of memory only, it
  // stays in the queue and the leader's call fails.
  bool post(const SessionEvent& event, double now);

  // Whether a posted event of this user is not done yet. (Or of one with the same hash.)
  bool awaits(std::uint32_t hash) const;
  bool awaits_any() const { return posted_.load(std::memory_order_acquire) > 0; }

 private:
  void refuse_leader() const;
  bool meets_others(double now);
  void gather(std::unique_lock<std::mutex>& lock);
  void take(const Call* last);
  void lead(Call& mine, bool may_wait);
  std::size_t do_taken(std::exception_ptr& stuck);
  std::exception_ptr attempt(std::span<const Entry* const> entries) const;
  void finish(std::size_t done, const Call& mine);
  void give_up(Call& mine, std::exception_ptr error);
  void hand_over();

  const std::int64_t room_;
  const double max_delay_, max_apart_;
  const Process process_;

  mutable std::mutex turn_;  // guards all up to posted_
  std::condition_variable arrived_;
  std::deque<Entry> queue_;
  bool leading_ = false, gathering_ = false;
  const void* leader_ = nullptr;  // a thread, while it does something
  std::int64_t last_batch_ = 1, queued_events_ = 0;
  const void* last_poster_ = nullptr;    // a thread
  double poster_changed_;                // when it was another
  std::atomic<std::int64_t> posted_{0};  // events that were posted and are not done yet

  // The leader's: what it is doing, the first of the queue, where they stay until they are done.
  std::vector<const Entry*> batch_;
};

}  // namespace ecocore
