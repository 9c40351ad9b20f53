// Vec of one lane, for host code that is not compiled for an instruction set and for CUDA threads; simd.hpp describes the operations.
#pragma once

#include <cmath>
#include <cstring>

#include "pybackdoor/config.hpp"
#include "pybackdoor/simd_declarations.hpp"

PYBACKDOOR_OPEN

template <class T>
struct WordOf;
template <>
struct WordOf<float> {
  using type = unsigned;
};
template <>
struct WordOf<double> {
  using type = unsigned long long;
};

template <class T>
struct PlainMask {
  bool m;
};

template <class T>
struct PlainBits {
  typename WordOf<T>::type b;
};

template <class T>
struct Vec {
  using Scalar = T;
  using Word = typename WordOf<T>::type;
  using Mask = PlainMask<T>;
  using Bits = PlainBits<T>;
  static constexpr int lanes = 1;
  T v;
  PYBACKDOOR_HD static Vec load(const T* p) { return {*p}; }
  PYBACKDOOR_HD static Vec all(T x) { return {x}; }

  PYBACKDOOR_HD friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  PYBACKDOOR_HD friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  PYBACKDOOR_HD friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  PYBACKDOOR_HD friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  PYBACKDOOR_HD friend Vec operator-(Vec a) { return {-a.v}; }
  PYBACKDOOR_HD friend void store(T* p, Vec a) { *p = a.v; }
  PYBACKDOOR_HD friend Vec fma(Vec a, Vec b, Vec c) { return {std::fma(a.v, b.v, c.v)}; }
  PYBACKDOOR_HD friend Vec fnma(Vec a, Vec b, Vec c) { return {std::fma(-a.v, b.v, c.v)}; }
  PYBACKDOOR_HD friend Vec min(Vec a, Vec b) { return {a.v < b.v ? a.v : b.v}; }
  PYBACKDOOR_HD friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
  PYBACKDOOR_HD friend Vec sqrt(Vec a) { return {std::sqrt(a.v)}; }
  PYBACKDOOR_HD friend Vec abs(Vec a) { return {std::fabs(a.v)}; }
  PYBACKDOOR_HD friend Vec copysign(Vec magnitude, Vec sign) { return {std::copysign(magnitude.v, sign.v)}; }
  PYBACKDOOR_HD friend Vec round_even(Vec a) { return {std::rint(a.v)}; }
  PYBACKDOOR_HD friend Mask operator<(Vec a, Vec b) { return {a.v < b.v}; }
  PYBACKDOOR_HD friend Mask operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  PYBACKDOOR_HD friend Mask operator>(Vec a, Vec b) { return {a.v > b.v}; }
  PYBACKDOOR_HD friend Mask operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  PYBACKDOOR_HD friend Mask operator==(Vec a, Vec b) { return {a.v == b.v}; }
  PYBACKDOOR_HD friend Mask operator!=(Vec a, Vec b) { return {a.v != b.v}; }
  PYBACKDOOR_HD friend Vec select(Mask m, Vec a, Vec b) { return {m.m ? a.v : b.v}; }
  PYBACKDOOR_HD friend Bits to_bits(Vec a) {
    Bits bits;
    memcpy(&bits.b, &a.v, sizeof(T));
    return bits;
  }
};

template <class T>
PYBACKDOOR_HD PlainMask<T> operator&(PlainMask<T> a, PlainMask<T> b) {
  return {a.m && b.m};
}
template <class T>
PYBACKDOOR_HD PlainMask<T> operator|(PlainMask<T> a, PlainMask<T> b) {
  return {a.m || b.m};
}
template <class T>
PYBACKDOOR_HD PlainMask<T> operator~(PlainMask<T> a) {
  return {!a.m};
}
template <class T>
PYBACKDOOR_HD bool any(PlainMask<T> a) {
  return a.m;
}
template <class T>
PYBACKDOOR_HD bool all(PlainMask<T> a) {
  return a.m;
}

template <class T>
PYBACKDOOR_HD PlainBits<T> operator+(PlainBits<T> a, PlainBits<T> b) {
  return {a.b + b.b};
}
template <class T>
PYBACKDOOR_HD PlainBits<T> operator-(PlainBits<T> a, PlainBits<T> b) {
  return {a.b - b.b};
}
template <class T>
PYBACKDOOR_HD PlainBits<T> operator&(PlainBits<T> a, PlainBits<T> b) {
  return {a.b & b.b};
}
template <class T>
PYBACKDOOR_HD PlainBits<T> operator|(PlainBits<T> a, PlainBits<T> b) {
  return {a.b | b.b};
}
template <class T>
PYBACKDOOR_HD PlainBits<T> operator<<(PlainBits<T> a, int n) {
  return {a.b << n};
}
template <class T>
PYBACKDOOR_HD PlainBits<T> operator>>(PlainBits<T> a, int n) {
  return {a.b >> n};
}
template <class T>
PYBACKDOOR_HD typename Vec<T>::Bits all_bits(typename Vec<T>::Word word) {
  return {word};
}
template <class T>
PYBACKDOOR_HD Vec<T> from_bits(typename Vec<T>::Bits bits) {
  Vec<T> a;
  memcpy(&a.v, &bits.b, sizeof(T));
  return a;
}

PYBACKDOOR_CLOSE

#include "pybackdoor/simd_ldexp.hpp"
