// Checked access to NumPy arrays: the only C++ that raises for a user's mistake.
#pragma once

#include <pybind11/numpy.h>

#include <string>

#include "cpu/dispatch.hpp"

namespace pybackdoor {

// The instruction set of that name; ValueError when it is unknown or this processor lacks it. An empty name is the widest.
inline InstructionSet instruction_set_named(const std::string& name) {
  if (name.empty()) return widest();
  InstructionSet set;
  if (!parse_instruction_set(name.c_str(), set))
    throw pybind11::value_error("unknown instruction set '" + name + "'; avx512, avx2 or portable is needed");
  if (!is_available(set)) throw pybind11::value_error("instruction set '" + name + "' is not available here; the widest is " + name_of(widest()));
  return set;
}

}  // namespace pybackdoor
