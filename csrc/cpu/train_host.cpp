// Planning of the storage, conversion from and to the user's arrays, the loop over steps, and the threads; the arithmetic is in train.cpp.
#include "cpu/train_host.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#if defined(PYBACKDOOR_X86)
#include <immintrin.h>
#endif

PYBACKDOOR_DECLARE_KERNELS(TrainKernels, train_kernels)

namespace pybackdoor {
namespace {

using std::int64_t;

constexpr int64_t evaluation_rows = 4096;  // evaluated between two looks at the stop flag

int64_t padded(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

struct Plan {
  std::vector<TrainLayer> layers;
  TrainLayout layout;
};

Plan plan_storage(const std::vector<int64_t>& widths, int activation, const TrainGeometry& geometry) {
  Plan plan;
  TrainLayout& layout = plan.layout;
  layout = {};
  layout.activation = activation;
  const int64_t count = static_cast<int64_t>(widths.size()) - 1;
  int64_t widest = 0, turned = 0, scratch = 0;
  for (int64_t l = 0; l < count; ++l) {
    TrainLayer layer{};
    layer.inputs = widths[l];
    layer.outputs = widths[l + 1];
    layer.input_columns = padded(layer.inputs, geometry.lanes);
    const bool last = l + 1 == count, by_input = l == 0 && !last;
    layer.rows = last ? 1 : by_input ? padded(layer.inputs, geometry.row_block) : padded(layer.outputs, geometry.lanes);
    layer.columns = by_input ? padded(layer.outputs, geometry.lanes) : layer.input_columns;
    layer.weights = layout.parameters;
    layer.biases = layer.weights + layer.rows * layer.columns;
    layout.parameters = layer.biases + padded(layer.outputs, geometry.lanes);
    layer.turned = turned;
    if (l > 0 && !last) turned += layer.rows * layer.columns;
    layer.values = scratch;
    layer.slopes = layer.values + layer.input_columns * geometry.tile_rows;
    scratch = layer.slopes + (l ? layer.input_columns * geometry.tile_rows : 0);
    if (l) widest = std::max(widest, layer.input_columns);
    plan.layers.push_back(layer);
  }
  layout.turned = turned;
  layout.errors[0] = scratch;
  layout.errors[1] = scratch + widest * geometry.tile_rows;
  layout.deltas = layout.errors[1] + widest * geometry.tile_rows;
  layout.scratch = layout.deltas + padded(geometry.tile_rows, geometry.lanes);
  layout.layers = plan.layers.data();
  layout.count = count;
  return plan;
}

struct Free {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{64}); }
};

template <class T>
using Numbers = std::unique_ptr<T[], Free>;

template <class T>
Numbers<T> zeros(int64_t count) {
  T* const memory = static_cast<T*>(::operator new(static_cast<std::size_t>(std::max<int64_t>(count, 1)) * sizeof(T), std::align_val_t{64}));
  std::fill_n(memory, count, T(0));
  return Numbers<T>(memory);
}

// Subnormal moments, which Adam makes of vanishing gradients, would slow the arithmetic a hundredfold: the threads of a training flush them to zero.
void flush_subnormals() {
#if defined(PYBACKDOOR_X86)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
}

// What the threads share.
struct Progress {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> next{0};
  std::vector<std::atomic<int64_t>> steps;  // of each network
  explicit Progress(std::size_t networks, int64_t start) : steps(networks) {
    for (auto& step : steps) step.store(start);
  }
};

template <class T>
class NetworkRun {
 public:
  NetworkRun(const TrainTask<T>& task, const TrainKernels& kernels, const TrainFunctions<T>& functions, const Plan& plan, int64_t number)
      : task_(task), kernels_(kernels), functions_(functions), plan_(plan), number_(number), rows_(task.networks[number]) {
    const TrainLayout& layout = plan.layout;
    memory_ = zeros<T>(4 * layout.parameters + layout.turned + layout.scratch);
    T* at = memory_.get();
    for (T** part : {&network_.parameters, &network_.first, &network_.second, &network_.gradient}) {
      *part = at;
      at += layout.parameters;
    }
    network_.turned = at;
    network_.scratch = at + layout.turned;
    weights_ = task.weights ? task.weights + number * task.weights_step : nullptr;
    index_.resize(static_cast<std::size_t>(std::max(task.plan.batch_size, evaluation_rows)));
    outputs_ = zeros<T>(evaluation_rows);
  }

  void run(Progress& progress) {
    convert(network_.parameters, task_.state.parameters, true);
    convert(network_.first, task_.state.first, true);
    convert(network_.second, task_.state.second, true);
    functions_.turn(plan_.layout, network_);
    std::size_t report = 0, snapshot = 0;
    double loss = 0;
    int64_t since = task_.start;
    for (int64_t step = task_.start;; ++step) {
      if (step > task_.start) loss += take(step);
      if (snapshot < task_.snapshots.size() && task_.snapshots[snapshot] == step) residuals(static_cast<int64_t>(snapshot++), progress);
      if (report < task_.reports.size() && task_.reports[report] == step) {
        const std::size_t at = report++ * task_.networks.size() + static_cast<std::size_t>(number_);
        task_.training_loss[at] = loss / static_cast<double>(step - since);
        if (task_.validation_loss) task_.validation_loss[at] = validation(progress);
        loss = 0;
        since = step;
      }
      progress.steps[static_cast<std::size_t>(number_)].store(step, std::memory_order_relaxed);
      if (step >= task_.until || progress.stop.load(std::memory_order_relaxed)) break;
    }
    convert(network_.parameters, task_.state.parameters, false);
    convert(network_.first, task_.state.first, false);
    convert(network_.second, task_.state.second, false);
  }

 private:
  // One step; the minibatch's loss.
  double take(int64_t step) {
    const TrainPlan& plan = task_.plan;
    const TrainStream stream = {plan.seed, plan.purpose, rows_.stream};
    kernels_.minibatch(rows_.count, stream, (step - 1) * plan.batch_size, plan.batch_size, index_.data());
    for (int64_t i = 0; i < plan.batch_size; ++i) index_[static_cast<std::size_t>(i)] = rows_.rows[index_[static_cast<std::size_t>(i)]];
    const double total = functions_.gradient(plan_.layout, network_, batch(plan.batch_size));
    const AdamPlan& adam = plan.adam;
    functions_.update(plan_.layout, network_, {adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay, learning_rate(plan.schedule, step), step});
    return total / static_cast<double>(plan.batch_size);
  }

  TrainBatch<T> batch(int64_t size) const { return {task_.x, task_.y, weights_, index_.data(), size, task_.widths[0], task_.plan.loss}; }

  double validation(const Progress& progress) {
    double total = 0, weight = 0;
    for (int64_t start = 0; start < rows_.validation_count && !progress.stop.load(std::memory_order_relaxed); start += evaluation_rows) {
      const int64_t size = std::min(evaluation_rows, rows_.validation_count - start);
      std::copy_n(rows_.validation + start, size, index_.data());
      functions_.outputs(plan_.layout, network_, batch(size), outputs_.get());
      for (int64_t i = 0; i < size; ++i) {
        const int64_t row = index_[static_cast<std::size_t>(i)];
        const double error = static_cast<double>(outputs_[static_cast<std::size_t>(i)] - task_.y[row]), share = weights_ ? weights_[row] : 1.0;
        const double size_of = std::abs(error), limit = task_.plan.loss.delta;
        const double loss = !task_.plan.loss.huber ? error * error : size_of > limit ? limit * (size_of - limit / 2) : error * error / 2;
        total += share * loss;
        weight += share;
      }
    }
    return total / weight;
  }

  void residuals(int64_t snapshot, const Progress& progress) {
    T* const out = task_.residuals + (snapshot * static_cast<int64_t>(task_.networks.size()) + number_) * task_.count;
    for (int64_t start = 0; start < task_.count && !progress.stop.load(std::memory_order_relaxed); start += evaluation_rows) {
      const int64_t size = std::min(evaluation_rows, task_.count - start);
      for (int64_t i = 0; i < size; ++i) index_[static_cast<std::size_t>(i)] = start + i;
      functions_.outputs(plan_.layout, network_, batch(size), outputs_.get());
      for (int64_t i = 0; i < size; ++i) out[start + i] = task_.y[start + i] - outputs_[static_cast<std::size_t>(i)];
    }
  }

  // Between a set of parameters as the kernels store it and the user's arrays.
  void convert(T* stored, const std::vector<T*>& arrays, bool in) const {
    const TrainLayout& layout = plan_.layout;
    for (int64_t l = 0; l < layout.count; ++l) {
      const TrainLayer& layer = layout.layers[l];
      const bool by_input = l == 0 && l + 1 < layout.count;
      T* const weights = arrays[static_cast<std::size_t>(l)] + number_ * layer.outputs * layer.inputs;
      T* const biases = arrays[static_cast<std::size_t>(layout.count + l)] + number_ * layer.outputs;
      for (int64_t output = 0; output < layer.outputs; ++output) move(stored[layer.biases + output], biases[output], in);
      const int64_t rows = by_input ? layer.inputs : layer.outputs, columns = by_input ? layer.outputs : layer.inputs;
      for (int64_t first = 0; first < columns; first += functions_.geometry.panel) {
        const int64_t width = std::min(functions_.geometry.panel, layer.columns - first), used = std::min(width, columns - first);
        for (int64_t row = 0; row < rows; ++row) {
          T* const line = stored + layer.weights + first * layer.rows + row * width;
          T* const outside = weights + (by_input ? first * rows + row : row * columns + first);
          for (int64_t i = 0; i < used; ++i) move(line[i], outside[by_input ? i * rows : i], in);
        }
      }
    }
  }

  static void move(T& stored, T& outside, bool in) { (in ? stored : outside) = in ? outside : stored; }

  const TrainTask<T>& task_;
  const TrainKernels& kernels_;
  const TrainFunctions<T>& functions_;
  const Plan& plan_;
  int64_t number_;
  const TrainRows& rows_;
  const T* weights_;
  Numbers<T> memory_, outputs_;
  TrainNetwork<T> network_;
  std::vector<int64_t> index_;
};

const TrainFunctions<float>& functions_of(const TrainKernels& kernels, float) { return kernels.of_float; }
const TrainFunctions<double>& functions_of(const TrainKernels& kernels, double) { return kernels.of_double; }

}  // namespace

template <class T>
bool train(const TrainTask<T>& task, InstructionSet set, const TrainPoll& poll) {
  const TrainKernels& kernels = PYBACKDOOR_PICK_KERNELS(train_kernels, set);
  const TrainFunctions<T>& functions = functions_of(kernels, T(0));
  const Plan plan = plan_storage(task.widths, task.activation, functions.geometry);
  const int64_t networks = static_cast<int64_t>(task.networks.size());
  Progress progress(task.networks.size(), task.start);
  std::mutex lock;
  std::condition_variable finished;
  std::exception_ptr failure;
  int running = 0;
  const auto work = [&] {
    flush_subnormals();
    try {
      for (int64_t number = progress.next.fetch_add(1); number < networks && !progress.stop.load(); number = progress.next.fetch_add(1)) {
        NetworkRun<T>(task, kernels, functions, plan, number).run(progress);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> guard(lock);
      failure = std::current_exception();
      progress.stop.store(true);
    }
    const std::lock_guard<std::mutex> guard(lock);
    --running;
    finished.notify_one();
  };
  const auto steps_done = [&] {
    int64_t least = task.until;
    for (const auto& step : progress.steps) least = std::min(least, step.load(std::memory_order_relaxed));
    return least;
  };
  std::vector<std::thread> threads;
  const auto join = [&] {
    for (std::thread& thread : threads) thread.join();
  };
  const int64_t wanted = std::min<int64_t>(task.threads, networks);
  threads.reserve(static_cast<std::size_t>(wanted));
  std::unique_lock<std::mutex> guard(lock);
  try {
    for (int64_t thread = 0; thread < wanted; ++thread) {
      threads.emplace_back(work);
      ++running;
    }
  } catch (const std::system_error&) {
    if (threads.empty()) throw;  // those that run do all the networks, with the same results
  }
  while (running > 0) {
    finished.wait_for(guard, std::chrono::milliseconds(50));
    if (running == 0) break;
    guard.unlock();
    try {
      if (!poll(steps_done())) progress.stop.store(true);
    } catch (...) {
      progress.stop.store(true);
      join();
      throw;
    }
    guard.lock();
  }
  guard.unlock();
  join();
  if (failure) std::rethrow_exception(failure);
  return !progress.stop.load();
}

template bool train<float>(const TrainTask<float>&, InstructionSet, const TrainPoll&);
template bool train<double>(const TrainTask<double>&, InstructionSet, const TrainPoll&);

}  // namespace pybackdoor
