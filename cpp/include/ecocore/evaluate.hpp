// How good a ranking is, and the two baselines that any model has to beat. Item -1 stands for "none" throughout.
#pragma once

#include <cstdint>

#include "ecocore/views.hpp"

namespace ecocore {

// The rows of ranking_metrics' result.
enum RankingMetric : std::int64_t { kRecall, kPrecision, kNdcg, kHit, kReciprocalRank, kAveragePrecision, kMetrics };

struct RankingOptions {
  std::int64_t k = 0;
  bool truncated_recall = false;     // divide by min(k, relevant) instead of by relevant
  const CsrView* exclude = nullptr;  // items that count neither as recommended nor as relevant, per user
  int threads = 0;
};

// Judges the first k of each row of `ids` against the same row of `relevant` (rising indices). Writes kMetrics rows of
// one value per user to `out`, NaN where nothing is relevant; sets recommended[item] for every item that was
// recommended to a user who counts (relevant.cols flags, cleared by the caller). Throws InvalidArgument for an id out
// of range or one that a row names twice.
void ranking_metrics(MatrixView<const std::int64_t> ids, const CsrView& relevant, const RankingOptions& options,
                     double* out, std::uint8_t* recommended);

// Dot products of users[r] with each item of row r of `items`: summed in float64 in index order, rounded once. Every id
// lies in range, but an item may be -1, whose score is then 0.
void score_candidates(MatrixView<const float> user_factors, MatrixView<const float> item_factors,
                      const std::int64_t* users, MatrixView<const std::int64_t> items, int threads, double* scores);

// The rank (from 1) of each row's first item among the row's items. Items that a row repeats count once, at their first
// place; items of the same score rank before the first one, or after it where `ties_favour_test`. Scores are not NaN.
void candidate_ranks(MatrixView<const std::int64_t> items, MatrixView<const double> scores, bool ties_favour_test,
                     int threads, std::int64_t* ranks);

// The items that may be recommended to anyone, most popular first.
struct PopularItems {
  const std::int64_t* order = nullptr;  // `count` different items
  std::int64_t count = 0;
  const float* score = nullptr;  // of every item of the catalogue, in [0, 1]
};

// k items for each row of `history` (rising indices): the popular ones that the row does not hold. With `repeat` the
// row's own come first, by weight (history.data, which is not negative; 1 where null), equal ones in order of
// popularity; their score is 1 + weight. Places that stay empty hold -1 and -inf.
void recommend_popular(const PopularItems& popular, const CsrView& history, bool repeat, std::int64_t k, int threads,
                       std::int64_t* ids, float* scores);

}  // namespace ecocore
