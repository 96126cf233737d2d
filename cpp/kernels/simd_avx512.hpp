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
  // Not the plain intrinsics: GCC 12 warns of an uninitialised value inside them.
  static F32 widen_half(const std::uint16_t* p) {
    return {_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static F32 widen_codes(const std::int8_t* p) {
    const __m512i wide = _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {__builtin_convertvector(reinterpret_cast<__v16si>(wide), __v16sf)};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  friend F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }    // a*b + c
  static F32 fnma(F32 a, F32 b, F32 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a*b
  // Masked forms, because GCC 12 warns of an uninitialised operand inside the plain ones.
  __m256 halves() const {
    return _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, v, 0), _mm512_maskz_extractf32x8_ps(0xff, v, 1));
  }
  float sum() const {
    const __m256 h = halves();
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
  }
  static void sum4(const F32 (&a)[4], float* out) {
    const __m256 s =
        _mm256_hadd_ps(_mm256_hadd_ps(a[0].halves(), a[1].halves()), _mm256_hadd_ps(a[2].halves(), a[3].halves()));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  // out[i] = a[i].sum() for eight vectors at once, which takes half the instructions of eight single sums.
  static void sum8(const F32 (&a)[8], float* out) {
    const __m256 lo =
        _mm256_hadd_ps(_mm256_hadd_ps(a[0].halves(), a[1].halves()), _mm256_hadd_ps(a[2].halves(), a[3].halves()));
    const __m256 hi =
        _mm256_hadd_ps(_mm256_hadd_ps(a[4].halves(), a[5].halves()), _mm256_hadd_ps(a[6].halves(), a[7].halves()));
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31)));
  }
};

// Bit l is set where a >= b in lane l.
inline unsigned at_least(F32 a, F32 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ);
}

// Pairs of int16, one for each lane of I32.
struct I16 {
  __m512i v;

  static I16 widen(const std::int8_t* p) {
    return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static I16 repeat_pair(const std::int16_t* p) {
    std::int32_t pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return {_mm512_set1_epi32(pair)};
  }
};

struct I32 {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  __m512i v;

  static I32 zero() { return {_mm512_setzero_si512()}; }
  static I32 load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
  void store(std::int32_t* p) const { _mm512_storeu_si512(p, v); }
  static I32 add_dot(I32 a, I16 x, I16 y) { return {_mm512_dpwssd_epi32(a.v, x.v, y.v)}; }  // a + <x, y>
  // Not _mm512_cvtepi32_ps: GCC 12 warns of an uninitialised value inside it.
  F32 to_float() const { return {__builtin_convertvector(reinterpret_cast<__v16si>(v), __v16sf)}; }
  friend I32 operator+(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
};

inline F32 operator/(F32 a, F32 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
// Masked forms: GCC 12 warns of an uninitialised value inside the plain ones.
inline F32 clamp(F32 x, float low, float high) {
  const __m512 raised = _mm512_mask_max_ps(x.v, 0xffff, x.v, _mm512_set1_ps(low));
  return {_mm512_mask_min_ps(raised, 0xffff, raised, _mm512_set1_ps(high))};
}
// 2^n of whole n in [-126, 127].
inline F32 power_of_two(F32 n) {
  const __m512i whole = _mm512_mask_cvtps_epi32(_mm512_setzero_si512(), 0xffff, n.v);
  const __m512i biased = _mm512_add_epi32(whole, _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_mask_slli_epi32(biased, 0xffff, biased, 23))};
}

inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace ecocore::avx512

#include "kernels/simd_f64.inl.hpp"
