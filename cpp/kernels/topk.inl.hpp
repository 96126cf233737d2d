// Kernels of exact top-k, written once against the vector types of the including ISA.
namespace ecocore::ECOCORE_ISA {

inline void topk_score(const double* query, const float* factors, std::int64_t dimensions, const std::int32_t* ids,
                       std::int64_t count, double* sums) {
  for (std::int64_t j = 0; j < count; ++j) {
    const float* x = factors + std::int64_t{ids[j]} * dimensions;
    double sum = 0;
    for (std::int64_t i = 0; i < dimensions; ++i) sum += query[i] * static_cast<double>(x[i]);
    sums[j] = sum;
  }
}

constexpr TopKKernels topk_kernels() {
  return {topk_score};
}

}  // namespace ecocore::ECOCORE_ISA
