// Training on every instruction set against a step written out naively, with teams of several sizes, stopped, and with exceptions.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "cpu/train_host.hpp"
#include "pybackdoor/activation.hpp"
#include "pybackdoor/bijection.hpp"
#include "pybackdoor/simd.hpp"

using namespace pybackdoor;

namespace {

using Matrix = std::vector<double>;

// A problem and the arrays a training works on: widths (3, 21, 9, 1), tanh, M networks that start alike but for their stream.
template <class T>
struct Problem {
  std::vector<std::int64_t> widths = {3, 21, 9, 1}, rows;
  std::vector<T> x, y, weights;
  std::vector<std::vector<T>> arrays;
  std::vector<double> losses, validation;
  std::vector<T> residuals;
  TrainTask<T> task;

  Problem(std::int64_t networks, std::int64_t batch_size, std::int64_t until, int threads) {
    const std::int64_t count = 150;
    for (std::int64_t i = 0; i < count; ++i) {
      for (int j = 0; j < 3; ++j) x.push_back(T(std::sin(1.0 + static_cast<double>(i) * (j + 1))));
      y.push_back(T(std::cos(static_cast<double>(3 * i))));
      weights.push_back(T(0.5 + static_cast<double>(i % 7) / 7));
      rows.push_back((i * 7) % count);
    }
    for (int part = 0; part < 3; ++part) {
      for (int bias = 0; bias < 2; ++bias) {
        for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
          const std::int64_t size = widths[l + 1] * (bias ? 1 : widths[l]);
          std::vector<T> array;
          for (std::int64_t i = 0; i < networks * size; ++i) {
            array.push_back(part ? T(0) : T(std::sin(static_cast<double>(i % size) + 10.0 * static_cast<double>(l)) / 3));
          }
          arrays.push_back(array);
        }
      }
    }
    for (std::size_t array = 0; array < arrays.size(); ++array) {
      auto& part = array < 6 ? task.state.parameters : array < 12 ? task.state.first : task.state.second;
      part.push_back(arrays[array].data());
    }
    task.widths = widths;
    task.activation = static_cast<int>(Activation::tanh);
    task.plan = {{ScheduleKind::cosine, 40, 0.01, 0.0, 0.1}, {0.9, 0.99, 1e-8, 0.1}, {true, 0.4}, batch_size, 12, 34};
    task.x = x.data();
    task.y = y.data();
    task.weights = weights.data();
    task.count = count;
    task.weights_step = 0;
    for (std::int64_t m = 0; m < networks; ++m) task.networks.push_back({rows.data(), rows.data(), count, 20, static_cast<std::uint32_t>(m)});
    task.start = 0;
    task.until = until;
    task.reports = {until};
    task.snapshots = {until};
    losses.resize(static_cast<std::size_t>(networks));
    validation.resize(losses.size());
    residuals.resize(static_cast<std::size_t>(networks * count));
    task.training_loss = losses.data();
    task.validation_loss = validation.data();
    task.residuals = residuals.data();
    task.threads = threads;
  }
};

// The first network's weights and biases after the steps, in plain loops and double precision.
std::vector<Matrix> naive(const Problem<double>& problem) {
  const TrainTask<double>& task = problem.task;
  std::vector<Matrix> values(problem.arrays.begin(), problem.arrays.begin() + 6), first(6), second(6);
  for (std::size_t p = 0; p < 6; ++p) {
    values[p].resize(values[p].size() / task.networks.size());
    first[p].assign(values[p].size(), 0.0);
    second[p].assign(values[p].size(), 0.0);
  }
  for (std::int64_t step = 1; step <= task.until; ++step) {
    std::vector<Matrix> gradient(6);
    for (std::size_t p = 0; p < 6; ++p) gradient[p].assign(values[p].size(), 0.0);
    for (std::int64_t i = 0; i < task.plan.batch_size; ++i) {
      const std::int64_t entry = (step - 1) * task.plan.batch_size + i;
      const auto count = static_cast<std::uint64_t>(task.count);
      const Bijection order = make_bijection(count, {task.plan.seed, task.plan.purpose, 0}, static_cast<std::uint64_t>(entry) / count);
      const std::int64_t row = problem.rows[order(static_cast<std::uint64_t>(entry) % count)];
      std::vector<Matrix> layer = {Matrix(problem.x.begin() + row * 3, problem.x.begin() + row * 3 + 3)};
      for (std::size_t l = 0; l < 3; ++l) {
        Matrix next;
        for (std::size_t o = 0; o < values[3 + l].size(); ++o) {
          double sum = values[3 + l][o];
          for (std::size_t k = 0; k < layer[l].size(); ++k) sum += values[l][o * layer[l].size() + k] * layer[l][k];
          next.push_back(l < 2 ? std::tanh(sum) : sum);
        }
        layer.push_back(next);
      }
      const double error = layer[3][0] - problem.y[static_cast<std::size_t>(row)], limit = task.plan.loss.delta;
      Matrix delta = {problem.weights[static_cast<std::size_t>(row)] * std::fmax(-limit, std::fmin(limit, error)) / double(task.plan.batch_size)};
      for (std::size_t l = 3; l-- > 0;) {
        Matrix below(layer[l].size(), 0.0);
        for (std::size_t o = 0; o < delta.size(); ++o) {
          gradient[3 + l][o] += delta[o];
          for (std::size_t k = 0; k < below.size(); ++k) {
            gradient[l][o * below.size() + k] += delta[o] * layer[l][k];
            below[k] += delta[o] * values[l][o * below.size() + k] * (1 - layer[l][k] * layer[l][k]);
          }
        }
        delta = below;
      }
    }
    const double rate = learning_rate(task.plan.schedule, step), number = static_cast<double>(step);
    for (std::size_t p = 0; p < 6; ++p) {
      for (std::size_t i = 0; i < values[p].size(); ++i) {
        const double g = gradient[p][i];
        first[p][i] = 0.9 * first[p][i] + (1 - 0.9) * g;
        second[p][i] = 0.99 * second[p][i] + (1 - 0.99) * g * g;
        const double unbiased = first[p][i] / (1 - std::pow(0.9, number)), spread = std::sqrt(second[p][i] / (1 - std::pow(0.99, number)));
        values[p][i] -= rate * (0.1 * values[p][i] + unbiased / (spread + 1e-8));
      }
    }
  }
  return values;
}

template <class T>
void equals_the_naive_steps(InstructionSet set, double tolerance) {
  for (const std::int64_t batch_size : {1, 50, 66, 150, 400}) {
    const std::vector<Matrix> expected = naive(Problem<double>(1, batch_size, 15, 1));
    Problem<T> problem(1, batch_size, 15, 1);
    CHECK(train<T>(problem.task, set, [](std::int64_t) { return true; }));
    for (std::size_t p = 0; p < 6; ++p) {
      for (std::size_t i = 0; i < expected[p].size(); ++i) CHECK(std::abs(static_cast<double>(problem.arrays[p][i]) - expected[p][i]) < tolerance);
    }
  }
}

// A batch large enough for a team of threads; every size gives the same bits.
template <class T>
void any_number_of_threads(InstructionSet set, std::int64_t batch_size) {
  for (const std::int64_t networks : {1, 3}) {
    Problem<T> one(networks, batch_size, 6, 1);
    CHECK(train<T>(one.task, set, [](std::int64_t) { return true; }));
    for (const int threads : {2, 5}) {
      Problem<T> many(networks, batch_size, 6, threads);
      CHECK(train<T>(many.task, set, [](std::int64_t) { return true; }));
      CHECK(many.arrays == one.arrays);
      CHECK(many.losses == one.losses && many.validation == one.validation && many.residuals == one.residuals);
    }
  }
}

void stops(InstructionSet set) {
  for (const int threads : {1, 2, 5}) {
    for (const std::int64_t networks : {1, 3}) {
      Problem<float> endless(networks, 4000, std::int64_t{1} << 40, threads);
      endless.task.plan.schedule.steps = endless.task.until;
      CHECK(!train<float>(endless.task, set, [](std::int64_t) { return false; }));
      bool thrown = false;
      try {
        train<float>(endless.task, set, [](std::int64_t) -> bool { throw std::runtime_error("stop"); });
      } catch (const std::runtime_error&) {
        thrown = true;
      }
      CHECK(thrown);
    }
  }
}

void schedules() {
  const Schedule one_cycle = {ScheduleKind::one_cycle, 100, 2.0, 0.1, 0.01};
  CHECK(std::abs(learning_rate(one_cycle, 1) - 0.2) < 1e-15);
  CHECK(std::abs(learning_rate(one_cycle, 10) - 2.0) < 1e-15);
  CHECK(std::abs(learning_rate(one_cycle, 55) - 2.0 * (0.01 + 0.99 / 2)) < 1e-15);
  CHECK(std::abs(learning_rate(one_cycle, 100) - 0.02) < 1e-15);
  CHECK(std::abs(learning_rate({ScheduleKind::cosine, 100, 2.0, 0.1, 0.0}, 50) - 1.0) < 1e-15);
  CHECK(learning_rate({ScheduleKind::constant, 100, 2.0, 0.1, 0.0}, 99) == 2.0);
}

}  // namespace

// With an argument the teams get small batches: under valgrind they take turns.
int main(int count, char**) {
  const std::int64_t batch_size = count > 1 ? 300 : 4000;
  schedules();
  for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!is_available(set)) continue;
    equals_the_naive_steps<double>(set, 1e-12);
    equals_the_naive_steps<float>(set, 2e-4);
    any_number_of_threads<float>(set, batch_size);
    any_number_of_threads<double>(set, batch_size);
    stops(set);
  }
  return failed();
}
