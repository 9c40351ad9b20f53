// The CUDA training's own source, run on the host (emulated_thread.hpp), against the CPU kernels: several shapes, activations, losses and placements;
// the same bits however the steps are cut into launches, wherever a network lies on the chip, whatever its neighbours.
#include <cstdio>
#include <random>

#include "check.hpp"
#include "cpu/train_host.hpp"
#include "cuda/train_block.cuh"

using namespace pybackdoor;

namespace {

constexpr int h200 = 232448, a100 = 166912, rows = 90;

struct Case {
  const char* name;
  std::vector<int> widths;  // hidden
  int dimension;
  Activation activation;
  bool huber;
  int networks, batch_size, steps, weights;  // weights: 0 none, 1 shared, 2 per network
  int shared_bytes;
  bool tensor = false;
};

TrainShape shape_of(const Case& test) {
  TrainShape shape{test.dimension, static_cast<int>(test.widths.size()), test.activation, {}};
  for (int layer = 0; layer < shape.hidden; ++layer) shape.widths[layer] = test.widths[static_cast<std::size_t>(layer)];
  return shape;
}

// Data, start and rows of a case; `arrays` are the user's: weights of all layers, then biases, each [M, outputs, inputs].
struct Problem {
  std::vector<float> x, y, weights;
  std::vector<std::vector<std::int64_t>> numbers;
  std::vector<std::vector<float>> arrays;
  std::vector<std::int64_t> widths;

  explicit Problem(const Case& test) {
    std::mt19937 engine(5);
    std::normal_distribution<float> normal;
    for (int i = 0; i < rows * test.dimension; ++i) x.push_back(normal(engine));
    for (int i = 0; i < rows; ++i) y.push_back(std::sin(2 * x[static_cast<std::size_t>(i * test.dimension)]));
    for (int i = 0; i < test.weights * rows * (test.weights == 2 ? test.networks : 1); ++i) weights.push_back(std::fabs(normal(engine)));
    for (int m = 0; m < test.networks; ++m) {
      numbers.emplace_back();
      for (int i = m; i < rows - 3 * m; ++i) numbers.back().push_back(i);
    }
    widths.push_back(test.dimension);
    widths.insert(widths.end(), test.widths.begin(), test.widths.end());
    widths.push_back(1);
    for (int bias = 0; bias < 2; ++bias)
      for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
        arrays.emplace_back();
        const auto count = test.networks * widths[l + 1] * (bias ? 1 : widths[l]);
        const float scale = bias ? 0.1f : 1.4f / std::sqrt(static_cast<float>(widths[l]));
        for (std::int64_t i = 0; i < count; ++i) arrays.back().push_back(scale * normal(engine));
      }
  }
};

struct Trained {
  std::vector<std::vector<float>> arrays;
  std::vector<double> losses;    // [M], of all steps
  std::vector<float> residuals;  // [M, rows]
};

const AdamPlan adam_plan{0.9, 0.99, 1e-8, 0.1};
const Schedule schedule{ScheduleKind::one_cycle, 12, 0.01, 0.2, 0.05};

Trained on_cpu(const Case& test) {
  Problem problem(test);
  Trained out;
  out.losses.resize(static_cast<std::size_t>(test.networks));
  out.residuals.resize(static_cast<std::size_t>(test.networks * rows));
  TrainTask<float> task{};
  task.widths = problem.widths;
  task.activation = static_cast<int>(test.activation);
  task.plan = {schedule, adam_plan, {test.huber, 0.5}, test.batch_size, 12, 34};
  task.x = problem.x.data(), task.y = problem.y.data(), task.count = rows;
  task.weights = problem.weights.empty() ? nullptr : problem.weights.data(), task.weights_step = test.weights == 2 ? rows : 0;
  for (int m = 0; m < test.networks; ++m) {
    const auto& own = problem.numbers[static_cast<std::size_t>(m)];
    task.networks.push_back({own.data(), nullptr, static_cast<std::int64_t>(own.size()), 0, static_cast<std::uint32_t>(m + 3)});
  }
  std::vector<std::vector<float>> moments(2 * problem.arrays.size());
  for (std::size_t i = 0; i < moments.size(); ++i) moments[i].assign(problem.arrays[i % problem.arrays.size()].size(), 0.0f);
  for (std::size_t i = 0; i < problem.arrays.size(); ++i) {
    task.state.parameters.push_back(problem.arrays[i].data());
    task.state.first.push_back(moments[i].data());
    task.state.second.push_back(moments[problem.arrays.size() + i].data());
  }
  task.until = test.steps, task.reports = {test.steps}, task.snapshots = {test.steps};
  task.training_loss = out.losses.data(), task.residuals = out.residuals.data(), task.threads = 1;
  CHECK(train<float>(task, InstructionSet::portable, [](std::int64_t) { return true; }));
  out.arrays = problem.arrays;
  return out;
}

// Between the user's arrays and one network's packed set.
void convert(const TrainPacking& packing, const std::vector<std::int64_t>& widths, std::vector<std::vector<float>>& arrays, std::size_t network,
             float* packed, bool in) {
  const auto layers = widths.size() - 1;
  const auto move = [in](float& inside, float& outside) { (in ? inside : outside) = in ? outside : inside; };
  for (std::size_t l = 0; l < layers; ++l)
    for (int o = 0; o < widths[l + 1]; ++o) {
      const bool last = l + 1 == layers;
      const auto wide = static_cast<std::size_t>(widths[l]);
      for (int i = 0; i < widths[l]; ++i)
        move(packed[parameter_place(packing, static_cast<int>(l), last, o, i)],
             arrays[l][(network * static_cast<std::size_t>(widths[l + 1]) + static_cast<std::size_t>(o)) * wide + static_cast<std::size_t>(i)]);
      move(packed[bias_place(packing, static_cast<int>(l), last, o)],
           arrays[layers + l][network * static_cast<std::size_t>(widths[l + 1]) + static_cast<std::size_t>(o)]);
    }
}

std::vector<Four> numbers_of(std::int64_t count, float value) {
  return std::vector<Four>(static_cast<std::size_t>(count / 4 + 1), Four{{value, value, value, value}});
}

template <bool Tensor>
void run_thread(const Thread& thread, const TrainLaunch& launch) {
  switch (launch.place.packing.width) {
    case 32:
      return run_block<TrainTile<32, Tensor>>(thread, launch);
    case 64:
      return run_block<TrainTile<64, Tensor>>(thread, launch);
    case 128:
      return run_block<TrainTile<128, Tensor>>(thread, launch);
    default:
      return run_block<TrainTile<256, Tensor>>(thread, launch);
  }
}

void run(const TrainLaunch& launch) {
  const int blocks = static_cast<int>(launch.networks) * (launch.outputs ? launch.chunks : 1);
  emulate(blocks, train_warps, train_warps, static_cast<std::size_t>(launch.place.shared_bytes),
          [&](const Thread& thread) { launch.tensor ? run_thread<true>(thread, launch) : run_thread<false>(thread, launch); });
}

// Training in launches of at most `slice` steps, then residuals at all rows.
Trained emulated(const Case& test, int slice) {
  Problem problem(test);
  const TrainShape shape = shape_of(test);
  CHECK(refuse_train(shape, test.shared_bytes) == nullptr);
  TrainLaunch launch{};
  launch.shape = shape, launch.tensor = test.tensor;
  launch.place = lay_out_train(shape, test.batch_size, test.shared_bytes);
  CHECK(launch.place.shared_bytes <= test.shared_bytes);
  const TrainPacking& packing = launch.place.packing;
  const auto networks = static_cast<std::size_t>(test.networks);
  std::vector<Four> parameters = numbers_of(test.networks * packing.numbers, 0), first = parameters, second = parameters;
  std::vector<Four> workspace = numbers_of(4 * test.networks * launch.place.workspace_floats, NAN);
  std::vector<float> losses(2 * networks, 0.0f);
  for (std::size_t m = 0; m < networks; ++m)
    convert(packing, problem.widths, problem.arrays, m, parameters.data()->x + static_cast<std::int64_t>(m) * packing.numbers, true);
  std::vector<int> lists;
  std::vector<std::int64_t> sources, everything;
  for (std::size_t m = 0; m < networks; ++m) {
    sources.insert(sources.end(),
                   {static_cast<std::int64_t>(lists.size()), static_cast<std::int64_t>(problem.numbers[m].size()), static_cast<std::int64_t>(m + 3)});
    lists.insert(lists.end(), problem.numbers[m].begin(), problem.numbers[m].end());
    everything.insert(everything.end(), {0, rows, 0});
  }
  std::vector<AdamStep<float>> scalars;
  for (int step = 1; step <= test.steps; ++step) scalars.push_back(adam_step<float>(adam_plan, step, learning_rate(schedule, step)));
  launch.data = {problem.x.data(), problem.y.data(), problem.weights.empty() ? nullptr : problem.weights.data(), test.weights == 2 ? rows : 0,
                 lists.data(),     sources.data()};
  launch.memory = {parameters.data()->x, first.data()->x, second.data()->x, workspace.data()->x, losses.data()};
  launch.networks = test.networks, launch.batch_size = test.batch_size, launch.seed = 12, launch.purpose = 34;
  launch.huber = test.huber, launch.huber_delta = 0.5f, launch.share = static_cast<float>(1.0 / test.batch_size);
  for (int step = 0; step < test.steps; step += slice) {
    launch.start = step, launch.steps = std::min(slice, test.steps - step), launch.scalars = scalars.data() + step;
    run(launch);
  }
  Trained out;
  out.residuals.assign(networks * rows, NAN);
  launch.outputs = out.residuals.data(), launch.outputs_step = rows, launch.chunks = 2;
  launch.data.rows = nullptr, launch.data.sources = everything.data();
  run(launch);
  for (std::size_t i = 0; i < out.residuals.size(); ++i) out.residuals[i] = problem.y[i % rows] - out.residuals[i];
  for (std::size_t m = 0; m < networks; ++m) {
    convert(packing, problem.widths, problem.arrays, m, parameters.data()->x + static_cast<std::int64_t>(m) * packing.numbers, false);
    out.losses.push_back((double(losses[2 * m]) + losses[2 * m + 1]) / test.steps);
  }
  out.arrays = problem.arrays;
  return out;
}

void trains_as_on_the_cpu(const Case& test) {
  const Trained ours = emulated(test, test.steps), theirs = on_cpu(test);
  double apart = 0, moved = 0;
  const Problem start(test);
  for (std::size_t p = 0; p < ours.arrays.size(); ++p)
    for (std::size_t i = 0; i < ours.arrays[p].size(); ++i) {
      const double difference = std::fabs(ours.arrays[p][i] - theirs.arrays[p][i]);
      apart = difference <= apart ? apart : difference;  // a NaN becomes it
      moved = std::fmax(moved, std::fabs(theirs.arrays[p][i] - start.arrays[p][i]));
    }
  double residual = 0, loss = 0;
  for (std::size_t i = 0; i < ours.residuals.size(); ++i) {
    const double difference = std::fabs(ours.residuals[i] - theirs.residuals[i]);
    residual = difference <= residual ? residual : difference;
  }
  for (std::size_t m = 0; m < ours.losses.size(); ++m) {
    const double difference = std::fabs(ours.losses[m] / theirs.losses[m] - 1);
    loss = difference <= loss ? loss : difference;
  }
  if (!(apart < 1e-4 && residual < 1e-3 && loss < 1e-5))
    std::fprintf(stderr, "%s: weights %g, residuals %g, losses %g apart\n", test.name, apart, residual, loss);
  CHECK(apart < 1e-4);
  CHECK(residual < 1e-3);
  CHECK(loss < 1e-5);
  CHECK(moved > 3e-3);
}

void same_bits(const Trained& one, const Trained& other) {
  CHECK(one.arrays == other.arrays && one.losses == other.losses && one.residuals == other.residuals);
}

}  // namespace

#if defined(__SANITIZE_THREAD__)
constexpr bool whole_range = false;  // its threads take minutes; races depend on neither activation nor every shape
#else
constexpr bool whole_range = true;
#endif

int main() {
  for (int a = 0; a < (whole_range ? activation_count : 0); ++a)
    trains_as_on_the_cpu({"activation", {20}, 3, Activation(a), a % 2 == 1, 1, 37, 1, a % 3, h200});
  const Case cases[] = {
      {"32 wide", {32, 17, 9}, 5, Activation::silu, false, 2, 150, 2, 2, h200},
      {"64 wide", {64, 40, 64}, 5, Activation::tanh, true, 1, 70, 3, 1, h200},
      {"64 wide, many features", {50, 64}, 43, Activation::sigmoid, false, 1, 64, 2, 0, a100},
      {"64 wide, little memory", {64, 64, 64, 33}, 5, Activation::softplus, false, 1, 33, 2, 1, 120 * 1024},
      {"128 wide", {128, 65}, 9, Activation::gelu, false, 1, 40, 2, 0, h200},
      {"128 wide, little memory", {100, 128, 30}, 2, Activation::silu, true, 1, 5, 2, 1, 130 * 1024},
      {"256 wide", {130, 256}, 17, Activation::gelu_tanh, false, 1, 18, 2, 0, a100},
      {"deep, little memory", {64, 40, 64, 64, 50, 64}, 5, Activation::tanh, false, 1, 70, 2, 0, 130 * 1024},
      {"more than is drawn at once", {24, 24}, 1, Activation::elu, false, 1, 1100, 1, 1, h200},
  };
  for (Case test : cases) {
    if (!whole_range && test.batch_size > 80) continue;
    if (!whole_range) test.batch_size = std::min(test.batch_size, 34), test.steps = test.widths.back() == 64 ? 2 : 1;
    trains_as_on_the_cpu(test);
  }
  for (const int number : {0, 1, 2, 3, 5, 6}) {
    if (!whole_range && number != 3) continue;
    Case test = cases[number];
    test.tensor = true, test.networks = 1, test.steps = 1, test.batch_size = test.batch_size < 40 ? test.batch_size : 40;
    trains_as_on_the_cpu(test);
  }
  if (!whole_range) return failed();
  Case cut = cases[0];
  cut.networks = 1;
  same_bits(emulated(cut, 1), emulated(cut, 2));
  const Case rich = {"placements", {60, 64, 64, 33}, 5, Activation::silu, false, 1, 70, 1, 1, h200};
  const Trained near = emulated(rich, 1);
  CHECK(lay_out_train(shape_of(rich), rich.batch_size, rich.shared_bytes).workspace_floats == 0);
  for (const int kilobytes : {160, 140, 105}) {
    Case poor = rich;
    poor.shared_bytes = kilobytes * 1024;
    CHECK(lay_out_train(shape_of(poor), poor.batch_size, poor.shared_bytes).workspace_floats > 0);
    same_bits(emulated(poor, 1), near);
  }
  return failed();
}
