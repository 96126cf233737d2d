// Giving the GIL away and taking it back, safely even while the interpreter shuts down.
//
// Before 3.14, CPython ends a thread that asks for the GIL after shutdown has begun (a daemon thread coming out of a
// long call) by pthread_exit: that unwinds through destructors which touch Python and handlers which swallow it, and
// the process aborts. From 3.14 on such a thread sleeps until the process is gone; here it always does.
#pragma once

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

#include <cstdint>

namespace ecocore::bindings {

// Also for a call into Python, which gives the GIL away and asks for it again.
template <class Acquire>
void acquire_or_sleep(Acquire acquire) {
  try {
    acquire();
  } catch (abi::__forced_unwind&) {
    while (true) pause();
  }
}

// Multiplications and additions that one core does within about 5 us. Giving the GIL to another thread and taking it
// back takes as long, so that a few times as many are done without.
constexpr std::int64_t kFewOperations = 300'000;

// In place of pybind11's gil_scoped_release.
class ReleaseGil {
 public:
  ReleaseGil() : state_(PyEval_SaveThread()) {}
  ~ReleaseGil() {
    acquire_or_sleep([this] { PyEval_RestoreThread(state_); });
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

// In place of pybind11's gil_scoped_acquire, inside a ReleaseGil or on a thread that Python does not know.
class AcquireGil {
 public:
  AcquireGil() {
    acquire_or_sleep([this] { state_ = PyGILState_Ensure(); });
  }
  ~AcquireGil() { PyGILState_Release(state_); }
  AcquireGil(const AcquireGil&) = delete;
  AcquireGil& operator=(const AcquireGil&) = delete;

 private:
  PyGILState_STATE state_{};
};

}  // namespace ecocore::bindings
