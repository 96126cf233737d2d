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

struct F64 {  // four lanes as in AVX2: more would score sixteen rows at once, more than there often are
  static constexpr int kLanes = 4;
  __m256d v;

  static F64 zero() { return {_mm256_setzero_pd()}; }
  static F64 load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static F64 widen(const float* p) { return {_mm256_cvtps_pd(_mm_loadu_ps(p))}; }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
  friend F64 operator+(F64 a, F64 b) { return {_mm256_add_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm256_mul_pd(a.v, b.v)}; }
  static void transpose(F64 (&m)[4]) {
    const __m256d lo01 = _mm256_unpacklo_pd(m[0].v, m[1].v), hi01 = _mm256_unpackhi_pd(m[0].v, m[1].v);
    const __m256d lo23 = _mm256_unpacklo_pd(m[2].v, m[3].v), hi23 = _mm256_unpackhi_pd(m[2].v, m[3].v);
    m[0].v = _mm256_permute2f128_pd(lo01, lo23, 0x20);
    m[1].v = _mm256_permute2f128_pd(hi01, hi23, 0x20);
    m[2].v = _mm256_permute2f128_pd(lo01, lo23, 0x31);
    m[3].v = _mm256_permute2f128_pd(hi01, hi23, 0x31);
  }
};

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

inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace ecocore::avx512
