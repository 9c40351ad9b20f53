// Packed networks, values with input gradients, and ascents, on NumPy arrays.
#include "cpu/ascent.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "pybackdoor/packed.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

using Doubles = py::array_t<double, py::array::c_style>;
using Codes = py::array_t<std::int64_t, py::array::c_style>;

// A network in one precision for one instruction set.
template <class T>
class Packed {
 public:
  Packed(const std::vector<Doubles>& weights, const std::vector<Doubles>& biases, int activation, const Doubles& shift, const Doubles& scale,
         const Doubles& rate, double output_shift, double output_scale, const std::string& set)
      : set_(instruction_set_named(set)) {
    if (activation < 0 || activation >= activation_count) throw py::value_error("activation must be an index of records.ACTIVATIONS");
    if (weights.empty() || weights.size() != biases.size()) throw py::value_error("weights and biases: one of each a layer is needed");
    NetworkSource source{static_cast<int>(shift.size()),
                         static_cast<Activation>(activation),
                         {},
                         {},
                         {},
                         shift.data(),
                         scale.data(),
                         rate.data(),
                         output_shift,
                         output_scale};
    if (scale.size() != shift.size() || rate.size() != shift.size()) throw py::value_error("the input map needs three vectors of one length");
    py::ssize_t columns = source.dimension;
    for (std::size_t layer = 0; layer < weights.size(); ++layer) {
      const Doubles& weight = weights[layer];
      if (weight.ndim() != 2 || weight.shape(1) != columns || biases[layer].size() != weight.shape(0))
        throw py::value_error("layer " + std::to_string(layer) + ": the weights' shape does not continue the chain");
      columns = weight.shape(0);
      source.weights.push_back(weight.data());
      source.biases.push_back(biases[layer].data());
      if (layer + 1 < weights.size()) source.widths.push_back(static_cast<int>(columns));
    }
    if (columns != 1) throw py::value_error("the last layer needs one output");
    network_ = std::make_unique<PackedNetwork<T>>(source, ascent_functions<T>(set_).panel);
  }

  NetworkView<T> view() const { return network_->view(); }
  InstructionSet set() const { return set_; }
  std::int64_t bytes() const { return network_->bytes(); }

 private:
  InstructionSet set_;
  std::unique_ptr<PackedNetwork<T>> network_;
};

// A float32 or float64 array [rows] or [rows, columns] of any strides; the checks name the argument.
ArrayView view_of(const py::object& object, const char* name, py::ssize_t rows, py::ssize_t columns) {
  if (object.is_none()) return {nullptr, false, 0, 0};
  if (!py::isinstance<py::array>(object)) throw py::type_error(std::string(name) + ": a NumPy array is needed");
  const auto array = py::reinterpret_borrow<py::array>(object);
  const bool single = py::isinstance<py::array_t<float>>(array);
  if (!single && !py::isinstance<py::array_t<double>>(array)) throw py::type_error(std::string(name) + ": float32 or float64 is needed");
  const bool matrix = columns >= 0;
  if (array.ndim() != (matrix ? 2 : 1) || array.shape(0) != rows || (matrix && array.shape(1) != columns))
    throw py::value_error(std::string(name) + ": the shape does not fit the other arguments");
  const py::ssize_t size = array.itemsize();
  for (int axis = 0; axis < array.ndim(); ++axis)
    if (array.strides(axis) % size) throw py::value_error(std::string(name) + ": strides must be whole elements");
  return {array.data(), single, array.strides(0) / size, matrix ? array.strides(1) / size : 0};
}

void check_output(const py::array& array, const char* name, py::ssize_t size) {
  if (array.size() != size || !array.writeable()) throw py::value_error(std::string(name) + ": a writable array of the right size is needed");
}

py::ssize_t rows_of(const py::object& object, const char* name) {
  if (!py::isinstance<py::array>(object)) throw py::type_error(std::string(name) + ": a NumPy array is needed");
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (array.ndim() != 2) throw py::value_error(std::string(name) + ": a matrix [N, d] is needed");
  return array.shape(0);
}

template <class T>
void evaluate(const Packed<T>& network, const py::object& points, Doubles values, const std::optional<Doubles>& gradients, int threads) {
  const NetworkView<T> view = network.view();
  const py::ssize_t count = rows_of(points, "points");
  EvaluateCall<T> call{view, view_of(points, "points", count, view.dimension), count, nullptr, nullptr};
  check_output(values, "values", count);
  call.values = values.mutable_data();
  if (gradients) {
    check_output(*gradients, "gradients", count * view.dimension);
    call.gradients = const_cast<double*>(gradients->data());
  }
  const py::gil_scoped_release released;
  evaluate_points(network.set(), call, threads);
}

// The outcome of `count` seeds: arrays of the caller's, or new ones; written to by the call that holds them.
struct Outcome {
  Doubles points, values, objectives;
  Codes status, steps;

  Outcome(py::ssize_t count, py::ssize_t dimension) : points({count, dimension}), values(count), objectives(count), status(count), steps(count) {}

  Outcome(const py::tuple& given, py::ssize_t count, py::ssize_t dimension) {
    if (given.size() != 5) throw py::value_error("out: points, values, objectives, status and steps are needed");
    points = output<Doubles>(given[0], "points", count * dimension);
    values = output<Doubles>(given[1], "values", count), objectives = output<Doubles>(given[2], "objectives", count);
    status = output<Codes>(given[3], "status", count), steps = output<Codes>(given[4], "steps", count);
  }

 private:
  template <class Array>
  static Array output(const py::handle& object, const char* name, py::ssize_t size) {
    if (!py::isinstance<Array>(object)) throw py::type_error(std::string(name) + ": a contiguous array of the right type is needed");
    auto array = py::reinterpret_borrow<Array>(object);
    check_output(array, name, size);
    return array;
  }
};

// parts = (anchors, radii, offsets, slopes), each an array or None. Returns the outcome's arrays: those of `out`, or new ones where it is None.
template <class T>
py::tuple climb(const Packed<T>& network, const Packed<T>* second, const py::object& starts, const py::tuple& parts, const StepRule& rule,
                const std::optional<py::tuple>& out, int threads) {
  const NetworkView<T> view = network.view();
  const py::ssize_t count = rows_of(starts, "starts"), d = view.dimension;
  NetworkView<T> second_view;
  if (second) second_view = second->view();
  if (second && (second_view.dimension != d || second->set() != network.set())) throw py::value_error("second: does not fit the network");
  if (parts.size() != 4) throw py::value_error("parts: anchors, radii, offsets and slopes are needed");
  Outcome outcome = out ? Outcome(*out, count, d) : Outcome(count, d);
  const ClimbCall<T> call{view,
                          second ? &second_view : nullptr,
                          rule,
                          count,
                          view_of(starts, "starts", count, d),
                          view_of(parts[0], "anchors", count, d),
                          view_of(parts[1], "radii", count, -1),
                          view_of(parts[2], "offsets", count, -1),
                          view_of(parts[3], "slopes", count, d),
                          outcome.points.mutable_data(),
                          outcome.values.mutable_data(),
                          outcome.objectives.mutable_data(),
                          outcome.status.mutable_data(),
                          outcome.steps.mutable_data(),
                          nullptr};
  {
    const py::gil_scoped_release released;
    climb_seeds(network.set(), call, threads);
  }
  return py::make_tuple(outcome.points, outcome.values, outcome.objectives, outcome.status, outcome.steps);
}

template <class T>
void bind_precision(py::module_& module, const char* name) {
  py::class_<Packed<T>>(module, name)
      .def(py::init<const std::vector<Doubles>&, const std::vector<Doubles>&, int, const Doubles&, const Doubles&, const Doubles&, double, double,
                    const std::string&>(),
           py::arg("weights"), py::arg("biases"), py::arg("activation"), py::arg("input_shift"), py::arg("input_scale"), py::arg("input_rate"),
           py::arg("output_shift"), py::arg("output_scale"), py::arg("instruction_set"))
      .def_property_readonly("bytes", &Packed<T>::bytes)
      .def_property_readonly("instruction_set", [](const Packed<T>& network) { return name_of(network.set()); })
      .def("evaluate", &evaluate<T>, py::arg("points"), py::arg("values").noconvert(), py::arg("gradients").noconvert(), py::arg("threads"))
      .def("climb", &climb<T>, py::arg("second"), py::arg("starts"), py::arg("parts"), py::arg("rule"), py::arg("out"), py::arg("threads"));
}

}  // namespace

void bind_ascent(py::module_& module) {
  py::class_<StepRule>(module, "StepRule")
      .def(py::init([](int steps, double step_size, double decay, double tolerance, int patience, double improvement, bool normalised) {
             return StepRule{steps, step_size, decay, tolerance, patience, improvement, normalised};
           }),
           py::arg("steps"), py::arg("step_size"), py::arg("decay"), py::arg("tolerance"), py::arg("patience"), py::arg("improvement"),
           py::arg("normalised"));
  bind_precision<float>(module, "PackedSingle");
  bind_precision<double>(module, "PackedDouble");
}

}  // namespace pybackdoor
