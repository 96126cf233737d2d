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
  void store(float* p) const { *p = v; }
  friend F32 operator+(F32 a, F32 b) { return {a.v + b.v}; }
  friend F32 operator-(F32 a, F32 b) { return {a.v - b.v}; }
  friend F32 operator*(F32 a, F32 b) { return {a.v * b.v}; }
  static F32 fma(F32 a, F32 b, F32 c) { return {a.v * b.v + c.v}; }   // a*b + c
  static F32 fnma(F32 a, F32 b, F32 c) { return {c.v - a.v * b.v}; }  // c - a*b
  float sum() const { return v; }
  static void sum8(const F32 (&a)[8], float* out) {
    for (int i = 0; i < 8; ++i) out[i] = a[i].v;
  }
};

inline void prefetch(const void*) {}

}  // namespace ecocore::scalar
