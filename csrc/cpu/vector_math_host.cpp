#include "cpu/vector_math.hpp"

PYBACKDOOR_DECLARE_KERNELS(VectorMathKernels, vector_math_table)

namespace pybackdoor {

const VectorMathKernels& vector_math_kernels(InstructionSet set) { return PYBACKDOOR_PICK_KERNELS(vector_math_table, set); }

}  // namespace pybackdoor
