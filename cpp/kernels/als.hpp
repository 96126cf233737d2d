// The kernels of alternating least squares, see als.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

struct AlsKernels {};

}  // namespace ecocore
