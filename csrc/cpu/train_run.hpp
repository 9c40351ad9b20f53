// The steps of one network, taken by a team of threads. Host code only.
//
// A minibatch is cut into tiles and these into at most train_groups groups, whose gradients are summed separately and added up in order: the numbers
// do not depend on the size of the team. A step has two barriers: all gradients are there before parameters change, and the other way round.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cpu/train_host.hpp"
#include "cpu/train_storage.hpp"

namespace pybackdoor {

// Where the threads of a team wait for one another: a while awake, then asleep.
class TrainBarrier {
 public:
  explicit TrainBarrier(int size) : size_(size) {}
  void wait() {
    if (size_ == 1) return;
    const std::uint32_t now = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.fetch_add(1, std::memory_order_acq_rel);
      phase_.notify_all();
      return;
    }
    for (int spin = 0; spin < 2000; ++spin) {
      if (phase_.load(std::memory_order_acquire) != now) return;
#if defined(PYBACKDOOR_X86)
      __builtin_ia32_pause();
#endif
    }
    while (phase_.load(std::memory_order_acquire) == now) phase_.wait(now, std::memory_order_acquire);
  }

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<std::uint32_t> phase_{0};
};

template <class T>
class TrainRun {
 public:
  // Everything that needs memory happens here: the steps themselves throw nothing.
  TrainRun(const TrainTask<T>& task, const TrainKernels& kernels, const TrainFunctions<T>& functions, const TrainStorage& plan, std::int64_t number,
           int team)
      : task_(task),
        kernels_(kernels),
        functions_(functions),
        plan_(plan),
        number_(number),
        rows_(task.networks[static_cast<std::size_t>(number)]),
        team_(team),
        barrier_(team) {
    const TrainLayout& layout = plan.layout;
    const std::int64_t tile_rows = plan.geometry.tile_rows, tiles = (task.plan.batch_size + tile_rows - 1) / tile_rows;
    for (std::int64_t group = 0; group < train_groups; ++group) {
      const std::int64_t start = tiles * group / train_groups * tile_rows, end = tiles * (group + 1) / train_groups * tile_rows;
      if (end > start) groups_.push_back({start, std::min(end, task.plan.batch_size) - start, 0.0});
    }
    const auto used = static_cast<std::int64_t>(groups_.size());
    memory_ = zeros<T>((3 + used) * layout.parameters + layout.turned + team * layout.scratch);
    network_.parameters = memory_.get();
    network_.first = network_.parameters + layout.parameters;
    network_.second = network_.first + layout.parameters;
    gradients_.count = used;
    for (std::int64_t group = 0; group < used; ++group) gradients_.of[group] = network_.second + (1 + group) * layout.parameters;
    network_.turned = network_.second + (1 + used) * layout.parameters;
    weights_ = task.weights ? task.weights + number * task.weights_step : nullptr;
    index_.resize(static_cast<std::size_t>(task.plan.batch_size));
    evaluated_.resize(static_cast<std::size_t>(evaluation_rows));
    outputs_ = zeros<T>(evaluation_rows);
  }

  // Run by each member of the team, 0 .. team - 1. `stop` may be set at any time; `done` becomes the last step taken.
  void run(int member, const std::atomic<bool>& stop, std::atomic<std::int64_t>& done) {
    TrainNetwork<T> network = network_;
    network.scratch = network_.turned + plan_.layout.turned + member * plan_.layout.scratch;
    if (member == 0) {
      convert(plan_, network_.parameters, task_.state.parameters, number_, true);
      convert(plan_, network_.first, task_.state.first, number_, true);
      convert(plan_, network_.second, task_.state.second, number_, true);
      functions_.turn(plan_.layout, network);
      since_ = task_.start;
      report(network, task_.start, stop);
      ends_ = task_.start >= task_.until || stop.load(std::memory_order_relaxed);
    }
    barrier_.wait();
    for (std::int64_t step = task_.start + 1; !ends_; ++step) {
      for (std::size_t group = static_cast<std::size_t>(member); group < groups_.size(); group += static_cast<std::size_t>(team_))
        sum(network, group, step);
      barrier_.wait();
      if (member == 0) {
        for (const Group& group : groups_) loss_ += group.loss / static_cast<double>(task_.plan.batch_size);
        ends_ = step >= task_.until || stop.load(std::memory_order_relaxed);
      }
      const AdamPlan& adam = task_.plan.adam;
      functions_.update(plan_.layout, network, gradients_,
                        {adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay, learning_rate(task_.plan.schedule, step), step}, member, team_);
      barrier_.wait();
      if (member == 0) {
        report(network, step, stop);
        done.store(step, std::memory_order_relaxed);
      }
    }
    if (member != 0) return;
    convert(plan_, network_.parameters, task_.state.parameters, number_, false);
    convert(plan_, network_.first, task_.state.first, number_, false);
    convert(plan_, network_.second, task_.state.second, number_, false);
  }

 private:
  static constexpr std::int64_t evaluation_rows = 4096;  // between two looks at the stop flag

  struct Group {
    std::int64_t start, size;  // rows of the minibatch
    double loss;
  };

  // The loss and gradient of a group of the step's minibatch.
  void sum(TrainNetwork<T> network, std::size_t group, std::int64_t step) {
    const TrainPlan& plan = task_.plan;
    Group& part = groups_[group];
    std::int64_t* const index = index_.data() + part.start;
    kernels_.minibatch(rows_.count, {plan.seed, plan.purpose, rows_.stream}, (step - 1) * plan.batch_size + part.start, part.size, index);
    for (std::int64_t i = 0; i < part.size; ++i) index[i] = rows_.rows[index[i]];
    network.gradient = const_cast<T*>(gradients_.of[group]);
    part.loss = functions_.gradient(plan_.layout, network, batch(index, part.size));
  }

  TrainBatch<T> batch(const std::int64_t* index, std::int64_t size) const {
    return {task_.x, task_.y, weights_, index, size, task_.widths[0], task_.plan.batch_size, task_.plan.loss};
  }

  // What is due after a step.
  void report(const TrainNetwork<T>& network, std::int64_t step, const std::atomic<bool>& stop) {
    if (snapshots_ < task_.snapshots.size() && task_.snapshots[snapshots_] == step) residuals(network, static_cast<std::int64_t>(snapshots_++), stop);
    if (reports_ >= task_.reports.size() || task_.reports[reports_] != step) return;
    const std::size_t at = reports_++ * task_.networks.size() + static_cast<std::size_t>(number_);
    task_.training_loss[at] = loss_ / static_cast<double>(step - since_);
    if (task_.validation_loss) task_.validation_loss[at] = validation(network, stop);
    loss_ = 0;
    since_ = step;
  }

  double validation(const TrainNetwork<T>& network, const std::atomic<bool>& stop) {
    double total = 0, weight = 0;
    for (std::int64_t start = 0; start < rows_.validation_count && !stop.load(std::memory_order_relaxed); start += evaluation_rows) {
      const std::int64_t size = std::min(evaluation_rows, rows_.validation_count - start), *const rows = rows_.validation + start;
      functions_.outputs(plan_.layout, network, batch(rows, size), outputs_.get());
      for (std::int64_t i = 0; i < size; ++i) {
        const double error = static_cast<double>(outputs_[static_cast<std::size_t>(i)] - task_.y[rows[i]]), limit = task_.plan.loss.delta;
        const double share = weights_ ? static_cast<double>(weights_[rows[i]]) : 1.0, size_of = std::abs(error);
        total += share * (!task_.plan.loss.huber ? error * error : size_of > limit ? limit * (size_of - limit / 2) : error * error / 2);
        weight += share;
      }
    }
    return total / weight;
  }

  void residuals(const TrainNetwork<T>& network, std::int64_t snapshot, const std::atomic<bool>& stop) {
    T* const out = task_.residuals + (snapshot * static_cast<std::int64_t>(task_.networks.size()) + number_) * task_.count;
    for (std::int64_t start = 0; start < task_.count && !stop.load(std::memory_order_relaxed); start += evaluation_rows) {
      const std::int64_t size = std::min(evaluation_rows, task_.count - start);
      for (std::int64_t i = 0; i < size; ++i) evaluated_[static_cast<std::size_t>(i)] = start + i;
      functions_.outputs(plan_.layout, network, batch(evaluated_.data(), size), outputs_.get());
      for (std::int64_t i = 0; i < size; ++i) out[start + i] = task_.y[start + i] - outputs_[static_cast<std::size_t>(i)];
    }
  }

  const TrainTask<T>& task_;
  const TrainKernels& kernels_;
  const TrainFunctions<T>& functions_;
  const TrainStorage& plan_;
  const std::int64_t number_;
  const TrainRows& rows_;
  const int team_;
  TrainBarrier barrier_;
  std::vector<Group> groups_;
  Numbers<T> memory_, outputs_;
  TrainNetwork<T> network_{};
  TrainGradients<T> gradients_{};
  const T* weights_;
  std::vector<std::int64_t> index_, evaluated_;
  // Written by member 0 alone, between the barriers of a step; `ends_` is read by all after the second.
  bool ends_ = false;
  double loss_ = 0;
  std::int64_t since_ = 0;
  std::size_t reports_ = 0, snapshots_ = 0;
};

}  // namespace pybackdoor
