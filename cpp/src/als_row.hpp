// One row of a half sweep: gathers what the row touches and solves its system.
#pragma once

#include <cstdint>

#include "als_scratch.hpp"
#include "ecocore/als.hpp"
#include "kernels/table.hpp"

namespace ecocore {

// What all rows of a half sweep share.
struct AlsShared {
  const AlsProblem& problem;
  const AlsOptions& options;
  const AlsKernels& kernels;
  std::int64_t factors, ld;
  AlignedBuffer<float> gram;  // w0 Y^T Y, padded, with ones on the padded diagonal so that it stays definite

  AlsShared(const AlsProblem& p, const AlsOptions& o);
};

// The scratch of one thread and the solvers that work in it.
class AlsRowSolver {
 public:
  explicit AlsRowSolver(const AlsShared& shared);

  // Solves `row` starting from `start` and writes the solution to `out` (both of `factors` entries).
  void solve(std::int64_t row, const float* start, float* out);

 private:
  void load(std::int64_t row);
  void solve_cg(const float* start);
  void solve_cholesky(bool refine);
  void add_residual64(const float* x, double* out);

  // Calls f(rows, first, n) for consecutive tiles of the row's gathered factors. The first pass gathers; later passes
  // find the rows in place when the whole row fits the scratch, and gather again when it does not.
  template <class F>
  void for_tiles(F&& f);

  const AlsShared& s_;
  const std::int64_t ld_;
  const std::int64_t capacity_;  // rows that the scratch holds

  std::int64_t n_ = 0;  // interactions of the current row
  const std::int32_t* ids_ = nullptr;
  std::int64_t known_ = 0;  // entries readable from ids_
  float lambda_ = 0.0f;
  const float* prior_ = nullptr;
  bool gathered_ = false;

  AlignedBuffer<float> rows_, scaled_, t_, w_, x_, r_, p_, ap_, a_, panel_;
  AlignedBuffer<double> x64_, r64_, dots64_;
};

}  // namespace ecocore
