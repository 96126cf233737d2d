// The index against its own definition: all canonical scores, sorted. Contracts at size are tested from Python; here
// AddressSanitizer and ThreadSanitizer look on.
#include "ecocore/topk.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"

using namespace ecocore;

namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

struct Result {
  std::vector<std::int64_t> ids;
  std::vector<float> scores;
  bool operator==(const Result&) const = default;
};

Result search(const TopKIndex& index, MatrixView<const float> queries, std::int64_t k, const TopKFilter& filter,
              int threads) {
  Result r{std::vector<std::int64_t>(at(queries.rows * k)), std::vector<float>(at(queries.rows * k))};
  index.search(queries, k, filter, threads, r.ids.data(), r.scores.data());
  return r;
}

Result by_definition(MatrixView<const float> items, const float* bias, MatrixView<const float> queries, std::int64_t k,
                     const TopKFilter& filter) {
  Result r;
  for (std::int64_t q = 0; q < queries.rows; ++q) {
    std::vector<std::pair<float, std::int64_t>> all;  // minus the score, so that the order is the pair's
    for (std::int64_t i = 0; i < items.rows; ++i) {
      if (filter.deny && filter.deny->contains(static_cast<std::int32_t>(i))) continue;
      if (filter.allow && !filter.allow->contains(static_cast<std::int32_t>(i))) continue;
      if (filter.exclude) {
        const std::int32_t* row = filter.exclude->indices;
        const auto id = static_cast<std::int32_t>(i);
        if (std::find(row + filter.exclude->begin(q), row + filter.exclude->end(q), id) != row + filter.exclude->end(q))
          continue;
      }
      double sum = 0;
      for (std::int64_t d = 0; d < items.cols; ++d)
        sum += static_cast<double>(queries.row(q)[d]) * static_cast<double>(items.row(i)[d]);
      all.emplace_back(-(static_cast<float>(sum) + (bias ? bias[i] : 0.0f)), i);
    }
    std::sort(all.begin(), all.end());
    for (std::int64_t j = 0; j < k; ++j) {
      const bool there = j < static_cast<std::int64_t>(all.size());
      r.ids.push_back(there ? all[at(j)].second : -1);
      r.scores.push_back(there ? -all[at(j)].first : -std::numeric_limits<float>::infinity());
    }
  }
  return r;
}

// Few different values, so that scores tie.
std::vector<float> coarse(std::mt19937& rng, std::int64_t n) {
  std::vector<float> out(at(n));
  for (float& x : out) x = static_cast<float>(std::uniform_int_distribution<int>(-3, 3)(rng)) / 4.0f;
  return out;
}

std::vector<float> smooth(std::mt19937& rng, std::int64_t n) {
  std::vector<float> out(at(n));
  std::normal_distribution<float> normal;
  for (float& x : out) x = normal(rng);
  return out;
}

}  // namespace

TEST(topk_matches_its_definition) {
  std::mt19937 rng(10);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(rng);
  };
  for (int round = 0; round < 150; ++round) {
    const std::int64_t n = pick(0, 3) ? pick(1, 400) : pick(2000, 5000), d = pick(1, 70), q = pick(0, 9);
    const std::int64_t k = pick(0, 3) ? std::min<std::int64_t>(n, pick(1, 20)) : n;
    const auto make = pick(0, 1) ? coarse : smooth;
    const auto factors = make(rng, n * d), queries = make(rng, q * d), bias = make(rng, n);
    std::vector<std::uint8_t> flags(at(n));
    for (auto& f : flags) f = pick(0, 2) != 0;
    const auto* mask = reinterpret_cast<const bool*>(flags.data());
    std::vector<std::int32_t> rising, seen;
    for (std::int32_t i = 0; i < n; ++i)
      if (pick(0, 3) == 0) rising.push_back(i);
    std::vector<std::int64_t> indptr{0};
    for (std::int64_t row = 0; row < q; ++row) {
      for (std::int32_t i = 0; i < n; ++i)
        if (pick(0, 4) == 0) seen.push_back(i);
      indptr.push_back(static_cast<std::int64_t>(seen.size()));
    }
    TopKFilter filter;
    if (pick(0, 2) == 0) filter.allow = ItemSet{mask, nullptr, 0};
    if (pick(0, 2) == 0) filter.deny = ItemSet{nullptr, rising.data(), static_cast<std::int64_t>(rising.size())};
    if (pick(0, 1)) filter.exclude = CsrView{q, n, indptr.data(), seen.data(), nullptr};
    const float* b = pick(0, 1) ? bias.data() : nullptr;

    const MatrixView<const float> items{factors.data(), n, d}, asked{queries.data(), q, d};
    const TopKIndex index(items, b, 2);
    const Result want = by_definition(items, b, asked, k, filter);
    for (int threads : {1, 4}) CHECK(search(index, asked, k, filter, threads) == want);
  }
}

TEST(topk_one_index_serves_many_threads) {
  std::mt19937 rng(11);
  const auto factors = smooth(rng, 4000 * 20), queries = smooth(rng, 6 * 20);
  const TopKIndex index({factors.data(), 4000, 20}, nullptr, 2);
  const MatrixView<const float> asked{queries.data(), 6, 20};
  const Result want = search(index, asked, 10, {}, 1);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&, c] {
      for (int round = 0; round < 20; ++round) wrong += !(search(index, asked, 10, {}, 1 + c % 3) == want);
    });
  for (auto& t : callers) t.join();
  CHECK(wrong == 0);
}
