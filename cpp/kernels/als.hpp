// The kernels of alternating least squares, see als.inl.hpp.
//
// "Rows" are factor rows copied into scratch: `ld` floats apart, ld a multiple of kAlsPad, zero beyond the true number
// of factors, so that no kernel has a tail. Sums run in the order of the rows; within a row lane by lane, so results
// differ between instruction sets in the last bits, never between threads.
#pragma once

#include <cstdint>

namespace ecocore {

inline constexpr std::int64_t kAlsPad = 16;

struct AlsKernels {
  // rows[j] = table[ids[j]] for j < n, padded with zeros. The first `known` entries of ids (known >= n) may be read
  // ahead to prefetch what the next calls gather.
  void (*gather)(const float* table, std::int64_t cols, const std::int32_t* ids, std::int64_t n, std::int64_t known,
                 float* rows, std::int64_t ld);

  // out += sum_j (t_j - w_j <y_j, p>) y_j: what interactions add to the residual of the normal equations.
  void (*residual)(const float* rows, std::int64_t ld, std::int64_t n, const float* t, const float* w, const float* p,
                   float* out);

  // out += sum_j w_j <y_j, p> y_j: what they add to the product of the matrix with p.
  void (*product)(const float* rows, std::int64_t ld, std::int64_t n, const float* w, const float* p, float* out);

  // out += sum_j t_j y_j
  void (*combine)(const float* rows, std::int64_t ld, std::int64_t n, const float* t, float* out);

  // out[j] = w_j y_j
  void (*scale)(const float* rows, std::int64_t ld, std::int64_t n, const float* w, float* out);

  // Upper triangle (and a little below the diagonal) of the dim x dim matrix `a` += sum_j scaled_j rows_j^T. All three
  // share the leading dimension; dim is a multiple of kAlsPad.
  void (*syrk)(const float* scaled, const float* rows, std::int64_t ld, std::int64_t n, std::int64_t dim, float* a);

  // out = A p for a full symmetric ld x ld matrix.
  void (*symv)(const float* a, std::int64_t ld, const float* p, float* out);

  // A = U^T U in place, from and into the upper triangle; `scratch` holds kAlsPad * ld floats. False when a pivot is
  // not positive: then `a` is not usable.
  bool (*cholesky_factor)(float* a, std::int64_t ld, float* scratch);

  // b becomes the solution of U^T U x = b.
  void (*cholesky_solve)(const float* u, std::int64_t ld, float* b);

  float (*dot)(const float* a, const float* b, std::int64_t n);
  void (*axpy)(float alpha, const float* x, float* y, std::int64_t n);  // y += alpha x
  void (*xpby)(const float* x, float beta, float* y, std::int64_t n);   // y = x + beta y

  // The same in float64, for residuals and losses that must not drown in rounding: x and out are doubles.
  void (*dots64)(const float* rows, std::int64_t ld, std::int64_t n, const double* x, double* out);
  void (*combine64)(const float* rows, std::int64_t ld, std::int64_t n, const double* t, double* out);
  void (*symv64)(const double* a, std::int64_t n, const double* x, double* out);
  void (*syrk64)(const double* rows, std::int64_t ld, std::int64_t n, double* a);  // upper triangle += sum_j y_j y_j^T
};

}  // namespace ecocore
