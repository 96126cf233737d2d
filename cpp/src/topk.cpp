#include "ecocore/topk.hpp"

#include <algorithm>
#include <memory>
#include <string>

#include "ecocore/error.hpp"
#include "topk_scan.hpp"

namespace ecocore {
namespace {

using namespace topk;

// Scoring an item outright costs as much as scanning this many; and the scan pays only where it rules out most items.
constexpr std::int64_t kScanGain = 24;
constexpr std::int64_t kMaxQueryBlock = 64;
constexpr std::int64_t kBlockHits = 1 << 16;     // k times the queries of a block: their survivors stay in cache
constexpr std::int64_t kMinPartBytes = 4 << 20;  // of codes; scanning fewer takes no longer than waking a thread

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// How many items `filter` leaves for every query, at most.
std::int64_t allowed_items(const TopKFilter& filter, std::int64_t items) {
  if (!filter.allow) return items;
  return filter.allow->mask ? std::count(filter.allow->mask, filter.allow->mask + items, true) : filter.allow->count;
}

}  // namespace

bool ItemSet::contains(std::int32_t id) const {
  if (mask) return mask[id];
  // Binary search without branches: which half comes next is anyone's guess, and a wrong one costs more than the step.
  const std::int32_t* at = ids;
  for (std::int64_t n = count; n > 1;) {
    const std::int64_t half = n / 2;
    at += half * (at[half] <= id);
    n -= half;
  }
  return count > 0 && *at == id;
}

TopKIndex::TopKIndex(MatrixView<const float> factors, const float* bias, int threads) : factors_(factors), bias_(bias) {
  require(factors.rows >= 1 && factors.rows < (std::int64_t{1} << 31) - kTopKGroup,
          "item_factors: expected 1 to 2147483000 items (rows), got " + std::to_string(factors.rows));
  require(factors.cols >= 1, "item_factors: expected at least one dimension (column), got none");
  codes_ = std::make_unique<const ItemCodes>(factors, bias, threads);
}

TopKIndex::~TopKIndex() = default;

void TopKIndex::search(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                       std::int64_t* ids, float* scores, const Poll& poll) const {
  require(queries.cols == dimensions(),
          "queries: expected " + std::to_string(dimensions()) + " columns, got " + std::to_string(queries.cols));
  require(k >= 1 && k <= items(),
          "k: expected 1 to the number of items (" + std::to_string(items()) + "), got " + std::to_string(k));
  for (const auto& m : {filter.candidates, filter.exclude})
    require(!m || m->rows == queries.rows, "filter: expected one row per query");

  const bool scan_pays = codes_->usable() && k <= items() / kScanGain && !filter.candidates &&
                         allowed_items(filter, items()) >= items() / kScanGain && largest_norm(queries) <= kMaxNorm;
  if (scan_pays)
    search_by_scan(queries, k, filter, threads, ids, scores, poll);
  else
    search_outright(queries, k, filter, threads, ids, scores, poll);
}

void TopKIndex::search_outright(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                                std::int64_t* ids, float* scores, const Poll& poll) const {
  const std::int64_t grain = std::clamp<std::int64_t>(queries.rows / (4 * num_threads(threads)), 1, kMaxQueryBlock);
  parallel_for(
      0, queries.rows, grain, threads,
      [&](std::int64_t begin, std::int64_t end, int) {
        Scorer scorer(factors_, bias_);
        Selection best(k);
        for (std::int64_t q = begin; q < end; ++q) {
          scorer.set_query(queries.row(q));
          RowFilter(filter, q).for_each(items(), [&](std::int32_t id) { scorer.add(id, best); });
          scorer.flush(best);
          best.write(ids + q * k, scores + q * k);
        }
      },
      poll);
}

// Many queries are cut into blocks; where there are fewer blocks than threads, the items are cut into parts as well.
void TopKIndex::search_by_scan(MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter, int threads,
                               std::int64_t* ids, float* scores, const Poll& poll) const {
  const std::int64_t workers = num_threads(threads);
  const std::int64_t block = std::clamp<std::int64_t>(ceil_div(queries.rows, workers), 1,
                                                      std::clamp<std::int64_t>(kBlockHits / k, 8, kMaxQueryBlock));
  const std::int64_t blocks = ceil_div(queries.rows, block);
  const std::int64_t code_bytes = items() * codes_->padded_dimensions();
  const std::int64_t parts = std::clamp<std::int64_t>(workers / std::max<std::int64_t>(1, blocks), 1,
                                                      std::max<std::int64_t>(1, code_bytes / kMinPartBytes));
  std::vector<std::vector<Hit>> found(parts > 1 ? static_cast<std::size_t>(queries.rows * parts) : 0);

  parallel_for(
      0, blocks * parts, 1, threads,
      [&](std::int64_t task, std::int64_t, int) {
        const std::int64_t begin = task / parts * block, end = std::min(queries.rows, begin + block);
        const std::int64_t part = task % parts;
        std::vector<std::int16_t> query_codes(static_cast<std::size_t>((end - begin) * codes_->padded_dimensions()));
        std::vector<Survivors> survivors;
        std::vector<Survivors*> active;
        survivors.reserve(static_cast<std::size_t>(end - begin));
        for (std::int64_t q = begin; q < end; ++q)
          active.push_back(&survivors.emplace_back(*codes_, k, queries.row(q), dimensions(), RowFilter(filter, q),
                                                   query_codes.data() + (q - begin) * codes_->padded_dimensions()));
        Scorer scorer(factors_, bias_);
        scan(*codes_, active, part, parts, scorer);
        for (std::int64_t q = begin; q < end; ++q) {
          Selection& best = survivors[static_cast<std::size_t>(q - begin)].finish(scorer);
          if (parts == 1)
            best.write(ids + q * k, scores + q * k);
          else
            found[static_cast<std::size_t>(q * parts + part)] = best.take();
        }
      },
      poll);

  for (std::int64_t q = 0; parts > 1 && q < queries.rows; ++q) {
    Selection best(k);
    for (std::int64_t part = 0; part < parts; ++part)
      for (const Hit& hit : found[static_cast<std::size_t>(q * parts + part)]) best.push(hit);
    best.write(ids + q * k, scores + q * k);
  }
}

}  // namespace ecocore
