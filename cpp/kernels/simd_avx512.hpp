// The vector types of AVX-512 (F, BW, DQ, VL, CD, VNNI): sixteen float lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace ecocore::avx512 {

struct F32 {
  static constexpr int kLanes = 16;
  __m512 v;

  static F32 zero() { return {_mm512_setzero_ps()}; }
  static F32 set1(float x) { return {_mm512_set1_ps(x)}; }
  static F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  friend F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }    // a*b + c
  static F32 fnma(F32 a, F32 b, F32 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a*b
  float sum() const { return _mm512_reduce_add_ps(v); }
};

inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace ecocore::avx512
