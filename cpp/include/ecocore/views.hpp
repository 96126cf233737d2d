// Non-owning views of the caller's arrays: a pointer and a shape. Sizes are int64 throughout, because
// rows * columns passes 2^31 in ordinary shops.
#pragma once

#include <cstdint>

namespace ecocore {

// Row-major matrix, rows packed without padding.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  T* row(std::int64_t i) const { return data + i * cols; }
  std::int64_t size() const { return rows * cols; }
};

// Compressed sparse rows. `data` may be null where only the pattern matters (exclusions, relevant items).
struct CsrView {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::int64_t* indptr = nullptr;   // rows + 1
  const std::int32_t* indices = nullptr;  // nnz
  const float* data = nullptr;            // nnz or null

  std::int64_t nnz() const { return rows == 0 ? 0 : indptr[rows] - indptr[0]; }
  std::int64_t begin(std::int64_t row) const { return indptr[row]; }
  std::int64_t end(std::int64_t row) const { return indptr[row + 1]; }
  std::int64_t row_size(std::int64_t row) const { return indptr[row + 1] - indptr[row]; }
};

}  // namespace ecocore
