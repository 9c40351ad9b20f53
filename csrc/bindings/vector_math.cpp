// The vector functions, for tests, and the arithmetic peak, for benchmarks.
#include "cpu/vector_math.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "cpu/peak.hpp"
#include "pybackdoor/activation.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

constexpr const char* functions[] = {"exp", "tanh", "sigmoid", "erf", "log1p"};

template <class T>
Array<T> function(const std::string& name, const Array<T>& x, const std::string& set) {
  const VectorMathKernels& kernels = vector_math_kernels(instruction_set_named(set));
  for (int index = 0; index < 5; ++index) {
    if (name != functions[index]) continue;
    Array<T> y(x.size());
    const auto which = static_cast<Function>(index);
    if constexpr (sizeof(T) == 4)
      kernels.function_single(which, x.size(), x.data(), y.mutable_data());
    else
      kernels.function_double(which, x.size(), x.data(), y.mutable_data());
    return y;
  }
  throw py::value_error("unknown function '" + name + "'; exp, tanh, sigmoid, erf or log1p is needed");
}

template <class T>
py::tuple activation(int index, const Array<T>& z, const std::string& set) {
  if (index < 0 || index >= activation_count) throw py::value_error("activation must be an index of records.ACTIVATIONS");
  const VectorMathKernels& kernels = vector_math_kernels(instruction_set_named(set));
  Array<T> value(z.size()), derivative(z.size());
  if constexpr (sizeof(T) == 4)
    kernels.activation_single(index, z.size(), z.data(), value.mutable_data(), derivative.mutable_data());
  else
    kernels.activation_double(index, z.size(), z.data(), value.mutable_data(), derivative.mutable_data());
  return py::make_tuple(value, derivative);
}

}  // namespace

void bind_vector_math(py::module_& module) {
  module.def("vector_math", &function<float>, py::arg("name"), py::arg("x").noconvert(), py::arg("instruction_set"));
  module.def("vector_math", &function<double>, py::arg("name"), py::arg("x").noconvert(), py::arg("instruction_set"));
  module.def("activation", &activation<float>, py::arg("index"), py::arg("z").noconvert(), py::arg("instruction_set"));
  module.def("activation", &activation<double>, py::arg("index"), py::arg("z").noconvert(), py::arg("instruction_set"));
  module.def(
      "peak_operations",
      [](std::int64_t rounds, bool single, const std::string& set) {
        const PeakKernels& kernels = peak_kernels(instruction_set_named(set));
        (single ? kernels.single : kernels.full)(rounds);
        return rounds * (single ? kernels.single_operations : kernels.full_operations);
      },
      py::arg("rounds"), py::arg("single"), py::arg("instruction_set"), "Floating-point operations done: chains of multiply-adds in registers.");
  module.def("instruction_sets", [] {
    py::list names;
    for (const InstructionSet set : {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::portable})
      if (is_available(set)) names.append(name_of(set));
    return names;
  });
}

}  // namespace pybackdoor
