// The kernels of exact top-k, see topk.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

struct TopKKernels {
  // sums[j] = <query, row ids[j] of factors> in float64, in index order.
  void (*score)(const double* query, const float* factors, std::int64_t dimensions, const std::int32_t* ids,
                std::int64_t count, double* sums);
};

}  // namespace ecocore
