// Vec for AVX2 with FMA; simd.hpp describes the operations.
#pragma once

#include <immintrin.h>

#include "pybackdoor/config.hpp"
#include "pybackdoor/simd_declarations.hpp"

PYBACKDOOR_OPEN

template <>
struct Vec<float> {
  using Scalar = float;
  using Word = unsigned;
  static constexpr int lanes = 8;
  __m256 v;
  struct Mask {
    __m256 m;
  };
  struct Bits {
    __m256i b;
  };
  PYBACKDOOR_HD static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  PYBACKDOOR_HD static Vec all(float x) { return {_mm256_set1_ps(x)}; }
};
PYBACKDOOR_HD Vec<float> operator+(Vec<float> a, Vec<float> b) { return {_mm256_add_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator-(Vec<float> a, Vec<float> b) { return {_mm256_sub_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator*(Vec<float> a, Vec<float> b) { return {_mm256_mul_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator/(Vec<float> a, Vec<float> b) { return {_mm256_div_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator-(Vec<float> a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))}; }
PYBACKDOOR_HD void store(float* p, Vec<float> a) { _mm256_storeu_ps(p, a.v); }
PYBACKDOOR_HD Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<float> min(Vec<float> a, Vec<float> b) { return {_mm256_min_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> max(Vec<float> a, Vec<float> b) { return {_mm256_max_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> sqrt(Vec<float> a) { return {_mm256_sqrt_ps(a.v)}; }
PYBACKDOOR_HD Vec<float> abs(Vec<float> a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
PYBACKDOOR_HD Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v))};
}
PYBACKDOOR_HD Vec<float> round_even(Vec<float> a) { return {_mm256_round_ps(a.v, 8)}; }
PYBACKDOOR_HD Vec<float>::Mask operator<(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator<=(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator>(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator>=(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator==(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator!=(Vec<float> a, Vec<float> b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator&(Vec<float>::Mask a, Vec<float>::Mask b) { return {_mm256_and_ps(a.m, b.m)}; }
PYBACKDOOR_HD Vec<float>::Mask operator|(Vec<float>::Mask a, Vec<float>::Mask b) { return {_mm256_or_ps(a.m, b.m)}; }
PYBACKDOOR_HD Vec<float>::Mask operator~(Vec<float>::Mask a) { return {_mm256_xor_ps(a.m, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))}; }
PYBACKDOOR_HD bool any(Vec<float>::Mask a) { return _mm256_movemask_ps(a.m) != 0; }
PYBACKDOOR_HD bool all(Vec<float>::Mask a) { return _mm256_movemask_ps(a.m) == 0xff; }
PYBACKDOOR_HD Vec<float> select(Vec<float>::Mask m, Vec<float> a, Vec<float> b) { return {_mm256_blendv_ps(b.v, a.v, m.m)}; }
PYBACKDOOR_HD Vec<float>::Bits operator+(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm256_add_epi32(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator-(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm256_sub_epi32(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator&(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm256_and_si256(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator|(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm256_or_si256(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator<<(Vec<float>::Bits a, int n) { return {_mm256_slli_epi32(a.b, n)}; }
PYBACKDOOR_HD Vec<float>::Bits operator>>(Vec<float>::Bits a, int n) { return {_mm256_srli_epi32(a.b, n)}; }
PYBACKDOOR_HD Vec<float>::Bits to_bits(Vec<float> a) { return {_mm256_castps_si256(a.v)}; }
template <>
PYBACKDOOR_HD Vec<float>::Bits all_bits<float>(unsigned word) {
  return {_mm256_set1_epi32(static_cast<int>(word))};
}
template <>
PYBACKDOOR_HD Vec<float> from_bits<float>(Vec<float>::Bits a) {
  return {_mm256_castsi256_ps(a.b)};
}

template <>
struct Vec<double> {
  using Scalar = double;
  using Word = unsigned long long;
  static constexpr int lanes = 4;
  __m256d v;
  struct Mask {
    __m256d m;
  };
  struct Bits {
    __m256i b;
  };
  PYBACKDOOR_HD static Vec load(const double* p) { return {_mm256_loadu_pd(p)}; }
  PYBACKDOOR_HD static Vec all(double x) { return {_mm256_set1_pd(x)}; }
};
PYBACKDOOR_HD Vec<double> operator+(Vec<double> a, Vec<double> b) { return {_mm256_add_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator-(Vec<double> a, Vec<double> b) { return {_mm256_sub_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator*(Vec<double> a, Vec<double> b) { return {_mm256_mul_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator/(Vec<double> a, Vec<double> b) { return {_mm256_div_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator-(Vec<double> a) { return {_mm256_xor_pd(a.v, _mm256_set1_pd(-0.0))}; }
PYBACKDOOR_HD void store(double* p, Vec<double> a) { _mm256_storeu_pd(p, a.v); }
PYBACKDOOR_HD Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<double> min(Vec<double> a, Vec<double> b) { return {_mm256_min_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> max(Vec<double> a, Vec<double> b) { return {_mm256_max_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> sqrt(Vec<double> a) { return {_mm256_sqrt_pd(a.v)}; }
PYBACKDOOR_HD Vec<double> abs(Vec<double> a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
PYBACKDOOR_HD Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m256d bit = _mm256_set1_pd(-0.0);
  return {_mm256_or_pd(_mm256_andnot_pd(bit, magnitude.v), _mm256_and_pd(bit, sign.v))};
}
PYBACKDOOR_HD Vec<double> round_even(Vec<double> a) { return {_mm256_round_pd(a.v, 8)}; }
PYBACKDOOR_HD Vec<double>::Mask operator<(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator<=(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator>(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator>=(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator==(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator!=(Vec<double> a, Vec<double> b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_NEQ_UQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator&(Vec<double>::Mask a, Vec<double>::Mask b) { return {_mm256_and_pd(a.m, b.m)}; }
PYBACKDOOR_HD Vec<double>::Mask operator|(Vec<double>::Mask a, Vec<double>::Mask b) { return {_mm256_or_pd(a.m, b.m)}; }
PYBACKDOOR_HD Vec<double>::Mask operator~(Vec<double>::Mask a) { return {_mm256_xor_pd(a.m, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))}; }
PYBACKDOOR_HD bool any(Vec<double>::Mask a) { return _mm256_movemask_pd(a.m) != 0; }
PYBACKDOOR_HD bool all(Vec<double>::Mask a) { return _mm256_movemask_pd(a.m) == 0xf; }
PYBACKDOOR_HD Vec<double> select(Vec<double>::Mask m, Vec<double> a, Vec<double> b) { return {_mm256_blendv_pd(b.v, a.v, m.m)}; }
PYBACKDOOR_HD Vec<double>::Bits operator+(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm256_add_epi64(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator-(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm256_sub_epi64(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator&(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm256_and_si256(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator|(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm256_or_si256(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator<<(Vec<double>::Bits a, int n) { return {_mm256_slli_epi64(a.b, n)}; }
PYBACKDOOR_HD Vec<double>::Bits operator>>(Vec<double>::Bits a, int n) { return {_mm256_srli_epi64(a.b, n)}; }
PYBACKDOOR_HD Vec<double>::Bits to_bits(Vec<double> a) { return {_mm256_castpd_si256(a.v)}; }
template <>
PYBACKDOOR_HD Vec<double>::Bits all_bits<double>(unsigned long long word) {
  return {_mm256_set1_epi64x(static_cast<long long>(word))};
}
template <>
PYBACKDOOR_HD Vec<double> from_bits<double>(Vec<double>::Bits a) {
  return {_mm256_castsi256_pd(a.b)};
}

PYBACKDOOR_CLOSE

#include "pybackdoor/simd_ldexp.hpp"
