// Vec for AVX-512 (F, DQ); simd.hpp describes the operations.
#pragma once

#include <immintrin.h>

#include "pybackdoor/config.hpp"
#include "pybackdoor/simd_declarations.hpp"

PYBACKDOOR_OPEN

template <>
struct Vec<float> {
  using Scalar = float;
  using Word = unsigned;
  static constexpr int lanes = 16;
  __m512 v;
  struct Mask {
    __mmask16 m;
  };
  struct Bits {
    __m512i b;
  };
  PYBACKDOOR_HD static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  PYBACKDOOR_HD static Vec all(float x) { return {_mm512_set1_ps(x)}; }
};
PYBACKDOOR_HD Vec<float> operator+(Vec<float> a, Vec<float> b) { return {_mm512_add_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator-(Vec<float> a, Vec<float> b) { return {_mm512_sub_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator*(Vec<float> a, Vec<float> b) { return {_mm512_mul_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator/(Vec<float> a, Vec<float> b) { return {_mm512_div_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> operator-(Vec<float> a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
PYBACKDOOR_HD void store(float* p, Vec<float> a) { _mm512_storeu_ps(p, a.v); }
PYBACKDOOR_HD Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<float> min(Vec<float> a, Vec<float> b) { return {_mm512_min_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> max(Vec<float> a, Vec<float> b) { return {_mm512_max_ps(a.v, b.v)}; }
PYBACKDOOR_HD Vec<float> sqrt(Vec<float> a) { return {_mm512_sqrt_ps(a.v)}; }
PYBACKDOOR_HD Vec<float> abs(Vec<float> a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
PYBACKDOOR_HD Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m512 bit = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v))};
}
PYBACKDOOR_HD Vec<float> round_even(Vec<float> a) { return {_mm512_roundscale_ps(a.v, 8)}; }
PYBACKDOOR_HD Vec<float> ldexp(Vec<float> a, Vec<float> n) { return {_mm512_scalef_ps(a.v, n.v)}; }
PYBACKDOOR_HD Vec<float> power_of_two(Vec<float> n) { return {_mm512_scalef_ps(_mm512_set1_ps(1.0f), n.v)}; }
PYBACKDOOR_HD Vec<float> reciprocal(Vec<float> a) {
  const __m512 guess = _mm512_rcp14_ps(a.v);  // 14 bits; one Newton step doubles them
  return {_mm512_fmadd_ps(guess, _mm512_fnmadd_ps(a.v, guess, _mm512_set1_ps(1.0f)), guess)};
}
PYBACKDOOR_HD Vec<float>::Mask operator<(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator<=(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator>(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator>=(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator==(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator!=(Vec<float> a, Vec<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
PYBACKDOOR_HD Vec<float>::Mask operator&(Vec<float>::Mask a, Vec<float>::Mask b) { return {static_cast<__mmask16>(a.m & b.m)}; }
PYBACKDOOR_HD Vec<float>::Mask operator|(Vec<float>::Mask a, Vec<float>::Mask b) { return {static_cast<__mmask16>(a.m | b.m)}; }
PYBACKDOOR_HD Vec<float>::Mask operator~(Vec<float>::Mask a) { return {static_cast<__mmask16>(~a.m)}; }
PYBACKDOOR_HD bool any(Vec<float>::Mask a) { return a.m != 0; }
PYBACKDOOR_HD bool all(Vec<float>::Mask a) { return a.m == 0xffff; }
PYBACKDOOR_HD Vec<float> select(Vec<float>::Mask m, Vec<float> a, Vec<float> b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }
PYBACKDOOR_HD Vec<float>::Bits operator+(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm512_add_epi32(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator-(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm512_sub_epi32(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator&(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm512_and_si512(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator|(Vec<float>::Bits a, Vec<float>::Bits b) { return {_mm512_or_si512(a.b, b.b)}; }
PYBACKDOOR_HD Vec<float>::Bits operator<<(Vec<float>::Bits a, int n) { return {_mm512_slli_epi32(a.b, static_cast<unsigned>(n))}; }
PYBACKDOOR_HD Vec<float>::Bits operator>>(Vec<float>::Bits a, int n) { return {_mm512_srli_epi32(a.b, static_cast<unsigned>(n))}; }
PYBACKDOOR_HD Vec<float>::Bits to_bits(Vec<float> a) { return {_mm512_castps_si512(a.v)}; }
template <>
PYBACKDOOR_HD Vec<float>::Bits all_bits<float>(unsigned word) {
  return {_mm512_set1_epi32(static_cast<int>(word))};
}
template <>
PYBACKDOOR_HD Vec<float> from_bits<float>(Vec<float>::Bits a) {
  return {_mm512_castsi512_ps(a.b)};
}

template <>
struct Vec<double> {
  using Scalar = double;
  using Word = unsigned long long;
  static constexpr int lanes = 8;
  __m512d v;
  struct Mask {
    __mmask8 m;
  };
  struct Bits {
    __m512i b;
  };
  PYBACKDOOR_HD static Vec load(const double* p) { return {_mm512_loadu_pd(p)}; }
  PYBACKDOOR_HD static Vec all(double x) { return {_mm512_set1_pd(x)}; }
};
PYBACKDOOR_HD Vec<double> operator+(Vec<double> a, Vec<double> b) { return {_mm512_add_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator-(Vec<double> a, Vec<double> b) { return {_mm512_sub_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator*(Vec<double> a, Vec<double> b) { return {_mm512_mul_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator/(Vec<double> a, Vec<double> b) { return {_mm512_div_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> operator-(Vec<double> a) { return {_mm512_xor_pd(a.v, _mm512_set1_pd(-0.0))}; }
PYBACKDOOR_HD void store(double* p, Vec<double> a) { _mm512_storeu_pd(p, a.v); }
PYBACKDOOR_HD Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
PYBACKDOOR_HD Vec<double> min(Vec<double> a, Vec<double> b) { return {_mm512_min_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> max(Vec<double> a, Vec<double> b) { return {_mm512_max_pd(a.v, b.v)}; }
PYBACKDOOR_HD Vec<double> sqrt(Vec<double> a) { return {_mm512_sqrt_pd(a.v)}; }
PYBACKDOOR_HD Vec<double> abs(Vec<double> a) { return {_mm512_andnot_pd(_mm512_set1_pd(-0.0), a.v)}; }
PYBACKDOOR_HD Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m512d bit = _mm512_set1_pd(-0.0);
  return {_mm512_or_pd(_mm512_andnot_pd(bit, magnitude.v), _mm512_and_pd(bit, sign.v))};
}
PYBACKDOOR_HD Vec<double> round_even(Vec<double> a) { return {_mm512_roundscale_pd(a.v, 8)}; }
PYBACKDOOR_HD Vec<double> ldexp(Vec<double> a, Vec<double> n) { return {_mm512_scalef_pd(a.v, n.v)}; }
PYBACKDOOR_HD Vec<double> power_of_two(Vec<double> n) { return {_mm512_scalef_pd(_mm512_set1_pd(1.0), n.v)}; }
PYBACKDOOR_HD Vec<double> reciprocal(Vec<double> a) { return {_mm512_div_pd(_mm512_set1_pd(1.0), a.v)}; }
PYBACKDOOR_HD Vec<double>::Mask operator<(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator<=(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator>(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator>=(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator==(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator!=(Vec<double> a, Vec<double> b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
PYBACKDOOR_HD Vec<double>::Mask operator&(Vec<double>::Mask a, Vec<double>::Mask b) { return {static_cast<__mmask8>(a.m & b.m)}; }
PYBACKDOOR_HD Vec<double>::Mask operator|(Vec<double>::Mask a, Vec<double>::Mask b) { return {static_cast<__mmask8>(a.m | b.m)}; }
PYBACKDOOR_HD Vec<double>::Mask operator~(Vec<double>::Mask a) { return {static_cast<__mmask8>(~a.m)}; }
PYBACKDOOR_HD bool any(Vec<double>::Mask a) { return a.m != 0; }
PYBACKDOOR_HD bool all(Vec<double>::Mask a) { return a.m == 0xff; }
PYBACKDOOR_HD Vec<double> select(Vec<double>::Mask m, Vec<double> a, Vec<double> b) { return {_mm512_mask_blend_pd(m.m, b.v, a.v)}; }
PYBACKDOOR_HD Vec<double>::Bits operator+(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm512_add_epi64(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator-(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm512_sub_epi64(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator&(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm512_and_si512(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator|(Vec<double>::Bits a, Vec<double>::Bits b) { return {_mm512_or_si512(a.b, b.b)}; }
PYBACKDOOR_HD Vec<double>::Bits operator<<(Vec<double>::Bits a, int n) { return {_mm512_slli_epi64(a.b, static_cast<unsigned>(n))}; }
PYBACKDOOR_HD Vec<double>::Bits operator>>(Vec<double>::Bits a, int n) { return {_mm512_srli_epi64(a.b, static_cast<unsigned>(n))}; }
PYBACKDOOR_HD Vec<double>::Bits to_bits(Vec<double> a) { return {_mm512_castpd_si512(a.v)}; }
template <>
PYBACKDOOR_HD Vec<double>::Bits all_bits<double>(unsigned long long word) {
  return {_mm512_set1_epi64(static_cast<long long>(word))};
}
template <>
PYBACKDOOR_HD Vec<double> from_bits<double>(Vec<double>::Bits a) {
  return {_mm512_castsi512_pd(a.b)};
}

PYBACKDOOR_CLOSE
