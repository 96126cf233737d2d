#include "ecocore/topk.hpp"

#include <algorithm>
#include <string>

#include "ecocore/error.hpp"
#include "kernels/table.hpp"
#include "topk_select.hpp"

namespace ecocore {
namespace {

using topk::Selection;

constexpr std::int64_t kBlock = 256;  // items scored by one kernel call

// The items one query may return.
struct RowFilter {
  std::optional<ItemSet> allow, deny, candidates, exclude;

  RowFilter(const TopKFilter& f, std::int64_t query)
      : allow(f.allow), deny(f.deny), candidates(row(f.candidates, query)), exclude(row(f.exclude, query)) {}

  bool passes(std::int32_t id) const {
    return (!allow || allow->contains(id)) && (!candidates || candidates->contains(id)) &&
           (!deny || !deny->contains(id)) && (!exclude || !exclude->contains(id));
  }

 private:
  static std::optional<ItemSet> row(const std::optional<CsrView>& m, std::int64_t r) {
    if (!m) return {};
    return ItemSet{nullptr, m->indices + m->begin(r), m->row_size(r)};
  }
};

// Canonical scores of some of an index's items for one query.
class Scorer {
 public:
  Scorer(MatrixView<const float> factors, const float* bias)
      : factors_(factors), bias_(bias), query_(static_cast<std::size_t>(factors.cols)), sums_(kBlock), ids_(kBlock) {}

  void set_query(const float* query) { std::copy(query, query + factors_.cols, query_.begin()); }

  void add(std::int32_t id, Selection& best) {
    ids_[static_cast<std::size_t>(waiting_++)] = id;
    if (waiting_ == kBlock) flush(best);
  }

  void flush(Selection& best) {
    kernels().topk.score(query_.data(), factors_.data, factors_.cols, ids_.data(), waiting_, sums_.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(waiting_); ++i) {
      float score = static_cast<float>(sums_[i]);
      if (bias_) score += bias_[ids_[i]];
      best.push({score, ids_[i]});
    }
    waiting_ = 0;
  }

 private:
  MatrixView<const float> factors_;
  const float* bias_;
  std::vector<double> query_, sums_;
  std::vector<std::int32_t> ids_;
  std::int64_t waiting_ = 0;
};

}  // namespace

bool ItemSet::contains(std::int32_t id) const {
  return mask ? mask[id] : std::binary_search(ids, ids + count, id);
}

TopKIndex::TopKIndex(MatrixView<const float> factors, const float* bias, int threads) : factors_(factors), bias_(bias) {
  require(factors.rows >= 1 && factors.rows < (std::int64_t{1} << 31),
          "item_factors: expected 1 to 2147483647 items (rows), got " + std::to_string(factors.rows));
  require(factors.cols >= 1, "item_factors: expected at least one dimension (column), got none");
  num_threads(threads);  // checks the range
}

void TopKIndex::search(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                       std::int64_t* ids, float* scores, const Poll& poll) const {
  require(queries.cols == dimensions(),
          "queries: expected " + std::to_string(dimensions()) + " columns, got " + std::to_string(queries.cols));
  require(k >= 1 && k <= items(),
          "k: expected 1 to the number of items (" + std::to_string(items()) + "), got " + std::to_string(k));
  for (const auto& m : {filter.candidates, filter.exclude})
    require(!m || m->rows == queries.rows, "filter: expected one row per query");

  parallel_for(
      0, queries.rows, 1, threads,
      [&](std::int64_t begin, std::int64_t end, int) {
        Scorer scorer(factors_, bias_);
        Selection best(k);
        for (std::int64_t q = begin; q < end; ++q) {
          const RowFilter row(filter, q);
          scorer.set_query(queries.row(q));
          for (std::int64_t id = 0; id < items(); ++id)
            if (row.passes(static_cast<std::int32_t>(id))) scorer.add(static_cast<std::int32_t>(id), best);
          scorer.flush(best);
          best.write(ids + q * k, scores + q * k);
        }
      },
      poll);
}

}  // namespace ecocore
