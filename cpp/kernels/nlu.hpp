// The kernels of the language model, see nlu.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

struct NluKernels {
  void (*axpy)(float a, const float* x, float* y, std::int64_t n);           // y += a x
  void (*axpy_i8)(float a, const std::int8_t* x, float* y, std::int64_t n);  // y += a x
  float (*dot)(const float* x, const float* y, std::int64_t n);  // sixteen partial sums, then these in order
  void (*adagrad)(float rate, float a, const float* g, float* x, float* sum, std::int64_t n);
};

}  // namespace ecocore
