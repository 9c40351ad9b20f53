// The Python module pybackdoor._native: NumPy arrays in and out, the interpreter lock released while kernels run.
#include "bindings/bindings.hpp"

PYBIND11_MODULE(_native, module, pybind11::mod_gil_not_used()) {
  module.doc() = "CPU kernels of pybackdoor; call them through pybackdoor.ops, which checks what it is given.";
  pybackdoor::bind_ascent(module);
  pybackdoor::bind_vector_math(module);
#if defined(PYBACKDOOR_HAS_TRAIN)
  pybackdoor::bind_train(module);
#endif
}
