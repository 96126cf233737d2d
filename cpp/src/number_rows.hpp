// Rows of numbers in as few bits as they are kept in, see recurrent.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "ecocore/recurrent.hpp"
#include "lazy_array.hpp"

namespace ecocore {

class NumberRows {
 public:
  NumberRows() = default;
  NumberRows(Number type, std::int64_t rows, std::int64_t cols);  // of zeros
  explicit NumberRows(const NumberView& values);                  // a copy; throws InvalidArgument for NaN and inf

  std::int64_t cols() const { return cols_; }
  std::int64_t row_bytes() const;  // with the scale
  std::int64_t bytes() const;

  // Rounds to the nearest that the type has, ties to even; float16 stops at its largest, 65504.
  void set(std::int64_t row, const float* values);

  // The row as floats: where it lies, or widened into `room`.
  const float* read(std::int64_t row, float* room) const;

  // Where the row lies. Asks for its scale, which lies elsewhere.
  const char* locate(std::int64_t row) const;

 private:
  Number type_ = Number::kFloat32;
  std::int64_t cols_ = 0;
  std::int64_t rows_ = 0;
  LazyArray<float> floats_;  // one of these three
  LazyArray<std::uint16_t> halves_;
  LazyArray<std::int8_t> codes_;
  std::vector<float> scales_;
};

}  // namespace ecocore
