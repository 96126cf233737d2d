// Kernels of the language model. Plain loops, which the compiler turns into vectors of the including ISA: lanes are
// independent and nothing is contracted or reordered, so every ISA gives the same bits.
namespace ecocore::ECOCORE_ISA {

inline void nlu_axpy(float a, const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

inline void nlu_axpy_i8(float a, const std::int8_t* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * static_cast<float>(x[i]);
}

inline float nlu_dot(const float* x, const float* y, std::int64_t n) {
  constexpr int L = 16;
  float sums[L] = {};
  std::int64_t i = 0;
  for (; i + L <= n; i += L)
    for (int l = 0; l < L; ++l) sums[l] += x[i + l] * y[i + l];
  for (int l = 0; i < n; ++i, ++l) sums[l] += x[i] * y[i];
  float sum = 0;
  for (int l = 0; l < L; ++l) sum += sums[l];
  return sum;
}

// One step of AdaGrad for a part of the parameters whose gradient is a g: sum += (a g)^2, x -= rate a g / sqrt(sum).
inline void nlu_adagrad(float rate, float a, const float* g, float* x, float* sum, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float step = a * g[i];
    const float total = sum[i] + step * step;
    sum[i] = total;
    x[i] -= rate * step / __builtin_sqrtf(total);
  }
}

constexpr NluKernels nlu_kernels() {
  return {&nlu_axpy, &nlu_axpy_i8, &nlu_dot, &nlu_adagrad};
}

}  // namespace ecocore::ECOCORE_ISA
