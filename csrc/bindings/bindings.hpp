// What each binding file adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace pybackdoor {

void bind_ascent(pybind11::module_& module);
void bind_train(pybind11::module_& module);
void bind_vector_math(pybind11::module_& module);

}  // namespace pybackdoor
