// The mathematics is tested from Python; here, that no shape makes the solvers leave their arrays, and that what they
// return solves the equations.
#include "ecocore/als.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

namespace {

struct Case {
  std::int64_t rows, cols, factors;
  std::vector<std::int64_t> indptr{0};
  std::vector<std::int32_t> indices;
  std::vector<float> data, fixed, regularization, prior, start, solved;
  std::vector<double> gram;

  Case(std::int64_t r, std::int64_t c, std::int64_t f, double density, std::mt19937& rng)
      : rows(r), cols(c), factors(f) {
    std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int32_t col = 0; col < cols; ++col)
        if (uniform(rng) < static_cast<float>(density)) {
          indices.push_back(col);
          data.push_back(uniform(rng) * 4.0f - 1.0f);
        }
      indptr.push_back(static_cast<std::int64_t>(indices.size()));
    }
    fixed = random(cols * f, rng);
    prior = random(rows * f, rng);
    start = random(rows * f, rng);
    solved.assign(static_cast<std::size_t>(rows * f), -7.0f);
    regularization.assign(static_cast<std::size_t>(rows), 0.5f);
    gram.resize(static_cast<std::size_t>(f * f));
    als_gram({fixed.data(), cols, f}, gram.data(), true, 1);
  }

  static std::vector<float> random(std::int64_t n, std::mt19937& rng) {
    std::normal_distribution<float> normal(0.0f, 0.3f);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (float& v : out) v = normal(rng);
    return out;
  }

  AlsProblem problem() const {
    return {{rows, cols, indptr.data(), indices.data(), data.data()},
            {fixed.data(), cols, factors},
            gram.data(),
            regularization.data(),
            {prior.data(), rows, factors},
            {2.0f, 0.0f, 0.3f}};
  }

  void solve(const AlsOptions& options) {
    als_half_sweep(problem(), {start.data(), rows, factors}, {solved.data(), rows, factors}, options);
  }

  // The largest entry of b - A x, by the formula.
  double residual(std::int64_t row) const {
    const float* x = solved.data() + row * factors;
    double worst = 0.0;
    for (std::int64_t i = 0; i < factors; ++i) {
      const auto at = static_cast<std::size_t>(row * factors + i);
      double r = 0.5 * (static_cast<double>(prior[at]) - static_cast<double>(x[i]));
      for (std::int64_t k = 0; k < factors; ++k)
        r -= static_cast<double>(0.3f) * gram[static_cast<std::size_t>(i * factors + k)] * static_cast<double>(x[k]);
      for (std::int64_t j = indptr[static_cast<std::size_t>(row)]; j < indptr[static_cast<std::size_t>(row) + 1]; ++j) {
        const float* y = fixed.data() + indices[static_cast<std::size_t>(j)] * factors;
        const double v = static_cast<double>(data[static_cast<std::size_t>(j)]);
        double s = 0.0;
        for (std::int64_t k = 0; k < factors; ++k) s += static_cast<double>(y[k]) * static_cast<double>(x[k]);
        r += 2.0 * ((v > 0 ? v : 0.0) - std::abs(v) * s) * static_cast<double>(y[i]);
      }
      worst = std::max(worst, std::abs(r));
    }
    return worst;
  }
};

}  // namespace

TEST(als_solves_any_shape) {
  std::mt19937 rng(1);
  for (std::int64_t factors : {1, 2, 15, 16, 17, 31, 33, 48, 65})
    for (std::int64_t cols : {1, 7, 40, 130})
      for (auto solver : {AlsSolver::kCholesky, AlsSolver::kCg, AlsSolver::kAuto}) {
        Case c(6, cols, factors, 0.4, rng);
        c.solve({solver, 200, 2});
        for (std::int64_t row = 0; row < c.rows; ++row) {
          const auto at = static_cast<std::size_t>(row);
          if (c.indptr[at] == c.indptr[at + 1])
            for (std::int64_t i = 0; i < factors; ++i)
              CHECK(c.solved[static_cast<std::size_t>(row * factors + i)] == 0.0f);
          else
            CHECK(c.residual(row) < 1e-4);
        }
      }
}

TEST(als_solves_rows_longer_than_its_scratch) {
  std::mt19937 rng(2);
  for (auto solver : {AlsSolver::kCholesky, AlsSolver::kCg, AlsSolver::kAuto}) {
    Case c(1, 3000, 200, 0.95, rng);  // 2 MB hold 2,520 rows of 208 floats
    c.solve({solver, 200, 1});
    CHECK(c.residual(0) < 5e-3);
  }
}

TEST(als_loss_is_the_sum_over_all_pairs) {
  std::mt19937 rng(3);
  for (std::int64_t factors : {1, 19, 40}) {
    Case c(30, 45, factors, 0.3, rng);
    std::vector<double> start_gram(c.gram.size());
    als_gram({c.start.data(), c.rows, factors}, start_gram.data(), true, 2);
    double want = 0.0;
    for (std::int64_t u = 0; u < c.rows; ++u) {
      std::vector<double> score(static_cast<std::size_t>(c.cols), 0.0);
      for (std::int64_t i = 0; i < c.cols; ++i) {
        for (std::int64_t k = 0; k < factors; ++k)
          score[static_cast<std::size_t>(i)] +=
              static_cast<double>(c.start[static_cast<std::size_t>(u * factors + k)]) *
              static_cast<double>(c.fixed[static_cast<std::size_t>(i * factors + k)]);
        want += static_cast<double>(0.3f) * score[static_cast<std::size_t>(i)] * score[static_cast<std::size_t>(i)];
      }
      for (auto j = c.indptr[static_cast<std::size_t>(u)]; j < c.indptr[static_cast<std::size_t>(u) + 1]; ++j) {
        const double v = static_cast<double>(c.data[static_cast<std::size_t>(j)]);
        const double s = score[static_cast<std::size_t>(c.indices[static_cast<std::size_t>(j)])];
        want += 2.0 * std::abs(v) * std::pow((v > 0 ? 1.0 : 0.0) - s, 2);
      }
    }
    const AlsProblem p = c.problem();
    const double got = als_data_loss(p.interactions, {c.start.data(), c.rows, factors}, p.fixed, start_gram.data(),
                                     p.gram, p.weights, 2);
    CHECK(std::abs(got - want) < 1e-9 * want);
  }
}

TEST(als_names_a_singular_row) {
  std::mt19937 rng(4);
  Case c(2, 5, 8, 1.0, rng);
  c.regularization.assign(2, 0.0f);
  CHECK_THROWS(InvalidArgument, "row 0 (5 interactions)", c.solve({AlsSolver::kCholesky, 3, 1}));
}
