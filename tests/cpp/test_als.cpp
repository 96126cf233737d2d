// The solvers against plain Gaussian elimination in float64, on shapes around the vector widths. Quality at size is
// tested from Python; here AddressSanitizer and ThreadSanitizer look on.
#include "ecocore/als.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

struct Problem {
  std::int64_t rows, cols, factors;
  std::vector<std::int64_t> indptr{0};
  std::vector<std::int32_t> indices;
  std::vector<float> data, fixed, regularization, prior;
  std::vector<double> gram;
  AlsWeights weights;

  Problem(std::mt19937& rng, std::int64_t rows_, std::int64_t cols_, std::int64_t factors_, AlsWeights w)
      : rows(rows_), cols(cols_), factors(factors_), gram(at(factors_ * factors_)), weights(w) {
    std::uniform_real_distribution<float> value(-0.5f, 3.0f), factor(-1.0f, 1.0f);
    std::uniform_real_distribution<float> density(0.0f, 1.0f);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float share = density(rng) * density(rng);
      for (std::int32_t c = 0; c < cols; ++c)
        if (density(rng) < share) {
          indices.push_back(c);
          data.push_back(value(rng));
        }
      indptr.push_back(static_cast<std::int64_t>(indices.size()));
      regularization.push_back(0.5f + density(rng));
    }
    for (std::int64_t i = 0; i < cols * factors; ++i) fixed.push_back(factor(rng));
    for (std::int64_t i = 0; i < rows * factors; ++i) prior.push_back(factor(rng));
    als_gram({fixed.data(), cols, factors}, gram.data(), true, 1);
  }

  AlsProblem view() const {
    return {{rows, cols, indptr.data(), indices.data(), data.data()},
            {fixed.data(), cols, factors},
            gram.data(),
            regularization.data(),
            {prior.data(), rows, factors},
            weights};
  }

  std::vector<float> solve(AlsSolver solver, int threads, int steps = 3) const {
    std::vector<float> x = prior;  // start and solution in the same memory
    als_half_sweep(view(), {x.data(), rows, factors}, {x.data(), rows, factors}, {solver, steps, threads});
    return x;
  }

  // The equations of the header, written out; a row without interactions gets zeros.
  std::vector<double> by_elimination(std::int64_t row) const {
    const std::int64_t f = factors;
    if (indptr[at(row)] == indptr[at(row) + 1]) return std::vector<double>(at(f), 0.0);
    std::vector<double> a(at(f * f)), b(at(f));
    const auto y = [&](std::int64_t item, std::int64_t i) { return static_cast<double>(fixed[at(item * f + i)]); };
    const auto lambda = static_cast<double>(regularization[at(row)]);
    for (std::int64_t i = 0; i < f; ++i) {
      b[at(i)] = lambda * static_cast<double>(prior[at(row * f + i)]);
      for (std::int64_t j = 0; j < f; ++j) {
        double sum = 0;
        for (std::int64_t item = 0; item < cols; ++item) sum += y(item, i) * y(item, j);
        a[at(i * f + j)] = static_cast<double>(weights.gram_weight) * sum + (i == j ? lambda : 0);
      }
    }
    for (std::int64_t e = indptr[at(row)]; e < indptr[at(row) + 1]; ++e) {
      const std::int64_t item = indices[at(e)];
      const double c = std::fabs(static_cast<double>(weights.alpha) * static_cast<double>(data[at(e)]));
      const double w = c + static_cast<double>(weights.weight_offset);
      const double t = data[at(e)] > 0 ? c : 0;
      for (std::int64_t i = 0; i < f; ++i) {
        b[at(i)] += t * y(item, i);
        for (std::int64_t j = 0; j < f; ++j) a[at(i * f + j)] += w * y(item, i) * y(item, j);
      }
    }
    for (std::int64_t p = 0; p < f; ++p)  // positive definite: no pivoting
      for (std::int64_t i = p + 1; i < f; ++i) {
        const double m = a[at(i * f + p)] / a[at(p * f + p)];
        for (std::int64_t j = p; j < f; ++j) a[at(i * f + j)] -= m * a[at(p * f + j)];
        b[at(i)] -= m * b[at(p)];
      }
    for (std::int64_t i = f - 1; i >= 0; --i) {
      for (std::int64_t j = i + 1; j < f; ++j) b[at(i)] -= a[at(i * f + j)] * b[at(j)];
      b[at(i)] /= a[at(i * f + i)];
    }
    return b;
  }
};

constexpr AlsWeights kImplicit{40.0f, -1.0f, 1.0f}, kIals{1.0f, 0.0f, 0.1f};

}  // namespace

TEST(als_solvers_match_elimination) {
  std::mt19937 rng(6);
  for (const AlsWeights& weights : {kImplicit, kIals})
    for (std::int64_t factors : {1, 2, 7, 8, 15, 16, 17, 33, 64, 70}) {
      const Problem p(rng, 9, 90, factors, weights);
      for (AlsSolver solver : {AlsSolver::kCholesky, AlsSolver::kCg, AlsSolver::kAuto}) {
        const auto x = p.solve(solver, 2, 400);
        for (std::int64_t r = 0; r < p.rows; ++r) {
          const auto want = p.by_elimination(r);
          double error = 0, size = 1e-3;
          for (std::int64_t i = 0; i < factors; ++i) {
            error = std::max(error, std::fabs(static_cast<double>(x[at(r * factors + i)]) - want[at(i)]));
            size = std::max(size, std::fabs(want[at(i)]));
          }
          CHECK(error < 5e-4 * size);
          if (solver == AlsSolver::kCholesky) CHECK(error < 1e-4 * size);
        }
      }
    }
}

TEST(als_same_bits_for_any_thread_count) {
  std::mt19937 rng(7);
  const Problem p(rng, 3000, 60, 24, kImplicit);
  for (AlsSolver solver : {AlsSolver::kCholesky, AlsSolver::kCg, AlsSolver::kAuto}) {
    const auto one = p.solve(solver, 1);
    for (int threads : {2, 5}) CHECK(p.solve(solver, threads) == one);
  }
  std::vector<double> gram(at(24 * 24));
  als_gram({p.prior.data(), p.rows, 24}, gram.data(), true, 1);
  for (int threads : {2, 5}) {
    std::vector<double> again(gram.size());
    als_gram({p.prior.data(), p.rows, 24}, again.data(), true, threads);
    CHECK(again == gram);
  }
}

// Scratch memory is sized by the number of threads: it must not matter that another thread changes that number.
TEST(als_thread_count_may_change_meanwhile) {
  std::mt19937 rng(8);
  const Problem p(rng, 400, 200, 8, kIals);
  const auto want = p.solve(AlsSolver::kCholesky, 1);
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (int i = 0; !stop; ++i) set_num_threads(i % 2 == 0 ? 1 : 8);
  });
  bool same = true;
  for (int round = 0; round < 50; ++round) same = p.solve(AlsSolver::kCholesky, 0) == want && same;
  stop = true;
  changer.join();
  set_num_threads(0);
  CHECK(same);
}

TEST(als_empty_and_singular) {
  std::mt19937 rng(9);
  for (auto [rows, cols] : {std::pair{0, 5}, {5, 0}, {0, 0}}) {
    const Problem p(rng, rows, cols, 4, kImplicit);
    CHECK(p.solve(AlsSolver::kAuto, 2) == std::vector<float>(p.prior.size(), 0.0f));  // no interactions: zeros
  }
  Problem p(rng, 3, 20, 4, kIals);
  std::fill(p.fixed.begin(), p.fixed.end(), std::numeric_limits<float>::max());
  als_gram({p.fixed.data(), p.cols, p.factors}, p.gram.data(), true, 1);
  CHECK_THROWS(InvalidArgument, "", p.solve(AlsSolver::kCholesky, 2));
}
