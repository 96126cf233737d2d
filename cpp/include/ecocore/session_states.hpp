// The recurrent state of every user, advanced one event at a time.
//
// States lie in plain float arrays of fixed capacity (memory is taken as slots are first used), found by a hash of the
// user's key; when all slots are taken, the user who was touched longest ago makes room. Any number of threads may
// call: a lone caller goes straight through; callers that arrive while another's events are being advanced wait in a
// queue, and the first of them advances all that wait in one batch. Where the network cannot fail and threads meet, a
// single event need not wait: it is posted to whoever comes next, and a read of its user waits for it instead. The
// queue keeps its order, so a user's events are applied in the order in which their calls arrived.
//
// A call that throws has changed nothing. One that does not is seen user by user while it is at work. Of a user who is
// evicted, expired or forgotten the next event is the first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecocore/recurrent.hpp"

namespace ecocore {

struct SessionShape {
  std::int64_t state = 0;         // floats of h: layers * hidden
  bool has_cell = false;          // LSTM: as many floats of c
  std::int64_t query = 0;         // floats of the query that is kept beside the state; 0 = it is not kept
  bool has_types = false;         // the second input is the event's type
  bool has_gaps = false;          // the last input is a bucket of the time since the user's last event
  std::vector<double> gap_edges;  // rising seconds: a gap g is in bucket 1 + #{edges <= g}; bucket 0 = not known
  std::int32_t items = 0;         // the items are 0 to here, 0 = any
  std::int32_t types = 0;         // and the types
};

struct SessionOptions {
  std::int64_t capacity = 0;   // users
  double ttl = 0;              // seconds without an event after which a user is forgotten; 0 = never
  std::int64_t history = 0;    // last events that are kept for a replay
  std::int64_t max_batch = 0;  // events that are advanced together at most
  double max_delay = 0;        // seconds that a batch may wait for callers that were there a moment ago
  bool posts = false;          // whether events may be posted: for a network that fails for want of memory only
  std::int64_t try_most = 0;   // events that try_append() and try_read() advance at most
};

struct SessionEvent {
  std::string_view user;
  std::int32_t item = 0;
  std::int32_t type = 0;
  double time = 0;  // seconds; NaN = not known
};

struct SessionCounters {
  std::int64_t users = 0, events = 0, batches = 0, largest_batch = 0, evicted = 0, expired = 0, forgotten = 0, late = 0,
               unknown = 0;  // events of row 0
};

// What is kept of many users, rows from the one touched longest ago to the latest.
struct SessionDump {
  std::vector<std::string> users;
  std::vector<float> h, c, query;
  std::vector<double> last_time, last_used;
  std::vector<std::int64_t> count;
  std::vector<std::int64_t> indptr;  // of the histories, oldest event first
  std::vector<std::int32_t> items, types;
  std::vector<double> times;
};

class SessionStates {
 public:
  // Tells `done` of every row once what its events make of the states in `from`. It may throw before the first time,
  // not after.
  using Advance = std::function<void(const Events& events, const StateRows& from, const RowsDone& done)>;

  SessionStates(SessionShape shape, SessionOptions options, Advance advance);
  ~SessionStates();

  // `now` is the clock that ttl is counted on, seconds.
  void append(std::span<const SessionEvent> events, double now);

  // The same for one event where that waits for nobody and advances no more than options.try_most; else false.
  bool try_append(const SessionEvent& event, double now);

  // Posts the event for another caller to advance: one who is at it, or is to come since several threads post. False,
  // and nothing was done, where that is not so, or there is no room, or options.posts is not set: append() it. Every
  // later call for this user finds it done. Should memory fail it, it stays for the next caller.
  bool post(const SessionEvent& event, double now);

  // Copies of the user's state; false for a user who is not held. Null pointers are left out.
  bool read(std::string_view user, double now, float* h, float* c, float* query, std::int64_t* count,
            double* last_time) const;

  // The same where that waits for nobody, as try_append().
  std::optional<bool> try_read(std::string_view user, double now, float* h, float* c, float* query, std::int64_t* count,
                               double* last_time) const;

  std::int64_t forget(const std::vector<std::string>& users);  // how many were held
  SessionDump dump(double now);                                // without those who have expired
  void replace(const SessionDump& dump);                       // at most `capacity` users; lengths are checked
  SessionCounters counters() const;
  const SessionShape& shape() const;
  const SessionOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ecocore
