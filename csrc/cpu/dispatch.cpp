#include "cpu/dispatch.hpp"

#include <cstring>
#include <initializer_list>

namespace pybackdoor {

const char* name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

bool is_available(InstructionSet set) {
#if defined(PYBACKDOOR_X86)
  // The compiler's cpuid check covers the operating system's support of the registers as well.
  if (set == InstructionSet::avx512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (set == InstructionSet::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return set == InstructionSet::portable;
}

InstructionSet widest() {
  if (is_available(InstructionSet::avx512)) return InstructionSet::avx512;
  return is_available(InstructionSet::avx2) ? InstructionSet::avx2 : InstructionSet::portable;
}

bool parse_instruction_set(const char* name, InstructionSet& set) {
  for (const InstructionSet candidate : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
    if (std::strcmp(name, name_of(candidate)) == 0) {
      set = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace pybackdoor
