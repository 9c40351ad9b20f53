#include "cpu/peak.hpp"

PYBACKDOOR_DECLARE_KERNELS(PeakKernels, peak_table)

namespace pybackdoor {

const PeakKernels& peak_kernels(InstructionSet set) { return PYBACKDOOR_PICK_KERNELS(peak_table, set); }

}  // namespace pybackdoor
