// The kernels of exact top-k, see topk.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

struct TopKKernels {};

}  // namespace ecocore
