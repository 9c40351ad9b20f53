// The core's own arithmetic peak, to state shares of: independent chains of fused multiply-adds that never leave the registers.
#pragma once

#include <cstdint>

#include "cpu/dispatch.hpp"

namespace pybackdoor {

struct PeakKernels {
  double (*single)(std::int64_t rounds);  // the return value only keeps the work from being removed
  double (*full)(std::int64_t rounds);
  std::int64_t single_operations, full_operations;  // of one round; a multiply-add is two
};

const PeakKernels& peak_kernels(InstructionSet set);

}  // namespace pybackdoor
