// Quantised items and queries, and the bound that makes a scan over them exact.
//
// Let x = X + e and q = Q + f, where X = scale * int8 code and Q = scale * int16 code. Then
//   |<q, x> - <Q, X>| = |<Q, e> + <f, x>| <= |Q| |e| + |f| |x|                                (Cauchy-Schwarz)
// and <Q, X> is an exact int32 dot product times two scales. The norms are taken of the real differences in float64, so
// the bound holds however the codes were rounded. What float32 adds on the way (the scaled dot product, the bias, the
// canonical rounding, the bound itself) is below 2^-21 of |q| |x|, of |bias| and of the threshold; kSlack covers it
// many times over, kTiny what is lost to underflow.
//
// An item is dropped only if its score plus its bound is below a threshold that k allowed items are known to reach.
// So no item of the result is ever dropped, whatever the data; bad data only makes more survivors.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ecocore/views.hpp"
#include "kernels/topk.hpp"

namespace ecocore::topk {

inline constexpr double kSlack = 0x1p-18;
inline constexpr double kTiny = 16 * static_cast<double>(std::numeric_limits<float>::min());

// Beyond these the scan's float32 could overflow or its int32 sums could; such searches are left to the definition.
inline constexpr double kMaxNorm = 1e15;
inline constexpr double kMaxBias = 1e30;
inline constexpr std::int64_t kMaxDimensions = std::int64_t{1} << 16;

// float32 values that are not below (above) the given one.
float round_up(double x);
float round_down(double x);

// Items in order of falling norm, so that the first ones scanned are likely to be the best and the scan can end where
// no later item can reach the threshold.
class ItemCodes {
 public:
  ItemCodes(MatrixView<const float> factors, const float* bias, int threads);

  bool usable() const { return usable_; }
  std::int64_t group_count() const { return group_count_; }
  std::int64_t padded_dimensions() const { return dimensions_; }
  TopKGroups groups(std::int64_t first, std::int64_t count) const;

  // The item at a position of the scan; -1 for padding.
  std::int32_t id(std::int32_t position) const { return order_[static_cast<std::size_t>(position)]; }

  float bound(const TopKQuery& query, std::int32_t position) const {
    const auto g = static_cast<std::size_t>(position / kTopKGroup);
    return query.error_weight * error_[g] + query.norm_weight * norm_[g] + slack_[g];
  }

  // At least the score of every item in group `first` and later, for a query of this norm.
  double best_score_from(std::int64_t first, double query_norm) const {
    const auto g = static_cast<std::size_t>(first);
    return query_norm * static_cast<double>(norm_[g]) * (1 + kSlack) + best_bias_from_[g] + kTiny;
  }

 private:
  bool usable_ = false;
  bool has_bias_ = false;
  std::int64_t group_count_ = 0;
  std::int64_t dimensions_ = 0;
  std::vector<std::int32_t> order_;
  std::vector<std::int8_t> codes_;
  std::vector<float> scale_, bias_;
  std::vector<float> error_, norm_, slack_;
  std::vector<double> best_bias_from_;
};

// One query in codes. `threshold` belongs to the search.
struct QueryCodes {
  TopKQuery query{};
  double norm = 0;

  // Writes `padded` codes. The norm of q is at most kMaxNorm.
  QueryCodes(const float* q, std::int64_t dimensions, std::int64_t padded, std::int16_t* codes);
};

// The largest norm of a row, not below the true one.
double largest_norm(MatrixView<const float> m);

}  // namespace ecocore::topk
