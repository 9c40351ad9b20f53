// The vector functions by themselves, elementwise over an array: for tests of their accuracy, and for measuring them.
#pragma once

#include <cstdint>

#include "cpu/dispatch.hpp"

namespace pybackdoor {

enum class Function : int { exp, tanh, sigmoid, erf, log1p };

struct VectorMathKernels {
  void (*function_single)(Function, std::int64_t count, const float* x, float* y);
  void (*function_double)(Function, std::int64_t count, const double* x, double* y);
  void (*activation_single)(int activation, std::int64_t count, const float* z, float* value, float* derivative);
  void (*activation_double)(int activation, std::int64_t count, const double* z, double* value, double* derivative);
};

const VectorMathKernels& vector_math_kernels(InstructionSet set);

}  // namespace pybackdoor
