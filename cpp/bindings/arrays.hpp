// The array types that cross the border, named once. They are exact: dtype and C order must match, nothing is copied or
// converted here (every argument is bound with noconvert()). The Python layer converts, once, where a reader sees it.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "bindings/pybind11.hpp"
#include "ecocore/error.hpp"
#include "ecocore/views.hpp"

namespace ecocore::bindings {

using FloatArray = py::array_t<float, py::array::c_style>;
using DoubleArray = py::array_t<double, py::array::c_style>;
using Int32Array = py::array_t<std::int32_t, py::array::c_style>;
using Int64Array = py::array_t<std::int64_t, py::array::c_style>;
using BoolArray = py::array_t<bool, py::array::c_style>;

template <class Array>
void require_ndim(const Array& a, int ndim, const char* name) {
  if (a.ndim() != ndim)
    throw InvalidArgument(std::string(name) + ": expected " + std::to_string(ndim) + " dimension(s), got " +
                          std::to_string(a.ndim()));
}

inline MatrixView<const float> matrix_view(const FloatArray& a, const char* name) {
  require_ndim(a, 2, name);
  return {a.data(), a.shape(0), a.shape(1)};
}

inline MatrixView<float> mutable_matrix_view(FloatArray& a, const char* name) {
  require_ndim(a, 2, name);
  if (!a.writeable()) throw InvalidArgument(std::string(name) + ": expected a writeable array, got a read-only one");
  return {a.mutable_data(), a.shape(0), a.shape(1)};
}

// The view of a CSR that csr.py has already put into exact dtypes. Lengths and bounds of the arrays are checked here
// (cheap); monotonic indptr and index ranges by check_csr, which csr.py calls for every matrix that enters.
inline CsrView csr_view(const Int64Array& indptr, const Int32Array& indices, const FloatArray* data, std::int64_t cols,
                        const char* name) {
  require_ndim(indptr, 1, name);
  require_ndim(indices, 1, name);
  const std::string where(name);
  if (indptr.size() < 1) throw InvalidArgument(where + ": indptr must have rows + 1 entries, got none");
  if (indptr.data()[0] != 0 || indptr.data()[indptr.size() - 1] != indices.size())
    throw InvalidArgument(where + ": indptr must run from 0 to the number of indices (" +
                          std::to_string(indices.size()) + "), got " + std::to_string(indptr.data()[0]) + " to " +
                          std::to_string(indptr.data()[indptr.size() - 1]));
  if (data && (data->ndim() != 1 || data->size() != indices.size()))
    throw InvalidArgument(where + ": data must have as many entries as indices (" + std::to_string(indices.size()) +
                          "), got " + std::to_string(data->size()));
  return {indptr.size() - 1, cols, indptr.data(), indices.data(), data ? data->data() : nullptr};
}

// A new NumPy array that owns `values`, without a copy.
template <class T>
py::array_t<T> own(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* held = new std::vector<T>(std::move(values));
  py::capsule owner(held, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), held->data(), owner);
}

// Lets Ctrl-C stop a long native loop: pass as the loop's Poll. Looks at most every 50 ms.
class SignalPoll {
 public:
  void operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    AcquireGil gil;  // signal handlers run only with the GIL
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace ecocore::bindings
