// Training: the state's arrays are changed in place, the interpreter lock is released, and Ctrl-C is looked for while the threads work.
#include <pybind11/stl.h>

#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "cpu/train_host.hpp"
#include "pybackdoor/activation.hpp"

namespace py = pybind11;

namespace pybackdoor {

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Indices = Array<std::int64_t>;

void need(bool right, const char* what) {
  if (!right) throw py::value_error(std::string("train: ") + what);
}

TrainPlan plan_of(const py::dict& plan) {
  const auto number = [&](const char* name) { return plan[name].cast<double>(); };
  return {{static_cast<ScheduleKind>(plan["schedule"].cast<int>()), plan["steps"].cast<std::int64_t>(), number("learning_rate"), number("warmup"),
           number("final_fraction")},
          {number("beta1"), number("beta2"), number("epsilon"), number("weight_decay")},
          {plan["huber"].cast<bool>(), number("huber_delta")},
          plan["batch_size"].cast<std::int64_t>(),
          plan["seed"].cast<std::uint64_t>(),
          plan["purpose"].cast<std::uint32_t>()};
}

// Pointers to the arrays of one part of the state, after a check of their sizes.
template <class T>
std::vector<T*> pointers(std::vector<Array<T>>& arrays, const std::vector<std::int64_t>& widths, std::int64_t networks) {
  const std::size_t layers = widths.size() - 1;
  need(arrays.size() == 2 * layers, "weights and biases of every layer are needed");
  std::vector<T*> found;
  for (std::size_t l = 0; l < 2 * layers; ++l) {
    need(arrays[l].size() == networks * widths[l % layers + 1] * (l < layers ? widths[l] : 1), "an array of the state has the wrong size");
    found.push_back(arrays[l].mutable_data());
  }
  return found;
}

template <class T>
struct Request {
  std::vector<std::int64_t> widths;
  int activation;
  py::dict plan;
  Array<T> x, y;
  std::optional<Array<T>> weights;
  std::vector<Indices> rows, validation;
  std::vector<std::uint32_t> streams;
  std::vector<Array<T>> parameters, first, second;
};

template <class T>
std::vector<TrainRows> rows_of(const Request<T>& request, std::int64_t count) {
  need(!request.rows.empty() && request.streams.size() == request.rows.size(), "rows and streams: one of each a network is needed");
  need(request.validation.empty() || request.validation.size() == request.rows.size(), "validation: one vector a network, or none, is needed");
  std::vector<TrainRows> found;
  for (std::size_t m = 0; m < request.rows.size(); ++m) {
    const Indices* held = request.validation.empty() ? nullptr : &request.validation[m];
    for (const Indices* index : {&request.rows[m], held}) {
      if (index == nullptr) continue;
      need(index->size() > 0, "an index vector is empty");
      for (py::ssize_t i = 0; i < index->size(); ++i) need(index->data()[i] >= 0 && index->data()[i] < count, "a row number is out of range");
    }
    found.push_back({request.rows[m].data(), held ? held->data() : nullptr, request.rows[m].size(), held ? held->size() : 0, request.streams[m]});
  }
  return found;
}

template <class T>
bool run(const std::vector<std::int64_t>& widths, int activation, const py::dict& plan, const Array<T>& x, const Array<T>& y,
         const std::optional<Array<T>>& weights, const std::vector<Indices>& rows, const std::vector<Indices>& validation,
         const std::vector<std::uint32_t>& streams, std::vector<Array<T>> parameters, std::vector<Array<T>> first, std::vector<Array<T>> second,
         std::int64_t start, std::int64_t until, const std::vector<std::int64_t>& reports, const std::vector<std::int64_t>& snapshots,
         Array<double> training_loss, std::optional<Array<double>> validation_loss, Array<T> residuals, int threads, const std::string& set,
         const std::optional<py::function>& progress) {
  need(widths.size() >= 2 && widths.back() == 1, "widths must be (inputs, ..., 1)");
  for (const std::int64_t width : widths) need(width >= 1, "widths must be at least 1");
  need(activation >= 0 && activation < activation_count, "activation must be an index of records.ACTIVATIONS");
  TrainTask<T> task;
  task.widths = widths;
  task.activation = activation;
  task.plan = plan_of(plan);
  task.count = y.size();
  const auto networks = static_cast<std::int64_t>(rows.size());
  const auto entries = static_cast<py::ssize_t>(reports.size()) * networks;
  need(task.count > 0 && x.size() == task.count * widths[0], "x must be [N, inputs] and y [N]");
  need(task.plan.batch_size >= 1 && threads >= 1 && 0 <= start && start <= until, "batch size, threads or steps are out of range");
  need(!weights || weights->size() == task.count || weights->size() == networks * task.count, "weights must be [N] or [M, N]");
  need(training_loss.size() == entries && (!validation_loss || (validation_loss->size() == entries && !validation.empty())), "wrong history arrays");
  need(residuals.size() == static_cast<py::ssize_t>(snapshots.size()) * networks * task.count, "residuals must be [snapshots, M, N]");
  const Request<T> request{widths, activation, plan, x, y, weights, rows, validation, streams, {}, {}, {}};
  task.networks = rows_of(request, task.count);
  task.state = {pointers(parameters, widths, networks), pointers(first, widths, networks), pointers(second, widths, networks)};
  task.x = x.data();
  task.y = y.data();
  task.weights = weights ? weights->data() : nullptr;
  task.weights_step = weights && weights->ndim() == 2 ? task.count : 0;
  task.start = start;
  task.until = until;
  task.reports = reports;
  task.snapshots = snapshots;
  task.training_loss = training_loss.mutable_data();
  task.validation_loss = validation_loss ? validation_loss->mutable_data() : nullptr;
  task.residuals = residuals.mutable_data();
  task.threads = threads;
  const InstructionSet instruction_set = instruction_set_named(set);
  const TrainPoll poll = [&](std::int64_t step) {
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (progress) (*progress)(step);
    return true;
  };
  const py::gil_scoped_release unlocked;
  return train(task, instruction_set, poll);
}

template <class T>
void define(py::module_& module) {
  module.def("train", &run<T>, py::kw_only(), py::arg("widths"), py::arg("activation"), py::arg("plan"), py::arg("x").noconvert(),
             py::arg("y").noconvert(), py::arg("weights").noconvert(), py::arg("rows"), py::arg("validation"), py::arg("streams"),
             py::arg("parameters").noconvert(), py::arg("first").noconvert(), py::arg("second").noconvert(), py::arg("start"), py::arg("until"),
             py::arg("reports"), py::arg("snapshots"), py::arg("training_loss").noconvert(), py::arg("validation_loss").noconvert(),
             py::arg("residuals").noconvert(), py::arg("threads"), py::arg("instruction_set"), py::arg("progress"));
}

}  // namespace

void bind_train(py::module_& module) {
  define<float>(module);
  define<double>(module);
}

}  // namespace pybackdoor
