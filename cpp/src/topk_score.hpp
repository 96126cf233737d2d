// Canonical scores, a block of items at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ecocore/views.hpp"
#include "kernels/table.hpp"
#include "topk_select.hpp"

namespace ecocore::topk {

class Scorer {
 public:
  Scorer(MatrixView<const float> factors, const float* bias)
      : factors_(factors), bias_(bias), query_(static_cast<std::size_t>(factors.cols)), sums_(kBlock), ids_(kBlock) {}

  void set_query(const float* query) { std::copy(query, query + factors_.cols, query_.begin()); }

  // The item's score reaches `best` at the latest with the next flush.
  void add(std::int32_t id, Selection& best) {
    ids_[waiting_++] = id;
    if (waiting_ == kBlock) flush(best);
  }

  void flush(Selection& best) {
    kernels().topk.score(query_.data(), factors_.data, factors_.cols, ids_.data(), static_cast<std::int64_t>(waiting_),
                         sums_.data());
    for (std::size_t i = 0; i < waiting_; ++i) {
      float score = static_cast<float>(sums_[i]);
      if (bias_) score += bias_[ids_[i]];
      best.push({score, ids_[i]});
    }
    waiting_ = 0;
  }

 private:
  static constexpr std::size_t kBlock = 256;

  MatrixView<const float> factors_;
  const float* bias_;
  std::vector<double> query_, sums_;
  std::vector<std::int32_t> ids_;
  std::size_t waiting_ = 0;
};

}  // namespace ecocore::topk
