// Weights in the order of GatePanels (kernels/recurrent.hpp), for whoever runs the recurrent kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "ecocore/views.hpp"

namespace ecocore {

// Memory that begins with a cache line: kernels read panels in vectors as long as one, each of which would lie across
// two otherwise, and a product of a single row waits for nothing else.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kLine); }
  friend bool operator==(LineAllocator, LineAllocator) { return true; }
};

using Panels = std::vector<float, LineAllocator<float>>;

inline std::int64_t blocks_of(std::int64_t units, int lanes) {
  return (units + lanes - 1) / lanes;
}

// [gates * hidden, columns first .. first + depth) into the order of GatePanels.
Panels pack(MatrixView<const float> m, std::int64_t first, std::int64_t depth, int gates, int lanes);

Panels pack_bias(const float* bias, std::int64_t hidden, int gates, int lanes);

// Throws InvalidArgument for NaN and inf.
void require_finite(const float* p, std::int64_t n, const char* what);

}  // namespace ecocore
