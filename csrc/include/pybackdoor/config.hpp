// Qualifiers and the namespace every shared formula lives in.
//
// Each object is compiled for one instruction set, named by PYBACKDOOR_ISA (avx512, avx2 or portable; CMake sets it with the compiler's flags), and
// all its inline code lives in the inline namespace of that name, so that the linker can never merge a function compiled for one set with that of
// another. Such objects call no inline template of the standard library for the same reason. Without PYBACKDOOR_ISA (C++ tests, bindings, CUDA) the
// formulas work on one number at a time, in the namespace `plain`.
#pragma once

#if defined(__CUDACC__)
#define PYBACKDOOR_HD __host__ __device__ __forceinline__
#else
#define PYBACKDOOR_HD inline __attribute__((always_inline))
#endif

#ifndef PYBACKDOOR_ISA
#define PYBACKDOOR_ISA plain
#define PYBACKDOOR_ISA_PLAIN 1
#endif

#define PYBACKDOOR_OPEN  \
  namespace pybackdoor { \
  inline namespace PYBACKDOOR_ISA {
#define PYBACKDOOR_CLOSE \
  }                      \
  }
