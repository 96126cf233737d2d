#include "ecocore/als.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "als_row.hpp"
#include "ecocore/error.hpp"

namespace ecocore {
namespace {

// Interactions (or what takes as long) that a thread takes at once: about a millisecond.
constexpr std::int64_t kChunkWork = 16384;
// A row this long is worth starting early, so that no thread is left alone with it at the end.
constexpr std::int64_t kHeavyRow = 4096;

struct Schedule {
  std::vector<std::int64_t> order;   // rows: heavy ones first, longest first, then the rest as they come
  std::vector<std::int64_t> chunks;  // boundaries in `order`
};

Schedule schedule_rows(const CsrView& m, std::int64_t factors) {
  Schedule s;
  s.order.resize(static_cast<std::size_t>(m.rows));
  std::iota(s.order.begin(), s.order.end(), std::int64_t{0});
  const auto light =
      std::stable_partition(s.order.begin(), s.order.end(), [&](std::int64_t r) { return m.row_size(r) >= kHeavyRow; });
  std::stable_sort(s.order.begin(), light,
                   [&](std::int64_t a, std::int64_t b) { return m.row_size(a) > m.row_size(b); });

  const std::int64_t fixed_work = factors / 4 + 1;  // what even a short row costs, in interactions
  std::int64_t work = kChunkWork;
  for (std::size_t i = 0; i < s.order.size(); ++i) {
    if (work >= kChunkWork) {
      s.chunks.push_back(static_cast<std::int64_t>(i));
      work = 0;
    }
    work += m.row_size(s.order[i]) + fixed_work;
  }
  s.chunks.push_back(m.rows);
  return s;
}

void check(const AlsProblem& p, const MatrixView<const float>& start, const MatrixView<float>& solved,
           const AlsOptions& options) {
  const CsrView& m = p.interactions;
  const std::int64_t f = p.fixed.cols;
  const auto shape = [](std::int64_t rows, std::int64_t cols) {
    std::string text = "(";
    return text.append(std::to_string(rows)).append(", ").append(std::to_string(cols)).append(")");
  };
  require(f >= 1, "factors: expected at least 1, got 0");
  require(m.cols == p.fixed.rows, "fixed: expected one row for each of the " + std::to_string(m.cols) +
                                      " columns of the interactions, got " + std::to_string(p.fixed.rows));
  require(start.rows == m.rows && start.cols == f,
          "start: expected shape " + shape(m.rows, f) + ", got " + shape(start.rows, start.cols));
  require(solved.rows == m.rows && solved.cols == f,
          "solved: expected shape " + shape(m.rows, f) + ", got " + shape(solved.rows, solved.cols));
  require(!p.prior.data || (p.prior.rows == m.rows && p.prior.cols == f),
          "prior: expected shape " + shape(m.rows, f) + ", got " + shape(p.prior.rows, p.prior.cols));
  require(options.cg_steps >= 1, "cg_steps: expected at least 1, got " + std::to_string(options.cg_steps));
}

}  // namespace

void als_half_sweep(const AlsProblem& problem, const MatrixView<const float>& start, const MatrixView<float>& solved,
                    const AlsOptions& options, const Poll& poll) {
  check(problem, start, solved, options);
  const AlsShared shared(problem, options);
  const Schedule schedule = schedule_rows(problem.interactions, shared.factors);
  const int threads = num_threads(options.threads);  // asked once: it may change before parallel_for asks again
  std::vector<std::unique_ptr<AlsRowSolver>> solvers(static_cast<std::size_t>(threads));

  const auto chunks = static_cast<std::int64_t>(schedule.chunks.size()) - 1;
  parallel_for(
      0, chunks, 1, threads,
      [&](std::int64_t chunk, std::int64_t, int slot) {
        auto& solver = solvers[static_cast<std::size_t>(slot)];
        if (!solver) solver = std::make_unique<AlsRowSolver>(shared);
        const auto c = static_cast<std::size_t>(chunk);
        for (std::int64_t i = schedule.chunks[c]; i < schedule.chunks[c + 1]; ++i) {
          const std::int64_t row = schedule.order[static_cast<std::size_t>(i)];
          solver->solve(row, start.row(row), solved.row(row));
        }
      },
      poll);
}

}  // namespace ecocore
