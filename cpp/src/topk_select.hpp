// Selection by the total order of top-k: score descending, then id ascending.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ecocore::topk {

struct Hit {
  float score;
  std::int32_t id;

  friend bool operator<(const Hit& a, const Hit& b) {  // "a comes before b"
    return a.score > b.score || (a.score == b.score && a.id < b.id);
  }
};

// The best k of any number of hits, each id at most once. Twice k are held at most: when that is full, the worse half
// goes, which costs O(1) per hit on average.
class Selection {
 public:
  explicit Selection(std::int64_t k) : k_(static_cast<std::size_t>(k)) { hits_.reserve(2 * k_); }

  void push(Hit hit) {
    if (full_ && !(hit < worst_)) return;
    hits_.push_back(hit);
    if (hits_.size() == 2 * k_) shrink();
  }

  // The score that an item must reach to be among the best k; -inf while there are fewer.
  float threshold() {
    if (hits_.size() > k_ || (hits_.size() == k_ && !full_)) shrink();
    return full_ ? worst_.score : -std::numeric_limits<float>::infinity();
  }

  // Hands out the hits held, among them the k best, and empties the selection.
  std::vector<Hit> take() {
    std::vector<Hit> out(hits_);
    clear();
    return out;
  }

  // Writes the k best in order, padded with id -1 and score -inf, and empties the selection.
  void write(std::int64_t* ids, float* scores) {
    std::sort(hits_.begin(), hits_.end());
    const std::size_t n = std::min(k_, hits_.size());
    for (std::size_t i = 0; i < n; ++i) {
      ids[i] = hits_[i].id;
      scores[i] = hits_[i].score;
    }
    std::fill(ids + n, ids + k_, std::int64_t{-1});
    std::fill(scores + n, scores + k_, -std::numeric_limits<float>::infinity());
    clear();
  }

 private:
  void clear() {
    hits_.clear();
    full_ = false;
  }

  void shrink() {
    const auto kth = hits_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(hits_.begin(), kth, hits_.end());
    worst_ = *kth;
    full_ = true;
    hits_.resize(k_);
  }

  std::size_t k_;
  std::vector<Hit> hits_;
  bool full_ = false;  // k hits are held, none of them after worst_
  Hit worst_{};
};

}  // namespace ecocore::topk
