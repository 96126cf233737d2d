// The scan of quantised items for a block of queries: what cannot be ruled out is kept in bounded memory, and scored
// canonically at the end.
#pragma once

#include <cstdint>
#include <vector>

#include "topk_codes.hpp"
#include "topk_filter.hpp"
#include "topk_score.hpp"
#include "topk_select.hpp"

namespace ecocore::topk {

// The survivors of one query: items whose score lies between two bounds. When there is no room, the threshold is
// raised to the k-th best lower bound and what lies below goes; if that does not help (ties), all are scored and only
// the best k stay. Nothing that could be in the result is ever lost.
class Survivors {
 public:
  // `codes` has room for the padded dimensions; it and `query` stay alive.
  Survivors(const ItemCodes& items, std::int64_t k, const float* query, std::int64_t dimensions, RowFilter filter,
            std::int16_t* codes)
      : items_(items),
        k_(static_cast<std::size_t>(k)),
        capacity_(4 * k_ + 64),
        query_(query),
        codes_(query, dimensions, items.padded_dimensions(), codes),
        filter_(filter),
        best_(k) {
    pending_.reserve(capacity_);
    lower_.reserve(capacity_);
  }

  const TopKQuery* query() const { return &codes_.query; }

  // No item of this group or a later one can be in the result.
  bool done_before(std::int64_t group) const {
    return items_.best_score_from(group, codes_.norm) < static_cast<double>(codes_.query.threshold);
  }

  void add(const TopKSurvivor* found, std::int64_t count, Scorer& scorer);

  // The selection among all that was added.
  Selection& finish(Scorer& scorer);

 private:
  struct Entry {
    float lower, upper;
    std::int32_t id;
  };

  void raise_threshold(float reached);
  void drop();
  void score_all(Scorer& scorer);

  const ItemCodes& items_;
  std::size_t k_, capacity_;
  const float* query_;
  QueryCodes codes_;
  RowFilter filter_;
  std::vector<Entry> pending_;
  std::vector<float> lower_;
  Selection best_;
};

// Scans every `stride`-th tile, beginning with tile `first`, for all queries. They advance together, so that a tile
// serves them all from cache. Queries that are done leave.
void scan(const ItemCodes& items, std::vector<Survivors*> queries, std::int64_t first, std::int64_t stride,
          Scorer& scorer);

}  // namespace ecocore::topk
