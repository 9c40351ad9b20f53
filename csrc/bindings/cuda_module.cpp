// The Python module pybackdoor._native_cuda: device pointers, sizes and the caller's stream as integers. pybackdoor/ops/ascent/cuda.py checks what it
// is given and owns all memory. No function waits for the device.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bindings/cuda_train.hpp"
#include "pybackdoor/cuda_ascent.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

NetworkShape shape_of(int dimension, const std::vector<int>& widths, int activation, bool curved) {
  if (activation < 0 || activation >= activation_count) throw py::value_error("activation must be an index of records.ACTIVATIONS");
  NetworkShape shape{dimension, static_cast<int>(widths.size()), static_cast<Activation>(activation), curved, {}};
  for (std::size_t layer = 0; layer < widths.size() && layer < most_layers; ++layer) shape.widths[layer] = widths[layer];
  return shape;
}

struct Parts {
  Address starts, anchors, radii, offsets, slopes;
};

struct Outputs {
  Address points, values, objectives, status, steps;
};

std::pair<int, int> limits(int device) {
  int multiprocessors = 0, shared_bytes = 0;
  if (const char* error = device_limits(device, multiprocessors, shared_bytes))
    throw std::runtime_error("CUDA device " + std::to_string(device) + ": " + error);
  return {multiprocessors, shared_bytes};
}

AscentPlan plan(const NetworkShape& first, const std::optional<NetworkShape>& second, std::int64_t count, const Parts& parts, int multiprocessors,
                int shared_bytes, bool tensor) {
  if (const char* reason = ascent_refusal(first)) throw py::value_error(reason);
  if (second && (ascent_refusal(*second) || second->dimension != first.dimension)) throw py::value_error("second: does not fit the network");
  const AscentPlan made = plan_ascent({first, second.value_or(NetworkShape{}), second.has_value(), parts.radii || parts.slopes, parts.slopes != 0,
                                       tensor, count, multiprocessors, shared_bytes});
  if (made.shared_bytes > shared_bytes)
    throw py::value_error("the CUDA ascent needs " + std::to_string(made.shared_bytes) +
                          " bytes of shared memory a block for this network; the device has " + std::to_string(shared_bytes));
  return made;
}

using Packed = std::pair<NetworkShape, Address>;

// `rule` absent: values and gradients at the starts.
void climb(const AscentPlan& plan, const Packed& first, const std::optional<Packed>& second, const Parts& parts,
           const std::optional<BasicStepRule<float>>& rule, const Outputs& outputs, std::int64_t count, Address workspace, Address stream,
           bool exact) {
  ClimbLaunch launch{};
  launch.network[0] = {first.first, pointer<const float>(first.second)};
  launch.has_second = second.has_value();
  if (second) launch.network[1] = {second->first, pointer<const float>(second->second)};
  launch.exact = exact, launch.evaluate = !rule.has_value();
  if (rule) launch.rule = *rule;
  launch.count = count;
  launch.starts = pointer<const float>(parts.starts), launch.anchors = pointer<const float>(parts.anchors);
  launch.radii = pointer<const float>(parts.radii), launch.offsets = pointer<const float>(parts.offsets);
  launch.slopes = pointer<const float>(parts.slopes);
  launch.points = pointer<float>(outputs.points), launch.values = pointer<float>(outputs.values);
  launch.objectives = pointer<float>(outputs.objectives);
  launch.status = pointer<std::int64_t>(outputs.status), launch.steps = pointer<std::int64_t>(outputs.steps);
  launch.workspace = pointer<void>(workspace);
  launch.plan = plan;
  if (const char* error = launch_ascent(launch, pointer<void>(stream)))
    throw std::runtime_error(std::string("the CUDA ascent was not launched: ") + error);
}

}  // namespace

}  // namespace pybackdoor

PYBIND11_MODULE(_native_cuda, module, py::mod_gil_not_used()) {
  using namespace pybackdoor;
  module.doc() = "CUDA kernels of pybackdoor; call them through pybackdoor.ops, which checks what it is given.";
  module.attr("targets") = PYBACKDOOR_CUDA_TARGETS;
  py::class_<NetworkShape>(module, "NetworkShape")
      .def(py::init(&shape_of), py::arg("dimension"), py::arg("widths"), py::arg("activation"), py::arg("curved"))
      .def("refusal", [](const NetworkShape& shape) { return ascent_refusal(shape); })
      .def("numbers", [](const NetworkShape& shape, int tile, bool tensor) { return PackedSizes::of(shape, tile, tensor).numbers; });
  py::class_<BasicStepRule<float>>(module, "StepRule")
      .def(py::init([](int steps, float step_size, float decay, float tolerance, int patience, float improvement, bool normalised) {
             return BasicStepRule<float>{steps, step_size, decay, tolerance, patience, improvement, normalised};
           }),
           py::arg("steps"), py::arg("step_size"), py::arg("decay"), py::arg("tolerance"), py::arg("patience"), py::arg("improvement"),
           py::arg("normalised"));
  py::class_<Parts>(module, "Parts").def(py::init<Address, Address, Address, Address, Address>());
  py::class_<Outputs>(module, "Outputs").def(py::init<Address, Address, Address, Address, Address>());
  py::class_<AscentPlan>(module, "AscentPlan")
      .def_readonly("tile", &AscentPlan::tile)
      .def_readonly("seeds", &AscentPlan::seeds)
      .def_readonly("team", &AscentPlan::team)
      .def_readonly("teams", &AscentPlan::teams)
      .def_readonly("blocks", &AscentPlan::blocks)
      .def_readonly("resident", &AscentPlan::resident)
      .def_readonly("saved_shared", &AscentPlan::saved_shared)
      .def_readonly("state_shared", &AscentPlan::state_shared)
      .def_readonly("shared_bytes", &AscentPlan::shared_bytes)
      .def_readonly("workspace_bytes", &AscentPlan::workspace_bytes);
  module.def("limits", &limits, py::arg("device"), "Multiprocessors, and the bytes of shared memory a block may have.");
  module.def("plan", &plan, py::arg("first"), py::arg("second"), py::arg("count"), py::arg("parts"), py::arg("multiprocessors"),
             py::arg("shared_bytes"), py::arg("tensor"));
  module.def("climb", &climb, py::arg("plan"), py::arg("first"), py::arg("second"), py::arg("parts"), py::arg("rule"), py::arg("outputs"),
             py::arg("count"), py::arg("workspace"), py::arg("stream"), py::arg("exact"));
  bind_cuda_train(module);
}
