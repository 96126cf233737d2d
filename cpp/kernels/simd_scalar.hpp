// The vector types of plain C++: one lane. The control that every other ISA is tested against.
#pragma once

#include <cstdint>

namespace ecocore::scalar {

struct F32 {
  static constexpr int kLanes = 1;
  float v;

  static F32 zero() { return {0.0f}; }
  static F32 set1(float x) { return {x}; }
  static F32 load(const float* p) { return {*p}; }
  // IEEE half precision: sign, 5 bits of exponent, 10 of fraction. The magnitude's bits as those of a float are 2^-112
  // of its value, whether normal or not; infinities are not expected.
  static F32 widen_half(const std::uint16_t* p) {
    const std::uint32_t magnitude = static_cast<std::uint32_t>(*p & 0x7fff) << 13;
    float out;
    __builtin_memcpy(&out, &magnitude, sizeof(out));
    out *= 0x1p112f;
    return {*p & 0x8000 ? -out : out};
  }
  static F32 widen_codes(const std::int8_t* p) { return {static_cast<float>(*p)}; }
  void store(float* p) const { *p = v; }
  friend F32 operator+(F32 a, F32 b) { return {a.v + b.v}; }
  friend F32 operator-(F32 a, F32 b) { return {a.v - b.v}; }
  friend F32 operator*(F32 a, F32 b) { return {a.v * b.v}; }
  static F32 fma(F32 a, F32 b, F32 c) { return {a.v * b.v + c.v}; }   // a*b + c
  static F32 fnma(F32 a, F32 b, F32 c) { return {c.v - a.v * b.v}; }  // c - a*b
  float sum() const { return v; }
  static void sum4(const F32 (&a)[4], float* out) {
    for (int i = 0; i < 4; ++i) out[i] = a[i].v;
  }
  static void sum8(const F32 (&a)[8], float* out) {
    for (int i = 0; i < 8; ++i) out[i] = a[i].v;
  }
};

// Bit l is set where a >= b in lane l.
inline unsigned at_least(F32 a, F32 b) {
  return a.v >= b.v ? 1u : 0u;
}

struct F64 {
  static constexpr int kLanes = 1;
  double v;

  static F64 zero() { return {0.0}; }
  static F64 load(const double* p) { return {*p}; }
  static F64 widen(const float* p) { return {static_cast<double>(*p)}; }
  void store(double* p) const { *p = v; }
  friend F64 operator+(F64 a, F64 b) { return {a.v + b.v}; }
  friend F64 operator*(F64 a, F64 b) { return {a.v * b.v}; }
  static void transpose(F64 (&)[1]) {}
};

// Pairs of int16, one for each lane of I32.
struct I16 {
  std::int16_t v[2];

  static I16 widen(const std::int8_t* p) { return {{p[0], p[1]}}; }
  static I16 repeat_pair(const std::int16_t* p) { return {{p[0], p[1]}}; }
};

struct I32 {
  static constexpr int kLanes = 1;
  static constexpr int kRegisters = 16;
  std::int32_t v;

  static I32 zero() { return {0}; }
  static I32 load(const std::int32_t* p) { return {*p}; }
  void store(std::int32_t* p) const { *p = v; }
  static I32 add_dot(I32 a, I16 x, I16 y) { return {a.v + x.v[0] * y.v[0] + x.v[1] * y.v[1]}; }  // a + <x, y>
  F32 to_float() const { return {static_cast<float>(v)}; }
  friend I32 operator+(I32 a, I32 b) { return {a.v + b.v}; }
};

inline F32 operator/(F32 a, F32 b) {
  return {a.v / b.v};
}
inline F32 clamp(F32 x, float low, float high) {
  return {x.v < low ? low : x.v > high ? high : x.v};
}
// 2^n of a whole n in [-126, 127].
inline F32 power_of_two(F32 n) {
  const std::int32_t bits = (static_cast<std::int32_t>(n.v) + 127) * (1 << 23);
  float out;
  __builtin_memcpy(&out, &bits, sizeof(out));
  return {out};
}

inline void prefetch(const void*) {}

}  // namespace ecocore::scalar
