// The formulas are tested from Python; here, that no input makes the loops leave their arrays.
#include "ecocore/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

TEST(evaluate_refuses_or_judges_any_ids) {
  std::mt19937 rng(4);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(rng);
  };
  const std::vector<std::int64_t> extremes = {std::numeric_limits<std::int64_t>::min(),
                                              std::numeric_limits<std::int64_t>::max(), std::int64_t{1} << 32, -2};
  int judged = 0, refused = 0;
  for (int round = 0; round < 5000; ++round) {
    const std::int64_t users = pick(0, 5), items = pick(1, 9), width = pick(1, items), k = pick(1, width);
    std::vector<std::int64_t> all(static_cast<std::size_t>(items)), ids;
    for (std::int64_t i = 0; i < items; ++i) all[static_cast<std::size_t>(i)] = i;
    std::vector<std::int64_t> indptr{0};
    std::vector<std::int32_t> indices;
    for (std::int64_t u = 0; u < users; ++u) {
      std::shuffle(all.begin(), all.end(), rng);
      ids.insert(ids.end(), all.begin(), all.begin() + width);
      for (std::int32_t i = 0; i < items; ++i)
        if (pick(0, 2) == 0) indices.push_back(i);
      indptr.push_back(static_cast<std::int64_t>(indices.size()));
    }
    if (!ids.empty() && pick(0, 2) == 0)
      ids[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(ids.size()) - 1))] =
          pick(0, 1) ? pick(-1, items) : extremes[static_cast<std::size_t>(pick(0, 3))];
    const CsrView relevant{users, items, indptr.data(), indices.data(), nullptr};
    std::vector<double> out(static_cast<std::size_t>(kMetrics * users));
    std::vector<std::uint8_t> recommended(static_cast<std::size_t>(items), 0);
    try {
      ranking_metrics({ids.data(), users, width}, relevant, {k, false, pick(0, 1) ? &relevant : nullptr, 2}, out.data(),
                      recommended.data());
      for (double v : out) CHECK(std::isnan(v) || (v >= 0 && v <= 1 + 1e-12));
      ++judged;
    } catch (const InvalidArgument&) {
      ++refused;
    }
  }
  CHECK(judged > 1000 && refused > 100);
}

TEST(evaluate_baseline_fills_every_place) {
  const std::vector<std::int64_t> order = {2, 0};  // item 1 may not be recommended
  const std::vector<float> score = {0.25f, 0.0f, 0.5f};
  const std::vector<std::int64_t> indptr = {0, 0, 3};
  const std::vector<std::int32_t> indices = {0, 1, 2};
  const std::vector<float> weights = {1, 5, 1};
  const CsrView history{2, 3, indptr.data(), indices.data(), weights.data()};
  for (bool repeat : {false, true}) {
    std::vector<std::int64_t> ids(8);
    std::vector<float> scores(8);
    recommend_popular({order.data(), 2, score.data()}, history, repeat, 4, 2, ids.data(), scores.data());
    const std::vector<std::int64_t> second =
        repeat ? std::vector<std::int64_t>{2, 0, -1, -1} : std::vector<std::int64_t>{-1, -1, -1, -1};
    CHECK((std::vector<std::int64_t>(ids.begin(), ids.begin() + 4) == std::vector<std::int64_t>{2, 0, -1, -1}));
    CHECK((std::vector<std::int64_t>(ids.begin() + 4, ids.end()) == second));
    CHECK(scores[0] == 0.5f && scores[4] == (repeat ? 2.0f : -std::numeric_limits<float>::infinity()));
  }
}
