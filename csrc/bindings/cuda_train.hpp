// What cuda_train.cpp adds to the module _native_cuda.
#pragma once

#include <pybind11/pybind11.h>

namespace pybackdoor {

void bind_cuda_train(pybind11::module_& module);

}  // namespace pybackdoor
