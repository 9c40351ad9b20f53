// Instruction sets: which ones this build holds, which ones the processor has, and how a kernel compiled for each is reached.
//
// A kernel file (csrc/cpu/<op>.cpp) is compiled once for each set; inside PYBACKDOOR_OPEN ... PYBACKDOOR_CLOSE it defines
//     extern const OpKernels op_kernels; const OpKernels op_kernels = {&first<float>, ...};   // a struct of function pointers, declared outside the
//     namespace
// and <op>_host.cpp, compiled once without flags, declares them with PYBACKDOOR_DECLARE_KERNELS(OpKernels, op_kernels) and picks one with
//     const OpKernels& kernels = PYBACKDOOR_PICK_KERNELS(op_kernels, set);
#pragma once

namespace pybackdoor {

enum class InstructionSet { portable, avx2, avx512 };

const char* name_of(InstructionSet set);
bool is_available(InstructionSet set);                              // in this build and on this processor
InstructionSet widest();                                            // of those available
bool parse_instruction_set(const char* name, InstructionSet& set);  // false for an unknown name

}  // namespace pybackdoor

#if defined(PYBACKDOOR_X86)
#define PYBACKDOOR_DECLARE_KERNELS(Table, name) \
  namespace pybackdoor {                        \
  namespace portable {                          \
  extern const Table name;                      \
  }                                             \
  namespace avx2 {                              \
  extern const Table name;                      \
  }                                             \
  namespace avx512 {                            \
  extern const Table name;                      \
  }                                             \
  }
#define PYBACKDOOR_PICK_KERNELS(name, set)                                    \
  ((set) == ::pybackdoor::InstructionSet::avx512 ? ::pybackdoor::avx512::name \
   : (set) == ::pybackdoor::InstructionSet::avx2 ? ::pybackdoor::avx2::name   \
                                                 : ::pybackdoor::portable::name)
#else
#define PYBACKDOOR_DECLARE_KERNELS(Table, name) \
  namespace pybackdoor {                        \
  namespace portable {                          \
  extern const Table name;                      \
  }                                             \
  }
#define PYBACKDOOR_PICK_KERNELS(name, set) (static_cast<void>(set), ::pybackdoor::portable::name)
#endif
