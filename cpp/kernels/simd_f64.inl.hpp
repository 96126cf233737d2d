// Four double lanes, for AVX2 and AVX-512 alike: more would score sixteen rows at once, more than there often are.
namespace ecocore::ECOCORE_ISA {

struct F64 {
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

}  // namespace ecocore::ECOCORE_ISA
