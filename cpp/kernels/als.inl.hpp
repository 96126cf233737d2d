// Kernels of alternating least squares, written once against F32 of the including ISA.
namespace ecocore::ECOCORE_ISA {
namespace als {

using i64 = std::int64_t;
constexpr i64 kLanes = F32::kLanes;

// Rows handled at once by the kernels that read each row twice: their dot products overlap, and the vector they share
// is loaded once for all of them.
constexpr i64 kGroup = 8;

// ---- gather
// ----------------------------------------------------------------------------------------------------------

inline void gather(const float* table, i64 cols, const std::int32_t* ids, i64 n, i64 known, float* rows, i64 ld) {
  constexpr i64 kLine = 64 / sizeof(float);
  // Rows between prefetch and use: what is on its way from memory is to fit a quarter of the first cache.
  const i64 ahead = 2048 / cols < 4 ? 4 : 2048 / cols < 64 ? 2048 / cols : 64;
  const i64 whole = cols / kLanes * kLanes;
  for (i64 j = 0; j < n; ++j) {
    if (j + ahead < known) {
      const float* next = table + ids[j + ahead] * cols;
      for (i64 k = 0; k < cols; k += kLine) prefetch(next + k);
      prefetch(next + cols - 1);
    }
    const float* from = table + ids[j] * cols;
    float* to = rows + j * ld;
    for (i64 k = 0; k < whole; k += kLanes) F32::load(from + k).store(to + k);
    for (i64 k = whole; k < cols; ++k) to[k] = from[k];
    for (i64 k = cols; k < ld; ++k) to[k] = 0.0f;
  }
}

// ---- products with the matrix of rows
// --------------------------------------------------------------------------------

// s_r = <row_r, p> for a group of rows
inline void dots(const float* rows, i64 ld, const float* p, float (&s)[kGroup]) {
  F32 sum[kGroup];
  for (i64 r = 0; r < kGroup; ++r) sum[r] = F32::zero();
  for (i64 k = 0; k < ld; k += kLanes) {
    const F32 v = F32::load(p + k);
    for (i64 r = 0; r < kGroup; ++r) sum[r] = F32::fma(F32::load(rows + r * ld + k), v, sum[r]);
  }
  F32::sum8(sum, s);
}

// out += sum_r c_r row_r for a group of rows
inline void add_rows(const float* rows, i64 ld, const float* c, float* out) {
  F32 v[kGroup];
  for (i64 r = 0; r < kGroup; ++r) v[r] = F32::set1(c[r]);
  for (i64 k = 0; k < ld; k += kLanes) {
    // Two sums apart from `out`, so that successive groups wait for each other by one addition only.
    F32 even = F32::load(rows + k) * v[0], odd = F32::load(rows + ld + k) * v[1];
    for (i64 r = 2; r < kGroup; r += 2) {
      even = F32::fma(F32::load(rows + r * ld + k), v[r], even);
      odd = F32::fma(F32::load(rows + (r + 1) * ld + k), v[r + 1], odd);
    }
    (F32::load(out + k) + (even + odd)).store(out + k);
  }
}

inline float dot(const float* a, const float* b, i64 n) {
  F32 sum = F32::zero();
  for (i64 k = 0; k < n; k += kLanes) sum = F32::fma(F32::load(a + k), F32::load(b + k), sum);
  return sum.sum();
}

inline void axpy(float alpha, const float* x, float* y, i64 n) {
  const F32 s = F32::set1(alpha);
  for (i64 k = 0; k < n; k += kLanes) F32::fma(s, F32::load(x + k), F32::load(y + k)).store(y + k);
}

// out += sum_j c(j, <row_j, p>) row_j for rows of V vectors: p, out and four rows at a time stay in registers, so that
// every row is loaded once.
template <int V, class C>
inline void apply_in_registers(const float* rows, i64 n, const float* p, float* out, C&& c) {
  constexpr i64 ld = V * kLanes;
  F32 direction[V], sum[V];
  for (int v = 0; v < V; ++v) direction[v] = F32::load(p + v * kLanes);
  for (int v = 0; v < V; ++v) sum[v] = F32::load(out + v * kLanes);
  i64 j = 0;
  for (; j + 4 <= n; j += 4, rows += 4 * ld) {
    F32 y[4][V], d[4];
    for (int r = 0; r < 4; ++r) {
      for (int v = 0; v < V; ++v) y[r][v] = F32::load(rows + r * ld + v * kLanes);
      d[r] = y[r][0] * direction[0];
      for (int v = 1; v < V; ++v) d[r] = F32::fma(y[r][v], direction[v], d[r]);
    }
    float s[4];
    F32::sum4(d, s);
    for (int r = 0; r < 4; ++r) {
      const F32 w = F32::set1(c(j + r, s[r]));
      for (int v = 0; v < V; ++v) sum[v] = F32::fma(w, y[r][v], sum[v]);
    }
  }
  for (int v = 0; v < V; ++v) sum[v].store(out + v * kLanes);
  for (; j < n; ++j, rows += ld) axpy(c(j, dot(rows, p, ld)), rows, out, ld);
}

template <class C>
inline void apply(const float* rows, i64 ld, i64 n, const float* p, float* out, C&& c) {
  if constexpr (kLanes == 16) {  // the only ISA here with enough registers
    switch (ld / kLanes) {
      case 1:
        return apply_in_registers<1>(rows, n, p, out, c);
      case 2:
        return apply_in_registers<2>(rows, n, p, out, c);
      case 3:
        return apply_in_registers<3>(rows, n, p, out, c);
      case 4:
        return apply_in_registers<4>(rows, n, p, out, c);
      default:
        break;
    }
  }
  i64 j = 0;
  for (; j + kGroup <= n; j += kGroup) {
    float s[kGroup];
    dots(rows + j * ld, ld, p, s);
    for (i64 r = 0; r < kGroup; ++r) s[r] = c(j + r, s[r]);
    add_rows(rows + j * ld, ld, s, out);
  }
  for (; j < n; ++j) axpy(c(j, dot(rows + j * ld, p, ld)), rows + j * ld, out, ld);
}

inline void residual(const float* rows, i64 ld, i64 n, const float* t, const float* w, const float* p, float* out) {
  apply(rows, ld, n, p, out, [=](i64 j, float s) { return t[j] - w[j] * s; });
}

inline void product(const float* rows, i64 ld, i64 n, const float* w, const float* p, float* out) {
  apply(rows, ld, n, p, out, [=](i64 j, float s) { return w[j] * s; });
}

inline void combine(const float* rows, i64 ld, i64 n, const float* t, float* out) {
  i64 j = 0;
  for (; j + kGroup <= n; j += kGroup) add_rows(rows + j * ld, ld, t + j, out);
  for (; j < n; ++j) axpy(t[j], rows + j * ld, out, ld);
}

inline void scale(const float* rows, i64 ld, i64 n, const float* w, float* out) {
  for (i64 j = 0; j < n; ++j) {
    const F32 c = F32::set1(w[j]);
    for (i64 k = j * ld; k < (j + 1) * ld; k += kLanes) (c * F32::load(rows + k)).store(out + k);
  }
}

// ---- symmetric matrices
// ----------------------------------------------------------------------------------------------

// A tile of the update: M rows by V vectors of `a`, kept in registers over all n.
template <int M, int V>
inline void syrk_tile(const float* scaled, const float* rows, i64 ld, i64 n, float* a) {
  F32 sum[M][V];
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v) sum[i][v] = F32::load(a + i * ld + v * kLanes);
  for (i64 j = 0; j < n; ++j) {
    F32 y[V];
    for (int v = 0; v < V; ++v) y[v] = F32::load(rows + j * ld + v * kLanes);
    for (int i = 0; i < M; ++i) {
      const F32 s = F32::set1(scaled[j * ld + i]);
      for (int v = 0; v < V; ++v) sum[i][v] = F32::fma(s, y[v], sum[i][v]);
    }
  }
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v) sum[i][v].store(a + i * ld + v * kLanes);
}

template <int M, int V>
inline i64 syrk_columns(const float* scaled, const float* rows, i64 ld, i64 n, i64 dim, i64 column, float* a) {
  constexpr i64 kWidth = V * kLanes;
  for (; column + kWidth <= dim; column += kWidth)
    for (i64 i = 0; i < column + kWidth; i += M) syrk_tile<M, V>(scaled + i, rows + column, ld, n, a + i * ld + column);
  return column;
}

inline void syrk(const float* scaled, const float* rows, i64 ld, i64 n, i64 dim, float* a) {
  // As many accumulators as the registers hold beside their operands: 16 of 32 with AVX-512, 8 of 16 else.
  constexpr int kM = kLanes == 16 ? 8 : 4;
  constexpr int kV = kLanes == 1 ? 4 : 2;
  const i64 column = syrk_columns<kM, kV>(scaled, rows, ld, n, dim, 0, a);
  syrk_columns<kM, 1>(scaled, rows, ld, n, dim, column, a);
}

template <int V>
inline i64 symv_rows(const float* a, i64 ld, const float* p, i64 row, float* out) {
  for (; row + V * kLanes <= ld; row += V * kLanes) {
    F32 sum[V];
    for (int v = 0; v < V; ++v) sum[v] = F32::zero();
    for (i64 k = 0; k < ld; ++k) {  // by symmetry a column is a row, so the reads are contiguous
      const F32 s = F32::set1(p[k]);
      for (int v = 0; v < V; ++v) sum[v] = F32::fma(F32::load(a + k * ld + row + v * kLanes), s, sum[v]);
    }
    for (int v = 0; v < V; ++v) sum[v].store(out + row + v * kLanes);
  }
  return row;
}

inline void symv(const float* a, i64 ld, const float* p, float* out) {
  const i64 row = symv_rows<8>(a, ld, p, 0, out);
  symv_rows<1>(a, ld, p, symv_rows<4>(a, ld, p, row, out), out);
}

// y = x + beta y
inline void xpby(const float* x, float beta, float* y, i64 n) {
  const F32 s = F32::set1(beta);
  for (i64 k = 0; k < n; k += kLanes) F32::fma(s, F32::load(y + k), F32::load(x + k)).store(y + k);
}

// ---- Cholesky
// --------------------------------------------------------------------------------------------------------

// Rows of U come in panels of kAlsPad: a panel is factored with vector updates along its rows, then subtracted from all
// that lies below it by the same kernel that builds the matrix.
inline bool cholesky_factor(float* a, i64 ld, float* scratch) {
  for (i64 top = 0; top < ld; top += kAlsPad) {
    const i64 bottom = top + kAlsPad;
    for (i64 k = top; k < bottom; ++k) {
      float* pivot_row = a + k * ld;
      const float pivot = pivot_row[k];
      if (!(pivot > 0.0f) || pivot > 3.0e38f) return false;
      const float inverse = 1.0f / __builtin_sqrtf(pivot);
      const F32 s = F32::set1(inverse);
      for (i64 c = top; c < ld; c += kLanes) (s * F32::load(pivot_row + c)).store(pivot_row + c);
      for (i64 i = k + 1; i < bottom; ++i) {
        const F32 u = F32::set1(pivot_row[i]);
        float* row = a + i * ld;
        for (i64 c = top; c < ld; c += kLanes)
          F32::fnma(u, F32::load(pivot_row + c), F32::load(row + c)).store(row + c);
      }
    }
    if (bottom == ld) break;
    const F32 minus = F32::set1(-1.0f);
    for (i64 r = 0; r < kAlsPad; ++r)
      for (i64 c = bottom; c < ld; c += kLanes) (minus * F32::load(a + (top + r) * ld + c)).store(scratch + r * ld + c);
    syrk(scratch + bottom, a + top * ld + bottom, ld, kAlsPad, ld - bottom, a + bottom * ld + bottom);
  }
  return true;
}

// What lies below the diagonal of `u` is not part of U: the entries between the diagonal and the next whole vector are
// done one by one.
inline void cholesky_solve(const float* u, i64 ld, float* b) {
  for (i64 k = 0; k < ld; ++k) {  // U^T z = b
    const float* row = u + k * ld;
    const float z = b[k] / row[k];
    b[k] = z;
    const i64 aligned = (k + kLanes) / kLanes * kLanes;
    for (i64 c = k + 1; c < aligned; ++c) b[c] -= z * row[c];
    axpy(-z, row + aligned, b + aligned, ld - aligned);
  }
  for (i64 k = ld - 1; k >= 0; --k) {  // U x = z
    const float* row = u + k * ld;
    const i64 aligned = (k + kLanes) / kLanes * kLanes;
    float sum = dot(row + aligned, b + aligned, ld - aligned);
    for (i64 c = k + 1; c < aligned; ++c) sum += row[c] * b[c];
    b[k] = (b[k] - sum) / row[k];
  }
}

// ---- float64
// ---------------------------------------------------------------------------------------------------------

// Plain loops over kAlsPad independent sums: the compiler turns them into vectors of this ISA.
inline void dots64(const float* rows, i64 ld, i64 n, const double* x, double* out) {
  for (i64 j = 0; j < n; ++j) {
    const float* row = rows + j * ld;
    double sum[kAlsPad] = {};
    for (i64 k = 0; k < ld; k += kAlsPad)
      for (i64 l = 0; l < kAlsPad; ++l) sum[l] += static_cast<double>(row[k + l]) * x[k + l];
    for (i64 width = kAlsPad / 2; width > 0; width /= 2)
      for (i64 l = 0; l < width; ++l) sum[l] += sum[l + width];
    out[j] = sum[0];
  }
}

inline void combine64(const float* rows, i64 ld, i64 n, const double* t, double* out) {
  for (i64 j = 0; j < n; ++j) {
    const float* row = rows + j * ld;
    const double c = t[j];
    for (i64 k = 0; k < ld; ++k) out[k] += c * static_cast<double>(row[k]);
  }
}

inline void symv64(const double* a, i64 n, const double* x, double* out) {
  for (i64 k = 0; k < n; ++k) out[k] = 0.0;
  for (i64 i = 0; i < n; ++i) {
    const double c = x[i];
    const double* row = a + i * n;
    for (i64 k = 0; k < n; ++k) out[k] += c * row[k];
  }
}

inline void syrk64(const double* rows, i64 ld, i64 n, double* a) {
  constexpr int kM = 4;
  constexpr i64 kWidth = kAlsPad;
  for (i64 column = 0; column < ld; column += kWidth)
    for (i64 i = 0; i < column + kWidth; i += kM) {
      double sum[kM][kWidth];
      for (int m = 0; m < kM; ++m)
        for (i64 c = 0; c < kWidth; ++c) sum[m][c] = a[(i + m) * ld + column + c];
      for (i64 j = 0; j < n; ++j) {
        const double* row = rows + j * ld;
        for (int m = 0; m < kM; ++m)
          for (i64 c = 0; c < kWidth; ++c) sum[m][c] += row[i + m] * row[column + c];
      }
      for (int m = 0; m < kM; ++m)
        for (i64 c = 0; c < kWidth; ++c) a[(i + m) * ld + column + c] = sum[m][c];
    }
}

}  // namespace als

constexpr AlsKernels als_kernels() {
  return {als::gather, als::residual,        als::product,        als::combine, als::scale, als::syrk,
          als::symv,   als::cholesky_factor, als::cholesky_solve, als::dot,     als::axpy,  als::xpby,
          als::dots64, als::combine64,       als::symv64,         als::syrk64};
}

}  // namespace ecocore::ECOCORE_ISA
