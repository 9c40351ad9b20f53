// ldexp and reciprocal, for the instruction sets that have no instruction for them.
#pragma once

#include "pybackdoor/config.hpp"
#include "pybackdoor/simd_declarations.hpp"

PYBACKDOOR_OPEN

template <class T>
struct Format;  // of the IEEE pattern
template <>
struct Format<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr float whole = 8388608.0f;  // 2^23: adding it leaves a whole number in the low bits
};
template <>
struct Format<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr double whole = 4503599627370496.0;  // 2^52
};

// 2^n for whole n between the smallest and the largest normal exponent.
template <class T>
PYBACKDOOR_HD Vec<T> power_of_two(Vec<T> n) {
  using F = Format<T>;
  return from_bits<T>(to_bits(n + Vec<T>::all(F::whole + F::bias)) << F::mantissa_bits);
}

// a * 2^n for whole n within twice the normal exponents. In two factors, the normal one last: a subnormal result is rounded once.
template <class T>
PYBACKDOOR_HD Vec<T> ldexp(Vec<T> a, Vec<T> n) {
  using V = Vec<T>;
  constexpr int bias = Format<T>::bias;
  const V low = max(V::all(T(1 - bias)), min(V::all(T(bias)), n));
  return a * power_of_two(n - low) * power_of_two(low);
}

template <class T>
PYBACKDOOR_HD Vec<T> reciprocal(Vec<T> a) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 4) {
    T r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a.v));  // one instruction, within one unit in the last place
    return {r};
  }
#endif
  return Vec<T>::all(T(1)) / a;
}

PYBACKDOOR_CLOSE
