#include "ecocore/evaluate.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "ecocore/error.hpp"
#include "ecocore/parallel.hpp"

namespace ecocore {
namespace {

constexpr std::int64_t kUserGrain = 256;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

bool row_has(const CsrView& m, std::int64_t row, std::int64_t item) {
  return std::binary_search(m.indices + m.begin(row), m.indices + m.end(row), item);
}

// 1 / log2(rank + 1) for rank = 1 .. k, at [rank - 1].
std::vector<double> discounts(std::int64_t k) {
  std::vector<double> out(at(k));
  for (std::int64_t i = 0; i < k; ++i) out[at(i)] = 1.0 / std::log2(static_cast<double>(i + 2));
  return out;
}

// Refuses ids that no catalogue of `items` holds, and rows that name one twice: either would make the metrics lie.
void check_ranking(const std::int64_t* ids, std::int64_t k, std::int64_t row, std::int64_t items,
                   std::vector<std::int64_t>& sorted) {
  sorted.assign(ids, ids + k);
  std::sort(sorted.begin(), sorted.end());
  if (k > 0 && (sorted.front() < -1 || sorted.back() >= items))
    throw InvalidArgument("ids: row " + std::to_string(row) + " holds item " +
                          std::to_string(sorted.front() < -1 ? sorted.front() : sorted.back()) + ", expected 0 to " +
                          std::to_string(items - 1) + ", or -1 for none");
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i] >= 0 && sorted[i] == sorted[i - 1])
      throw InvalidArgument("ids: row " + std::to_string(row) + " recommends item " + std::to_string(sorted[i]) +
                            " twice; a ranking holds each item once");
}

}  // namespace

void ranking_metrics(MatrixView<const std::int64_t> ids, const CsrView& relevant, const RankingOptions& options,
                     double* out, std::uint8_t* recommended) {
  const std::int64_t k = options.k;
  const std::vector<double> discount = discounts(k);
  std::vector<double> ideal(at(k) + 1, 0.0);
  for (std::int64_t i = 0; i < k; ++i) ideal[at(i) + 1] = ideal[at(i)] + discount[at(i)];

  parallel_for(0, ids.rows, kUserGrain, options.threads, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<std::int64_t> sorted;
    for (std::int64_t u = first; u < last; ++u) {
      check_ranking(ids.row(u), k, u, relevant.cols, sorted);
      const auto excluded = [&](std::int64_t item) { return options.exclude && row_has(*options.exclude, u, item); };
      std::int64_t total = relevant.row_size(u);
      if (options.exclude)
        for (std::int64_t j = relevant.begin(u); j < relevant.end(u); ++j) total -= excluded(relevant.indices[j]);
      const auto write = [&](RankingMetric metric, double value) { out[metric * ids.rows + u] = value; };
      if (total == 0) {
        for (std::int64_t m = 0; m < kMetrics; ++m)
          write(static_cast<RankingMetric>(m), std::numeric_limits<double>::quiet_NaN());
        continue;
      }
      std::int64_t hits = 0, first_hit = 0;
      double gain = 0.0, precisions = 0.0;
      for (std::int64_t i = 0; i < k; ++i) {
        const std::int64_t item = ids.row(u)[i];
        if (item < 0 || excluded(item)) continue;
        std::atomic_ref(recommended[item]).store(1, std::memory_order_relaxed);
        if (!row_has(relevant, u, item)) continue;
        ++hits;
        if (hits == 1) first_hit = i + 1;
        gain += discount[at(i)];
        precisions += static_cast<double>(hits) / static_cast<double>(i + 1);
      }
      const std::int64_t reachable = std::min(k, total);
      write(kRecall, static_cast<double>(hits) / static_cast<double>(options.truncated_recall ? reachable : total));
      write(kPrecision, static_cast<double>(hits) / static_cast<double>(k));
      write(kNdcg, gain / ideal[at(reachable)]);
      write(kHit, hits > 0 ? 1.0 : 0.0);
      write(kReciprocalRank, hits > 0 ? 1.0 / static_cast<double>(first_hit) : 0.0);
      write(kAveragePrecision, precisions / static_cast<double>(reachable));
    }
  });
}

void score_candidates(MatrixView<const float> user_factors, MatrixView<const float> item_factors,
                      const std::int64_t* users, MatrixView<const std::int64_t> items, int threads, double* scores) {
  parallel_for(0, items.rows, kUserGrain, threads, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r) {
      const float* user = user_factors.row(users[r]);
      for (std::int64_t j = 0; j < items.cols; ++j) {
        double sum = 0.0;
        if (const std::int64_t item = items.row(r)[j]; item >= 0) {
          const float* factors = item_factors.row(item);
          for (std::int64_t f = 0; f < item_factors.cols; ++f)
            sum += static_cast<double>(user[f]) * static_cast<double>(factors[f]);
        }
        scores[r * items.cols + j] = static_cast<double>(static_cast<float>(sum));
      }
    }
  });
}

void candidate_ranks(MatrixView<const std::int64_t> items, MatrixView<const double> scores, bool ties_favour_test,
                     int threads, std::int64_t* ranks) {
  parallel_for(0, items.rows, kUserGrain, threads, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<std::int64_t> ahead;
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t* item = items.row(r);
      const double* score = scores.row(r);
      // Scores of an item that is named again may differ in a caller's matrix; the first one counts.
      ahead.clear();
      for (std::int64_t j = 1; j < items.cols; ++j)
        if (item[j] >= 0 && item[j] != item[0]) ahead.push_back(j);
      std::sort(ahead.begin(), ahead.end(),
                [&](auto x, auto y) { return item[x] != item[y] ? item[x] < item[y] : x < y; });
      ahead.erase(std::unique(ahead.begin(), ahead.end(), [&](auto x, auto y) { return item[x] == item[y]; }),
                  ahead.end());
      ranks[r] = 1 + std::count_if(ahead.begin(), ahead.end(), [&](auto j) {
                   return ties_favour_test ? score[j] > score[0] : score[j] >= score[0];
                 });
    }
  });
}

void recommend_popular(const PopularItems& popular, const CsrView& history, bool repeat, std::int64_t k, int threads,
                       std::int64_t* ids, float* scores) {
  constexpr std::int64_t kUnlisted = -1;
  std::vector<std::int64_t> place(at(history.cols), kUnlisted);
  for (std::int64_t i = 0; i < popular.count; ++i) place[at(popular.order[i])] = i;

  parallel_for(0, history.rows, kUserGrain, threads, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<std::int64_t> own;  // positions in history.indices
    for (std::int64_t u = first; u < last; ++u) {
      std::int64_t* id = ids + u * k;
      float* score = scores + u * k;
      std::int64_t filled = 0;
      const auto put = [&](std::int64_t item, float value) {
        id[filled] = item;
        score[filled++] = value;
      };
      const auto weight = [&](std::int64_t j) { return history.data ? history.data[j] : 1.0f; };
      if (repeat) {
        own.clear();
        for (std::int64_t j = history.begin(u); j < history.end(u); ++j)
          if (place[at(history.indices[j])] != kUnlisted) own.push_back(j);
        const auto take = std::min<std::int64_t>(k, static_cast<std::int64_t>(own.size()));
        std::partial_sort(own.begin(), own.begin() + take, own.end(), [&](auto x, auto y) {
          if (weight(x) != weight(y)) return weight(x) > weight(y);
          return place[at(history.indices[x])] < place[at(history.indices[y])];
        });
        for (std::int64_t i = 0; i < take; ++i) put(history.indices[own[at(i)]], 1.0f + weight(own[at(i)]));
      }
      for (std::int64_t i = 0; i < popular.count && filled < k; ++i) {
        const std::int64_t item = popular.order[i];
        if (!row_has(history, u, item)) put(item, popular.score[item]);
      }
      while (filled < k) put(-1, -std::numeric_limits<float>::infinity());
    }
  });
}

}  // namespace ecocore
