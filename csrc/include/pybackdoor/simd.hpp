// Vectors of numbers at the width of the instruction set being compiled: Vec<float> and Vec<double>, with the same operations everywhere.
//
//   Vec<T>::lanes            numbers in one vector: 16 or 8 (avx512), 8 or 4 (avx2), 4 or 2 (portable), 1 (plain: host tests and CUDA)
//   Vec<T>::load(p)          from any address; Vec<T>::all(x) the same number in every lane; store(p, v)
//   a + b, a - b, a * b, a / b, -a
//   fma(a, b, c)             a * b + c, fnma(a, b, c)  c - a * b: one rounding (portable: two, that set has no such instruction)
//   min(a, b), max(a, b)     b where either is NaN, so max(low, x) keeps a NaN x
//   sqrt, abs, copysign(magnitude, sign), round_even
//   ldexp(v, n)              n whole and within +-250 (float) or +-2040 (double); the result is rounded once, to subnormals, 0 and infinity too
//   power_of_two(n)          2^n for n the exponent of a normal number; reciprocal(v) for v from 2^-100 to 2^100, within one unit in the last place
//   a < b, <=, >, >=, ==, != give Vec<T>::Mask: m & n, m | n, ~m, any(m), all(m), select(m, where_true, where_false)
//   to_bits(v), from_bits<T>(bits): the IEEE pattern as unsigned lanes (Vec<T>::Bits) with + - & | << >>; all_bits<T>(word)
//
// Include this header in an object that CMake compiles once for each instruction set (csrc/cpu/CMakeLists.txt), write the kernel inside
// PYBACKDOOR_OPEN ... PYBACKDOOR_CLOSE, and reach it through a table of function pointers (csrc/cpu/dispatch.hpp).
#pragma once

#include "pybackdoor/config.hpp"

#if defined(PYBACKDOOR_ISA_AVX512)
#include "pybackdoor/simd_avx512.hpp"
#elif defined(PYBACKDOOR_ISA_AVX2)
#include "pybackdoor/simd_avx2.hpp"
#elif defined(PYBACKDOOR_ISA_PORTABLE)
#include "pybackdoor/simd_portable.hpp"
#else
#include "pybackdoor/simd_plain.hpp"
#endif
