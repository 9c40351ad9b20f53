// Vec of 16 bytes in the compiler's own vector types: SSE2 on x86-64, NEON on 64-bit ARM; simd.hpp describes the operations.
#pragma once

#include "pybackdoor/config.hpp"
#include "pybackdoor/simd_declarations.hpp"

PYBACKDOOR_OPEN

template <class T>
struct Native;
template <>
struct Native<float> {
  typedef float Numbers __attribute__((vector_size(16)));
  typedef unsigned Words __attribute__((vector_size(16)));
  typedef int Truths __attribute__((vector_size(16)));
  using Word = unsigned;
  static constexpr float whole = 12582912.0f;    // 1.5 * 2^23
  static constexpr float integral = 8388608.0f;  // numbers from here on are whole
  static float sqrt(float x) { return __builtin_sqrtf(x); }
};
template <>
struct Native<double> {
  typedef double Numbers __attribute__((vector_size(16)));
  typedef unsigned long long Words __attribute__((vector_size(16)));
  typedef long long Truths __attribute__((vector_size(16)));
  using Word = unsigned long long;
  static constexpr double whole = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double integral = 4503599627370496.0;
  static double sqrt(double x) { return __builtin_sqrt(x); }
};

template <class T>
struct PortableMask {
  typename Native<T>::Truths m;
};

template <class T>
struct PortableBits {
  typename Native<T>::Words b;
};

template <class T>
struct Vec {
  using Scalar = T;
  using Word = typename Native<T>::Word;
  using Mask = PortableMask<T>;
  using Bits = PortableBits<T>;
  using Words = typename Native<T>::Words;
  using Numbers = typename Native<T>::Numbers;
  static constexpr int lanes = 16 / static_cast<int>(sizeof(T));
  Numbers v;
  PYBACKDOOR_HD static Vec load(const T* p) {
    Vec a;
    __builtin_memcpy(&a.v, p, sizeof(a.v));
    return a;
  }
  PYBACKDOOR_HD static Vec all(T x) { return {Numbers{} + x}; }

  PYBACKDOOR_HD friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  PYBACKDOOR_HD friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  PYBACKDOOR_HD friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  PYBACKDOOR_HD friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  PYBACKDOOR_HD friend Vec operator-(Vec a) { return {-a.v}; }
  PYBACKDOOR_HD friend void store(T* p, Vec a) { __builtin_memcpy(p, &a.v, sizeof(a.v)); }
  PYBACKDOOR_HD friend Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
  PYBACKDOOR_HD friend Vec fnma(Vec a, Vec b, Vec c) { return {c.v - a.v * b.v}; }
  PYBACKDOOR_HD friend Vec min(Vec a, Vec b) { return {a.v < b.v ? a.v : b.v}; }
  PYBACKDOOR_HD friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
  PYBACKDOOR_HD friend Vec sqrt(Vec a) {
    for (int lane = 0; lane < lanes; ++lane) a.v[lane] = Native<T>::sqrt(a.v[lane]);
    return a;
  }
  PYBACKDOOR_HD friend Vec abs(Vec a) { return {reinterpret(~sign_bit() & words(a))}; }
  PYBACKDOOR_HD friend Vec copysign(Vec magnitude, Vec sign) { return {reinterpret((~sign_bit() & words(magnitude)) | (sign_bit() & words(sign)))}; }
  PYBACKDOOR_HD friend Vec round_even(Vec a) {
    const Vec rounded = {(a.v + Native<T>::whole) - Native<T>::whole};
    return select(abs(a) < all(Native<T>::integral), rounded, a);
  }
  PYBACKDOOR_HD friend Mask operator<(Vec a, Vec b) { return {a.v < b.v}; }
  PYBACKDOOR_HD friend Mask operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  PYBACKDOOR_HD friend Mask operator>(Vec a, Vec b) { return {a.v > b.v}; }
  PYBACKDOOR_HD friend Mask operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  PYBACKDOOR_HD friend Mask operator==(Vec a, Vec b) { return {a.v == b.v}; }
  PYBACKDOOR_HD friend Mask operator!=(Vec a, Vec b) { return {a.v != b.v}; }
  PYBACKDOOR_HD friend Vec select(Mask m, Vec a, Vec b) { return {m.m ? a.v : b.v}; }
  PYBACKDOOR_HD friend Bits to_bits(Vec a) { return {words(a)}; }
  PYBACKDOOR_HD static Vec of(Words bits) { return {reinterpret(bits)}; }

 private:
  PYBACKDOOR_HD static Words words(Vec a) { return (Words)a.v; }
  PYBACKDOOR_HD static Numbers reinterpret(Words bits) { return (Numbers)bits; }
  PYBACKDOOR_HD static Words sign_bit() { return Words{} + (Word(1) << (8 * sizeof(T) - 1)); }
};

template <class T>
PYBACKDOOR_HD PortableMask<T> operator&(PortableMask<T> a, PortableMask<T> b) {
  return {a.m & b.m};
}
template <class T>
PYBACKDOOR_HD PortableMask<T> operator|(PortableMask<T> a, PortableMask<T> b) {
  return {a.m | b.m};
}
template <class T>
PYBACKDOOR_HD PortableMask<T> operator~(PortableMask<T> a) {
  return {~a.m};
}
template <class T>
PYBACKDOOR_HD bool any(PortableMask<T> a) {
  bool found = false;
  for (int lane = 0; lane < Vec<T>::lanes; ++lane) found = found || a.m[lane] != 0;
  return found;
}
template <class T>
PYBACKDOOR_HD bool all(PortableMask<T> a) {
  return !any(~a);
}

template <class T>
PYBACKDOOR_HD PortableBits<T> operator+(PortableBits<T> a, PortableBits<T> b) {
  return {a.b + b.b};
}
template <class T>
PYBACKDOOR_HD PortableBits<T> operator-(PortableBits<T> a, PortableBits<T> b) {
  return {a.b - b.b};
}
template <class T>
PYBACKDOOR_HD PortableBits<T> operator&(PortableBits<T> a, PortableBits<T> b) {
  return {a.b & b.b};
}
template <class T>
PYBACKDOOR_HD PortableBits<T> operator|(PortableBits<T> a, PortableBits<T> b) {
  return {a.b | b.b};
}
template <class T>
PYBACKDOOR_HD PortableBits<T> operator<<(PortableBits<T> a, int n) {
  return {a.b << n};
}
template <class T>
PYBACKDOOR_HD PortableBits<T> operator>>(PortableBits<T> a, int n) {
  return {a.b >> n};
}
template <class T>
PYBACKDOOR_HD typename Vec<T>::Bits all_bits(typename Vec<T>::Word word) {
  return {typename Vec<T>::Words{} + word};
}
template <class T>
PYBACKDOOR_HD Vec<T> from_bits(typename Vec<T>::Bits bits) {
  return Vec<T>::of(bits.b);
}

PYBACKDOOR_CLOSE

#include "pybackdoor/simd_ldexp.hpp"
