// Training: the state's arrays are changed in place, the interpreter lock is released, and Ctrl-C is looked for while the threads work.
#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "cpu/train_host.hpp"
#include "pybackdoor/activation.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

void need(bool right, const std::string& what) {
  if (!right) throw py::value_error("train: " + what);
}

// The array itself, never a converted copy: results are written into some of them.
template <class T>
Array<T> array_of(const py::handle& value, py::ssize_t size, const std::string& name) {
  need(py::isinstance<Array<T>>(value), name + " must be a contiguous array of the right type");
  auto array = py::reinterpret_borrow<Array<T>>(value);
  need(size < 0 || array.size() == size, name + " has " + std::to_string(array.size()) + " elements; " + std::to_string(size) + " are needed");
  return array;
}

TrainPlan plan_of(const py::dict& plan) {
  const auto number = [&](const char* name) { return plan[name].cast<double>(); };
  TrainPlan made = {{static_cast<ScheduleKind>(plan["schedule"].cast<int>()), plan["steps"].cast<std::int64_t>(), number("learning_rate"),
                     number("warmup"), number("final_fraction")},
                    {number("beta1"), number("beta2"), number("epsilon"), number("weight_decay")},
                    {plan["huber"].cast<bool>(), number("huber_delta")},
                    plan["batch_size"].cast<std::int64_t>(),
                    plan["seed"].cast<std::uint64_t>(),
                    plan["purpose"].cast<std::uint32_t>()};
  need(made.batch_size >= 1, "the batch size must be at least 1");
  return made;
}

// Pointers to the arrays of one part of the state: the weights of all layers, then the biases.
template <class T>
std::vector<T*> pointers(const py::list& arrays, const std::vector<std::int64_t>& widths, std::int64_t networks) {
  const std::size_t layers = widths.size() - 1;
  need(arrays.size() == 2 * layers, "weights and biases of every layer are needed");
  std::vector<T*> found;
  for (std::size_t l = 0; l < 2 * layers; ++l)
    found.push_back(array_of<T>(arrays[l], networks * widths[l % layers + 1] * (l < layers ? widths[l] : 1), "an array of the state").mutable_data());
  return found;
}

// Row numbers within the data.
Array<std::int64_t> index_of(const py::handle& value, std::int64_t count) {
  auto index = array_of<std::int64_t>(value, -1, "an index vector");
  need(index.size() > 0, "an index vector is empty");
  for (py::ssize_t i = 0; i < index.size(); ++i) need(index.data()[i] >= 0 && index.data()[i] < count, "a row number is out of range");
  return index;
}

std::vector<TrainRows> rows_of(const py::dict& call, std::int64_t count) {
  const py::list rows = call["rows"], validation = call["validation"];
  const auto streams = call["streams"].cast<std::vector<std::uint32_t>>();
  need(!rows.empty() && streams.size() == rows.size(), "one index vector and one stream a network is needed");
  need(validation.empty() || validation.size() == rows.size(), "one validation vector a network, or none, is needed");
  std::vector<TrainRows> found;
  for (std::size_t m = 0; m < rows.size(); ++m) {
    const auto index = index_of(rows[m], count);
    TrainRows own = {index.data(), nullptr, index.size(), 0, streams[m]};
    if (!validation.empty()) {
      const auto held = index_of(validation[m], count);
      own.validation = held.data();
      own.validation_count = held.size();
    }
    found.push_back(own);
  }
  return found;
}

// What `call` asks for; the arrays stay its own.
template <class T>
TrainTask<T> task_of(const py::dict& call) {
  TrainTask<T> task;
  task.widths = call["widths"].cast<std::vector<std::int64_t>>();
  need(task.widths.size() >= 2 && task.widths.back() == 1, "widths must be (inputs, ..., 1)");
  for (const std::int64_t width : task.widths) need(width >= 1, "widths must be at least 1");
  task.activation = call["activation"].cast<int>();
  need(task.activation >= 0 && task.activation < activation_count, "activation must be an index of records.ACTIVATIONS");
  task.plan = plan_of(call["plan"]);
  const auto y = array_of<T>(call["y"], -1, "y");
  task.count = y.size();
  task.y = y.data();
  task.x = array_of<T>(call["x"], task.count * task.widths[0], "x").data();
  task.networks = rows_of(call, task.count);
  const auto networks = static_cast<std::int64_t>(task.networks.size());
  task.weights = nullptr;
  task.weights_step = 0;
  if (!call["weights"].is_none()) {
    const bool own = py::reinterpret_borrow<py::array>(call["weights"]).ndim() == 2;
    task.weights = array_of<T>(call["weights"], own ? networks * task.count : task.count, "weights").data();
    task.weights_step = own ? task.count : 0;
  }
  task.state = {pointers<T>(call["parameters"], task.widths, networks), pointers<T>(call["first"], task.widths, networks),
                pointers<T>(call["second"], task.widths, networks)};
  task.start = call["start"].cast<std::int64_t>();
  task.until = call["until"].cast<std::int64_t>();
  task.threads = call["threads"].cast<int>();
  need(0 <= task.start && task.start <= task.until && task.threads >= 1, "steps or threads are out of range");
  task.reports = call["reports"].cast<std::vector<std::int64_t>>();
  task.snapshots = call["snapshots"].cast<std::vector<std::int64_t>>();
  const auto entries = static_cast<std::int64_t>(task.reports.size()) * networks,
             blocks = static_cast<std::int64_t>(task.snapshots.size()) * networks;
  task.training_loss = array_of<double>(call["training_loss"], entries, "training_loss").mutable_data();
  task.validation_loss = nullptr;
  if (!call["validation_loss"].is_none()) task.validation_loss = array_of<double>(call["validation_loss"], entries, "validation_loss").mutable_data();
  task.residuals = array_of<T>(call["residuals"], blocks * task.count, "residuals").mutable_data();
  return task;
}

template <class T>
bool run(const py::dict& call) {
  const TrainTask<T> task = task_of<T>(call);
  const InstructionSet set = instruction_set_named(call["instruction_set"].cast<std::string>());
  const py::object progress = call["progress"];
  const TrainPoll poll = [&](std::int64_t step) {
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress.is_none()) progress(step);
    return true;
  };
  const py::gil_scoped_release unlocked;
  return train(task, set, poll);
}

}  // namespace

void bind_train(py::module_& module) {
  module.def(
      "train", [](const py::dict& call) { return py::isinstance<Array<float>>(call["x"]) ? run<float>(call) : run<double>(call); }, py::arg("call"),
      "Runs the training that `call` describes (pybackdoor/ops/train/cpu.py) on its arrays, in place.");
}

}  // namespace pybackdoor
