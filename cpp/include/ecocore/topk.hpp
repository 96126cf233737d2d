// Exact top-k items by inner product.
//
// The score of item x for query q is canonical: the float32 factors are multiplied and summed in float64 in index
// order, the sum is rounded once to float32, and the item's float32 bias, where there is one, is added in float32. (A
// product of two float32 is exact in float64, so fused and separate multiplication give the same bits.)
//
// Results are in total order, score descending, then id ascending. They are therefore the same bits for every batch
// size, thread count and instruction set, and the first k of a longer result.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "ecocore/parallel.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

// A set of items: a mask over all items, or rising ids where `mask` is null.
struct ItemSet {
  const bool* mask = nullptr;
  const std::int32_t* ids = nullptr;
  std::int64_t count = 0;  // of `ids`

  bool contains(std::int32_t id) const;
};

// Which items a query may return; what is absent does not restrict. Rows of the matrices belong to queries and hold
// rising ids.
struct TopKFilter {
  std::optional<ItemSet> allow;
  std::optional<ItemSet> deny;
  std::optional<CsrView> candidates;  // as `allow`, for each query its own
  std::optional<CsrView> exclude;     // as `deny`, for each query its own
};

namespace topk {
class ItemCodes;
}

// A search scans int8 codes of the items with a proven bound and scores the few that the bound cannot rule out
// (src/topk_codes.hpp); where that does not pay, it scores all items that the filter leaves.
class TopKIndex {
 public:
  // Keeps the pointers: factors and bias (null for none) must stay alive and unchanged.
  TopKIndex(MatrixView<const float> factors, const float* bias, int threads);
  ~TopKIndex();

  std::int64_t items() const { return factors_.rows; }
  std::int64_t dimensions() const { return factors_.cols; }

  // Writes k ids and scores per query; where a query has fewer, id -1 and score -inf. Queries are finite.
  void search(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads, std::int64_t* ids,
              float* scores, const Poll& poll = {}) const;

 private:
  void search_outright(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                       std::int64_t* ids, float* scores, const Poll& poll) const;
  void search_by_scan(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                      std::int64_t* ids, float* scores, const Poll& poll) const;

  MatrixView<const float> factors_;
  const float* bias_;
  std::unique_ptr<const topk::ItemCodes> codes_;
};

}  // namespace ecocore
