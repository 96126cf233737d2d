// The kernels of exact top-k, see topk.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

// Items are scanned in groups: for each pair of dimensions, the two codes of every item of a group lie side by side, so
// that vector lanes are items and no sum runs across lanes.
inline constexpr std::int64_t kTopKGroup = 32;   // items per group
inline constexpr std::int64_t kTopKPadding = 8;  // dimensions are padded with zero codes to a multiple of this

// A run of groups of quantised items, in the order of the index. An item is scale * code + error.
struct TopKGroups {
  const std::int8_t* codes;  // [count][padded dimensions / 2][kTopKGroup][2]
  const float* scale;        // [count][kTopKGroup]
  const float* bias;         // [count][kTopKGroup], or null
  const float* error;        // [count], at least the largest norm of an item's error
  const float* norm;         // [count], at least the largest norm of an item
  const float* slack;        // [count], for the rounding of biases and tiny numbers
  std::int64_t count;
  std::int64_t first_position;  // of the first item, in the order of the index
  std::int64_t dimensions;      // padded
};

// An item whose score may be as high as score + bound, where
// bound = error_weight * error + norm_weight * norm + slack of its group.
struct TopKSurvivor {
  float score;
  std::int32_t position;
};

struct TopKQuery {
  const std::int16_t* codes;
  float scale;
  float error_weight;
  float norm_weight;
  float threshold;  // items whose score + bound is below are dropped
};

struct TopKKernels {
  // sums[j] = <query, row ids[j] of factors> in float64, in index order.
  void (*score)(const double* query, const float* factors, std::int64_t dimensions, const std::int32_t* ids,
                std::int64_t count, double* sums);

  // Appends to survivors[q] the items of `groups` that query q cannot rule out, and adds their number to counts[q].
  // At most `scan_width` queries; survivors[q] has room for all items.
  void (*scan)(const TopKGroups& groups, const TopKQuery* const* queries, int count, TopKSurvivor* const* survivors,
               std::int64_t* counts);
  int scan_width;
};

}  // namespace ecocore
