// The only door to threads. One pool per process, started on first use, rebuilt in a forked child.
//
// A loop is cut into chunks of `grain` by index, so which elements share a chunk never depends on the number of
// threads; chunks are handed out in order, whoever is free takes the next. Results that depend only on the chunk (not
// on `slot`) are therefore the same bits for any thread count.
//
// A call made from inside a loop, or while another caller's loop holds the pool, runs inline on its own thread: a
// service with many request threads never queues behind the pool.
#pragma once

#include <cstdint>
#include <functional>

namespace ecocore {

// Number of threads for `requested` = 0: set_num_threads(), else ECOCORE_NUM_THREADS, else OMP_NUM_THREADS (both read
// once), else the CPUs this process may use (the affinity mask and the cgroup's quota, so containers are respected).
// Another thread may call set_num_threads() at any time: who sizes scratch memory by the answer hands that very number,
// not 0, to parallel_for.
int num_threads(int requested = 0);
void set_num_threads(int n);  // 0 = automatic

// Runs on the calling thread between chunks; may throw to stop the loop (Ctrl-C).
using Poll = std::function<void()>;

// Calls f(chunk_begin, chunk_end, slot) for consecutive chunks of [begin, end); 0 <= slot < num_threads(threads), and
// no two calls that run at once share a slot, so it can index scratch memory. The first exception stops the loop and is
// rethrown here.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, int threads,
                  const std::function<void(std::int64_t, std::int64_t, int)>& f, const Poll& poll = {});

}  // namespace ecocore
