// Training on a GPU: device pointers, sizes and the caller's stream as integers. pybackdoor/ops/train/cuda.py owns all memory. No function waits for
// the device.
#include "bindings/cuda_train.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "cuda/train_plan.hpp"
#include "pybackdoor/schedule.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

static_assert(sizeof(AdamStep<float>) == 8 * sizeof(float));

TrainShape shape_of(int dimension, const std::vector<int>& widths, int activation) {
  if (activation < 0 || activation >= activation_count) throw py::value_error("activation must be an index of records.ACTIVATIONS");
  TrainShape shape{dimension, static_cast<int>(widths.size()), static_cast<Activation>(activation), {}};
  for (std::size_t layer = 0; layer < widths.size() && layer < most_train_layers; ++layer) shape.widths[layer] = widths[layer];
  return shape;
}

TrainPlacement placement(const TrainShape& shape, int batch_size, int shared_bytes) {
  if (const char* reason = train_refusal(shape, shared_bytes)) throw py::value_error(reason);
  if (batch_size < 1) throw py::value_error("the batch size must be at least 1");
  return place_train(shape, batch_size, shared_bytes);
}

// Where each number of a network lies in a packed set: weights [outputs, inputs] of all layers, then biases.
py::array_t<std::int64_t> places(const TrainShape& shape) {
  const TrainPacking packing = pack_train(shape);
  std::vector<std::int64_t> found, biases;
  for (int layer = 0; layer <= shape.hidden; ++layer) {
    const bool last = layer == shape.hidden;
    for (int output = 0; output < (last ? 1 : shape.widths[layer]); ++output) {
      for (int input = 0; input < (layer ? shape.widths[layer - 1] : shape.dimension); ++input)
        found.push_back(parameter_place(packing, layer, last, output, input));
      biases.push_back(bias_place(packing, layer, last, output));
    }
  }
  found.insert(found.end(), biases.begin(), biases.end());
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(found.size()), found.data());
}

// [count, 8]: what Adam needs of steps first .. first + count - 1.
py::array_t<float> scalars(const py::dict& plan, std::int64_t first, std::int64_t count) {
  const auto number = [&](const char* name) { return plan[name].cast<double>(); };
  const Schedule schedule{static_cast<ScheduleKind>(plan["schedule"].cast<int>()), plan["steps"].cast<std::int64_t>(), number("learning_rate"),
                          number("warmup"), number("final_fraction")};
  const AdamPlan adam{number("beta1"), number("beta2"), number("epsilon"), number("weight_decay")};
  py::array_t<float> made({count, std::int64_t{8}});
  auto* const steps = reinterpret_cast<AdamStep<float>*>(made.mutable_data());
  for (std::int64_t i = 0; i < count; ++i) steps[i] = adam_step<float>(adam, first + i, learning_rate(schedule, first + i));
  return made;
}

template <class T>
T* pointer(const py::dict& call, const char* name) {
  return reinterpret_cast<T*>(call[name].cast<std::uintptr_t>());
}

// `call` as pybackdoor/ops/train/cuda.py makes it; "outputs" 0 trains.
void launch(const TrainShape& shape, const TrainPlacement& place, const py::dict& call) {
  const py::dict plan = call["plan"];
  TrainLaunch made{};
  made.shape = shape, made.place = place, made.tensor = call["tensor"].cast<bool>();
  made.data = {pointer<const float>(call, "x"),           pointer<const float>(call, "y"),  pointer<const float>(call, "weights"),
               call["weights_step"].cast<std::int64_t>(), pointer<const int>(call, "rows"), pointer<const std::int64_t>(call, "sources")};
  made.memory = {pointer<float>(call, "parameters"), pointer<float>(call, "first"), pointer<float>(call, "second"), pointer<float>(call, "workspace"),
                 pointer<float>(call, "losses")};
  made.networks = call["networks"].cast<std::int64_t>();
  made.start = call["start"].cast<std::int64_t>(), made.steps = call["steps"].cast<int>();
  made.scalars = pointer<const AdamStep<float>>(call, "scalars");
  made.batch_size = plan["batch_size"].cast<int>();
  made.seed = plan["seed"].cast<std::uint64_t>(), made.purpose = plan["purpose"].cast<std::uint32_t>();
  made.huber = plan["huber"].cast<bool>(), made.huber_delta = static_cast<float>(plan["huber_delta"].cast<double>());
  made.share = static_cast<float>(1.0 / made.batch_size);
  made.outputs = pointer<float>(call, "outputs"), made.outputs_step = call["outputs_step"].cast<std::int64_t>();
  made.chunks = call["chunks"].cast<int>();
  if (const char* error = launch_train(made, pointer<void>(call, "stream")))
    throw std::runtime_error(std::string("the CUDA training was not launched: ") + error);
}

}  // namespace

void bind_cuda_train(py::module_& module) {
  py::class_<TrainShape>(module, "TrainShape")
      .def(py::init(&shape_of), py::arg("dimension"), py::arg("widths"), py::arg("activation"))
      .def("refusal", &train_refusal, py::arg("shared_bytes"), "Why such networks cannot be trained on a device, or None.");
  py::class_<TrainPlacement>(module, "TrainPlacement")
      .def_property_readonly("width", [](const TrainPlacement& place) { return place.packing.width; })
      .def_property_readonly("numbers", [](const TrainPlacement& place) { return place.packing.numbers; })
      .def_readonly("tile", &TrainPlacement::tile)
      .def_readonly("weights_near", &TrainPlacement::weights_near)
      .def_readonly("gradients_near", &TrainPlacement::gradients_near)
      .def_readonly("slopes_near", &TrainPlacement::slopes_near)
      .def_readonly("values_near", &TrainPlacement::values_near)
      .def_readonly("shared_bytes", &TrainPlacement::shared_bytes)
      .def_readonly("workspace_floats", &TrainPlacement::workspace_floats);
  module.def("place_train", &placement, py::arg("shape"), py::arg("batch_size"), py::arg("shared_bytes"));
  module.def("train_places", &places, py::arg("shape"), "Where each weight, then each bias, lies in a packed set of parameters.");
  module.def("train_scalars", &scalars, py::arg("plan"), py::arg("first"), py::arg("count"), "What Adam needs of each step, [count, 8].");
  module.def("train", &launch, py::arg("shape"), py::arg("place"), py::arg("call"), "Enqueues steps, or an evaluation, on the call's stream.");
}

}  // namespace pybackdoor
