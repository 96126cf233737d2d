#include "topk_codes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ecocore/parallel.hpp"

namespace ecocore::topk {
namespace {

constexpr std::int64_t kItemGrain = 1024;
constexpr std::int64_t kGroupGrain = 32;
constexpr double kMaxItemCode = 127;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

double row_norm(const float* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::sqrt(sum);
}

float largest(const float* x, std::int64_t n) {
  float m = 0;
  for (std::int64_t i = 0; i < n; ++i) m = std::max(m, std::fabs(x[i]));
  return m;
}

// Writes the n codes (write(i, code)) of x for this scale; returns the norm of what they miss.
template <class Write>
double quantise(const float* x, std::int64_t n, float scale, double max_code, const Write& write) {
  const double inverse = scale > 0 ? 1 / static_cast<double>(scale) : 0;
  double missed = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(x[i]);
    const double code = std::clamp(std::nearbyint(value * inverse), -max_code, max_code);
    write(i, code);
    const double e = value - code * static_cast<double>(scale);
    missed += e * e;
  }
  return std::sqrt(missed);
}

}  // namespace

float round_up(double x) {
  const float f = static_cast<float>(x);
  return static_cast<double>(f) >= x ? f : std::nextafter(f, std::numeric_limits<float>::infinity());
}

float round_down(double x) {
  return -round_up(-x);
}

ItemCodes::ItemCodes(MatrixView<const float> factors, const float* bias, int threads) : has_bias_(bias != nullptr) {
  const std::int64_t n = factors.rows, d = factors.cols;
  if (d > kMaxDimensions) return;
  std::vector<float> norms(at(n));
  parallel_for(0, n, kItemGrain, threads, [&](std::int64_t b, std::int64_t e, int) {
    for (std::int64_t i = b; i < e; ++i) norms[at(i)] = round_up(row_norm(factors.row(i), d) * (1 + kSlack));
  });
  if (static_cast<double>(*std::max_element(norms.begin(), norms.end())) > kMaxNorm) return;
  if (bias && static_cast<double>(largest(bias, n)) > kMaxBias) return;
  usable_ = true;

  group_count_ = (n + kTopKGroup - 1) / kTopKGroup;
  dimensions_ = (d + kTopKPadding - 1) / kTopKPadding * kTopKPadding;
  const std::int64_t padded = group_count_ * kTopKGroup;
  order_.resize(at(padded), -1);
  std::iota(order_.begin(), order_.begin() + n, 0);
  std::sort(order_.begin(), order_.begin() + n, [&](std::int32_t a, std::int32_t b) {
    const float x = norms[at(a)], y = norms[at(b)];
    return x > y || (x == y && a < b);
  });

  codes_.resize(at(padded * dimensions_));
  scale_.resize(at(padded));
  if (bias) bias_.resize(at(padded));
  error_.resize(at(group_count_));
  norm_.resize(at(group_count_));
  slack_.resize(at(group_count_));
  best_bias_from_.resize(at(group_count_));
  parallel_for(0, group_count_, kGroupGrain, threads, [&](std::int64_t b, std::int64_t e, int) {
    for (std::int64_t g = b; g < e; ++g) {
      double error = 0, max_bias = -kMaxBias, max_bias_size = 0;
      for (std::int64_t lane = 0; lane < kTopKGroup; ++lane) {
        const std::int64_t position = g * kTopKGroup + lane;
        const std::int32_t id = order_[at(position)];
        if (id < 0) continue;
        const float* x = factors.row(id);
        const float scale = largest(x, d) / static_cast<float>(kMaxItemCode);
        std::int8_t* codes = codes_.data() + g * kTopKGroup * dimensions_ + 2 * lane;
        error = std::max(error, quantise(x, d, scale, kMaxItemCode, [&](std::int64_t i, double code) {
                           codes[i / 2 * 2 * kTopKGroup + i % 2] = static_cast<std::int8_t>(code);
                         }));
        scale_[at(position)] = scale;
        if (!bias) continue;
        bias_[at(position)] = bias[id];
        max_bias = std::max(max_bias, static_cast<double>(bias[id]));
        max_bias_size = std::max(max_bias_size, std::fabs(static_cast<double>(bias[id])));
      }
      error_[at(g)] = round_up(error * (1 + kSlack));
      norm_[at(g)] = norms[at(order_[at(g * kTopKGroup)])];
      slack_[at(g)] = round_up(max_bias_size * kSlack + kTiny);
      best_bias_from_[at(g)] = bias ? max_bias + max_bias_size * kSlack : 0;
    }
  });
  for (std::int64_t g = group_count_ - 2; g >= 0; --g)
    best_bias_from_[at(g)] = std::max(best_bias_from_[at(g)], best_bias_from_[at(g + 1)]);
}

TopKGroups ItemCodes::groups(std::int64_t first, std::int64_t count) const {
  const std::int64_t item = first * kTopKGroup;
  return {codes_.data() + item * dimensions_,
          scale_.data() + item,
          has_bias_ ? bias_.data() + item : nullptr,
          error_.data() + first,
          norm_.data() + first,
          slack_.data() + first,
          count,
          item,
          dimensions_};
}

QueryCodes::QueryCodes(const float* q, std::int64_t dimensions, std::int64_t padded, std::int16_t* codes)
    : norm(row_norm(q, dimensions) * (1 + kSlack)) {
  // The int32 sums must hold: dimensions * 127 * code < 2^31.
  const double max_code = std::floor(std::min(32767.0, 0x1p31 / (kMaxItemCode * static_cast<double>(padded)) - 1));
  const float scale = static_cast<float>(static_cast<double>(largest(q, dimensions)) / max_code);
  std::fill(codes + dimensions, codes + padded, std::int16_t{0});
  const double missed = quantise(q, dimensions, scale, max_code,
                                 [&](std::int64_t i, double code) { codes[i] = static_cast<std::int16_t>(code); });
  query.codes = codes;
  query.scale = scale;
  query.error_weight = round_up((norm + missed) * (1 + kSlack));  // |Q| <= |q| + |f|
  query.norm_weight = round_up(missed * (1 + kSlack) + norm * kSlack);
  query.threshold = -std::numeric_limits<float>::infinity();
}

double largest_norm(MatrixView<const float> m) {
  double largest = 0;
  for (std::int64_t i = 0; i < m.rows; ++i) largest = std::max(largest, row_norm(m.row(i), m.cols));
  return largest * (1 + kSlack);
}

}  // namespace ecocore::topk
