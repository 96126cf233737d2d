#include "als_row.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "ecocore/error.hpp"

namespace ecocore {
namespace {

// Rows per tile: 64 factors x 32 rows are 8 KB, so that a gathered tile is still in the first cache when it is used.
constexpr std::int64_t kTileRows = 32;
// A row whose factors take at most this much is gathered once and read again from the scratch, in order, which even the
// last cache serves fast enough. Measured on Zen 5, 64 factors: 0.4 MB costs 20 % more time than 2 MB, 4 MB saves 3 %.
constexpr std::int64_t kResidentBytes = 2 * 1024 * 1024;
// Below this squared residual CG has converged; implicit's threshold.
constexpr float kConverged = 1e-20f;

std::int64_t resident_rows(std::int64_t ld) {
  const std::int64_t rows = kResidentBytes / (ld * static_cast<std::int64_t>(sizeof(float)));
  return std::max(rows / kTileRows, std::int64_t{1}) * kTileRows;
}

}  // namespace

AlsShared::AlsShared(const AlsProblem& p, const AlsOptions& o)
    : problem(p),
      options(o),
      kernels(ecocore::kernels().als),
      factors(p.fixed.cols),
      ld(als_padded(factors)),
      gram(ld * ld) {
  gram.clear();
  const auto w0 = static_cast<double>(p.weights.gram_weight);
  for (std::int64_t i = 0; i < factors; ++i)
    for (std::int64_t k = 0; k < factors; ++k) gram[i * ld + k] = static_cast<float>(w0 * p.gram[i * factors + k]);
  for (std::int64_t i = factors; i < ld; ++i) gram[i * ld + i] = 1.0f;
}

AlsRowSolver::AlsRowSolver(const AlsShared& shared)
    : s_(shared),
      ld_(shared.ld),
      capacity_(resident_rows(ld_)),
      rows_(capacity_ * ld_),
      x_(ld_),
      r_(ld_),
      p_(ld_),
      ap_(ld_) {
  x_.clear();
}

void AlsRowSolver::load(std::int64_t row) {
  const AlsProblem& p = s_.problem;
  const std::int64_t begin = p.interactions.begin(row);
  n_ = p.interactions.row_size(row);
  ids_ = p.interactions.indices + begin;
  // The entries behind the row belong to the rows that are most likely solved next: gather fetches them ahead.
  known_ = p.interactions.indptr[p.interactions.rows] - begin;
  lambda_ = p.regularization[row];
  prior_ = p.prior.data ? p.prior.row(row) : nullptr;
  gathered_ = false;
  t_.reserve(n_);
  w_.reserve(n_);
  const float* values = p.interactions.data;
  for (std::int64_t j = 0; j < n_; ++j) {
    const float c = values ? p.weights.alpha * values[begin + j] : p.weights.alpha;
    t_[j] = std::max(c, 0.0f);
    w_[j] = std::abs(c) + p.weights.weight_offset;
  }
}

template <class F>
void AlsRowSolver::for_tiles(F&& f) {
  const bool resident = n_ <= capacity_;
  if (resident && gathered_) {
    f(rows_.data(), std::int64_t{0}, n_);
    return;
  }
  for (std::int64_t first = 0; first < n_; first += kTileRows) {
    const std::int64_t n = std::min(kTileRows, n_ - first);
    float* tile = rows_.data() + (resident ? first * ld_ : 0);
    s_.kernels.gather(s_.problem.fixed.data, s_.factors, ids_ + first, n, known_ - first, tile, ld_);
    f(tile, first, n);
  }
  gathered_ = true;
}

void AlsRowSolver::solve_cg(const float* start) {
  const AlsKernels& k = s_.kernels;
  float *x = x_.data(), *r = r_.data(), *p = p_.data(), *ap = ap_.data();
  std::copy_n(start, s_.factors, x);

  // r = b - A x
  k.symv(s_.gram.data(), ld_, x, ap);
  for (std::int64_t i = 0; i < ld_; ++i) r[i] = -ap[i] - lambda_ * x[i];
  if (prior_)
    for (std::int64_t i = 0; i < s_.factors; ++i) r[i] += lambda_ * prior_[i];
  for_tiles([&](const float* rows, std::int64_t first, std::int64_t n) {
    k.residual(rows, ld_, n, t_.data() + first, w_.data() + first, x, r);
  });

  std::copy_n(r, ld_, p);
  float rr = k.dot(r, r, ld_);
  for (int step = 0; step < s_.options.cg_steps && rr >= kConverged; ++step) {
    k.symv(s_.gram.data(), ld_, p, ap);
    k.axpy(lambda_, p, ap, ld_);
    for_tiles([&](const float* rows, std::int64_t first, std::int64_t n) {
      k.product(rows, ld_, n, w_.data() + first, p, ap);
    });
    const float curvature = k.dot(p, ap, ld_);
    if (curvature <= 0.0f) break;  // only rounding can make it so: there is nothing left to gain along p
    const float length = rr / curvature;
    k.axpy(length, p, x, ld_);
    k.axpy(-length, ap, r, ld_);
    const float next = k.dot(r, r, ld_);
    k.xpby(r, next / rr, p, ld_);
    rr = next;
  }
}

// out += sum_j (t_j - w_j <y_j, x>) y_j - (w0 Y^T Y + lambda I) x + lambda prior
void AlsRowSolver::add_residual64(const float* x, double* out) {
  const AlsKernels& k = s_.kernels;
  const std::int64_t f = s_.factors;
  x64_.reserve(ld_);
  dots64_.reserve(std::max(f, kTileRows));
  for (std::int64_t i = 0; i < ld_; ++i) x64_[i] = static_cast<double>(x[i]);
  k.symv64(s_.problem.gram, f, x64_.data(), dots64_.data());
  const auto w0 = static_cast<double>(s_.problem.weights.gram_weight);
  for (std::int64_t i = 0; i < f; ++i) {
    const double pull = x64_[i] - (prior_ ? static_cast<double>(prior_[i]) : 0.0);
    out[i] -= w0 * dots64_[i] + static_cast<double>(lambda_) * pull;
  }
  for_tiles([&](const float* rows, std::int64_t first, std::int64_t count) {
    for (std::int64_t j = 0; j < count; j += kTileRows) {  // a resident row comes as one piece
      const std::int64_t n = std::min(kTileRows, count - j);
      k.dots64(rows + j * ld_, ld_, n, x64_.data(), dots64_.data());
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t at = first + j + i;
        dots64_[i] = static_cast<double>(t_[at]) - static_cast<double>(w_[at]) * dots64_[i];
      }
      k.combine64(rows + j * ld_, ld_, n, dots64_.data(), out);
    }
  });
}

void AlsRowSolver::solve_cholesky(bool refine) {
  const AlsKernels& k = s_.kernels;
  a_.reserve(ld_ * ld_);
  panel_.reserve(kAlsPad * ld_);
  scaled_.reserve(kTileRows * ld_);
  float *x = x_.data(), *a = a_.data();

  std::copy_n(s_.gram.data(), ld_ * ld_, a);
  for (std::int64_t i = 0; i < s_.factors; ++i) a[i * ld_ + i] += lambda_;
  for (std::int64_t i = 0; i < ld_; ++i) x[i] = prior_ && i < s_.factors ? lambda_ * prior_[i] : 0.0f;
  for_tiles([&](const float* rows, std::int64_t first, std::int64_t count) {
    for (std::int64_t j = 0; j < count; j += kTileRows) {
      const std::int64_t n = std::min(kTileRows, count - j);
      k.scale(rows + j * ld_, ld_, n, w_.data() + first + j, scaled_.data());
      k.syrk(scaled_.data(), rows + j * ld_, ld_, n, ld_, a);
    }
    k.combine(rows, ld_, count, t_.data() + first, x);
  });
  if (!k.cholesky_factor(a, ld_, panel_.data())) {
    x[0] = std::nanf("");  // solve() names the row
    return;
  }
  k.cholesky_solve(a, ld_, x);
  if (!refine) return;

  // A in float32 has lost what cancels between its large terms; the residual in float64 has not.
  r64_.reserve(ld_);
  r64_.clear();
  add_residual64(x, r64_.data());
  for (std::int64_t i = 0; i < ld_; ++i) r_[i] = static_cast<float>(r64_[i]);
  k.cholesky_solve(a, ld_, r_.data());
  k.axpy(1.0f, r_.data(), x, ld_);
}

void AlsRowSolver::solve(std::int64_t row, const float* start, float* out) {
  load(row);
  if (n_ == 0) {
    std::fill_n(out, s_.factors, 0.0f);
    return;
  }
  switch (s_.options.solver) {
    case AlsSolver::kCg:
      solve_cg(start);
      break;
    case AlsSolver::kCholesky:
      solve_cholesky(true);
      break;
    case AlsSolver::kAuto:
      if (n_ <= capacity_)
        solve_cg(start);
      else
        solve_cholesky(false);
      break;
  }
  if (!std::isfinite(s_.kernels.dot(x_.data(), x_.data(), ld_)))
    throw InvalidArgument("regularization: the equations of row " + std::to_string(row) + " (" + std::to_string(n_) +
                          " interactions) are singular or overflow float32, with a regularization of " +
                          std::to_string(lambda_) +
                          "; raise regularization, lower alpha, use fewer factors, or scale the values down");
  std::copy_n(x_.data(), s_.factors, out);
}

}  // namespace ecocore
