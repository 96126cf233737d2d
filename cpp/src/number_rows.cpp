#include "number_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ecocore/error.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

constexpr float kLargestCode = 127.0f;

std::uint16_t to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  std::uint32_t half;
  if (magnitude >= 0x477ff000u) {  // 65520, from where rounding would give infinity
    half = 0x7bffu;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, which is the last place of 0.5
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {  // the exponent's bias goes from 127 to 15; half a last place, less one where the last bit is even
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

bool all_finite(const float* p, std::int64_t n) {
  return std::all_of(p, p + n, [](float x) { return std::isfinite(x); });
}

}  // namespace

NumberRows::NumberRows(Number type, std::int64_t rows, std::int64_t cols) : type_(type), cols_(cols), rows_(rows) {
  if (type == Number::kFloat32) floats_ = {rows, cols};
  if (type == Number::kFloat16) halves_ = {rows, cols};
  if (type == Number::kInt8) {
    codes_ = {rows, cols};
    scales_.resize(static_cast<std::size_t>(rows));
  }
}

NumberRows::NumberRows(const NumberView& v) : NumberRows(v.type, v.rows, v.cols) {
  const std::int64_t size = v.rows * v.cols;
  bool finite = true;
  if (v.type == Number::kFloat32) {
    const auto* p = static_cast<const float*>(v.data);
    std::copy_n(p, size, floats_.data());
    finite = all_finite(p, size);
  } else if (v.type == Number::kFloat16) {
    const auto* p = static_cast<const std::uint16_t*>(v.data);
    std::copy_n(p, size, halves_.data());
    finite = std::all_of(p, p + size, [](std::uint16_t x) { return (x & 0x7c00) != 0x7c00; });
  } else {
    std::copy_n(static_cast<const std::int8_t*>(v.data), size, codes_.data());
    scales_.assign(v.scale, v.scale + v.rows);
    finite = all_finite(v.scale, v.rows);
  }
  require(finite, "embedding: expected finite weights, got NaN or inf; train or export the model again");
}

std::int64_t NumberRows::row_bytes() const {
  return type_ == Number::kFloat32 ? 4 * cols_ : type_ == Number::kFloat16 ? 2 * cols_ : cols_ + 4;
}

std::int64_t NumberRows::bytes() const {
  return rows_ * row_bytes();
}

void NumberRows::set(std::int64_t row, const float* values) {
  const std::int64_t at = row * cols_;
  if (type_ == Number::kFloat32) {
    std::copy_n(values, cols_, floats_.data() + at);
  } else if (type_ == Number::kFloat16) {
    std::transform(values, values + cols_, halves_.data() + at, to_half);
  } else {
    float largest = 0;
    for (std::int64_t i = 0; i < cols_; ++i) largest = std::max(largest, std::abs(values[i]));
    const float scale = largest / kLargestCode;
    scales_[static_cast<std::size_t>(row)] = scale;
    std::transform(values, values + cols_, codes_.data() + at, [scale](float x) {
      return static_cast<std::int8_t>(scale > 0 ? std::clamp(std::nearbyint(x / scale), -127.0f, 127.0f) : 0.0f);
    });
  }
}

const float* NumberRows::read(std::int64_t row, float* room) const {
  const std::int64_t at = row * cols_;
  if (type_ == Number::kFloat32) return floats_.data() + at;
  if (type_ == Number::kFloat16)
    kernels().recurrent.widen_half(cols_, halves_.data() + at, room);
  else
    kernels().recurrent.widen_codes(cols_, codes_.data() + at, scales_[static_cast<std::size_t>(row)], room);
  return room;
}

const char* NumberRows::locate(std::int64_t row) const {
  const std::int64_t at = row * cols_;
  if (type_ == Number::kFloat32) return reinterpret_cast<const char*>(floats_.data() + at);
  if (type_ == Number::kFloat16) return reinterpret_cast<const char*>(halves_.data() + at);
  __builtin_prefetch(scales_.data() + row, 0, 2);
  return reinterpret_cast<const char*>(codes_.data() + at);
}

}  // namespace ecocore
