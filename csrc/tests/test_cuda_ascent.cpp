// The CUDA kernels' own source, run on the host (emulated_thread.hpp), against the CPU kernels: values and gradients, whole climbs with every part of
// the objective, and that neither the layout on the chip nor the neighbours change a bit.
#include <random>

#include "check.hpp"
#include "cpu/ascent.hpp"
#include "cuda/ascent_climb.cuh"
#include "cuda/ascent_plan.hpp"
#include "pybackdoor/packed.hpp"

using namespace pybackdoor;

namespace {

struct Net {
  NetworkSource source;
  std::vector<std::vector<double>> storage;
};

Net random_net(int dimension, std::vector<int> widths, Activation activation, bool curved, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Net net;
  net.storage.reserve(2 * widths.size() + 8);
  const auto numbers = [&](int count, double scale) {
    std::vector<double>& made = net.storage.emplace_back(count);
    for (double& number : made) number = scale * normal(engine);
    return made.data();
  };
  net.source.dimension = dimension, net.source.activation = activation, net.source.widths = widths;
  int before = dimension;
  widths.push_back(1);
  for (const int width : widths) {
    net.source.weights.push_back(numbers(width * before, std::sqrt(2.0 / before)));
    net.source.biases.push_back(numbers(width, 0.3));
    before = width;
  }
  net.source.input_shift = numbers(dimension, 0.0), net.source.input_scale = numbers(dimension, 1.0);
  double* rate = numbers(dimension, curved ? 0.5 : 0.0);
  for (int feature = 1; feature < dimension; feature += 2) rate[feature] = 0;
  net.source.input_rate = rate;
  net.source.output_shift = 0.5, net.source.output_scale = 2.0;
  return net;
}

NetworkShape shape_of(const NetworkSource& source) {
  NetworkShape shape{source.dimension, int(source.widths.size()), source.activation, false, {}};
  for (int layer = 0; layer < shape.hidden; ++layer) shape.widths[layer] = source.widths[layer];
  for (int feature = 0; feature < source.dimension; ++feature) shape.curved = shape.curved || source.input_rate[feature] != 0;
  return shape;
}

using Numbers = std::vector<float>;

// A matrix [rows][columns] in the order of mma.m16n8k8's left factor.
Numbers in_fragments(const Numbers& matrix, int rows, int columns, int tile) {
  Numbers order;
  for (int first = 0; first < rows; first += tile)
    for (int column = 0; column < columns; column += 8)
      for (int row = first; row < first + tile; row += 16)
        for (int lane = 0; lane < 32; ++lane)
          for (int i = 0; i < 4; ++i) order.push_back(matrix[(row + lane / 4 + 8 * (i % 2)) * columns + column + lane % 4 + 4 * (i / 2)]);
  return order;
}

Numbers transposed(const Numbers& matrix, int rows, int columns) {
  Numbers turned;
  for (int column = 0; column < columns; ++column)
    for (int row = 0; row < rows; ++row) turned.push_back(matrix[row * columns + column]);
  return turned;
}

// As pybackdoor/ops/ascent/packing.py, for networks without input shift.
std::vector<Four> pack(const NetworkSource& source, int tile, bool tensor) {
  Numbers numbers;
  int columns = padded(source.dimension, 8), real = source.dimension;
  const auto matrix_of = [](const double* from, int rows, int wide, int count, int across, auto factor) {
    Numbers matrix;
    for (int row = 0; row < count; ++row)
      for (int column = 0; column < across; ++column)
        matrix.push_back(row < rows && column < wide ? float(factor(column) * from[row * wide + column]) : 0.0f);
    return matrix;
  };
  const auto append = [&](const Numbers& made) { numbers.insert(numbers.end(), made.begin(), made.end()); };
  const auto one = [](int) { return 1.0; };
  const auto input = [&](int column) { return source.input_scale[column]; };
  const auto output = [&](int) { return source.output_scale; };
  for (std::size_t layer = 0; layer < source.widths.size(); ++layer) {
    const int width = source.widths[layer], rows = padded(width, tile);
    const double* weights = source.weights[layer];
    const Numbers matrix = layer == 0 ? matrix_of(weights, width, real, rows, columns, input) : matrix_of(weights, width, real, rows, columns, one);
    append(tensor ? in_fragments(matrix, rows, columns, tile) : matrix);
    append(matrix_of(source.biases[layer], 1, width, 1, rows, one));
    if (tensor && layer > 0) append(in_fragments(transposed(matrix, rows, columns), columns, rows, tile));
    columns = rows, real = width;
  }
  const auto both = [&](int column) { return source.output_scale * input(column); };
  append(source.widths.empty() ? matrix_of(source.weights.back(), 1, real, 1, columns, both)
                               : matrix_of(source.weights.back(), 1, real, 1, columns, output));
  const double bias = source.output_shift + source.output_scale * source.biases.back()[0];
  append(matrix_of(&bias, 1, 1, 1, 4, one));
  append(matrix_of(source.input_rate, 1, source.dimension, 1, padded(source.dimension, 8), one));
  CHECK(std::int64_t(numbers.size()) == PackedSizes::of(shape_of(source), tile, tensor).numbers);
  std::vector<Four> aligned(numbers.size() / 4);
  std::memcpy(aligned.data(), numbers.data(), numbers.size() * sizeof(float));
  return aligned;
}

struct Case {
  const char* name;
  Net net;
  const Net* second;
  int count;
  bool parts;  // anchors, radii, offsets and slopes
  int multiprocessors, shared_bytes;
  bool tensor = false, exact = true;
};

struct Climbed {
  std::vector<float> points, values, objectives;
  std::vector<std::int64_t> status, steps;
};

const StepRule rule{12, 0.05, 0.05, 1e-6, 3, 1e-3, true};

struct Inputs {
  std::vector<float> starts, anchors, radii, offsets, slopes;
  Inputs(int count, int d) {
    std::mt19937 engine(9);
    std::uniform_real_distribution<float> uniform;
    for (int i = 0; i < count * d; ++i) {
      starts.push_back(uniform(engine) * 1.2f - 0.1f), anchors.push_back(uniform(engine)), slopes.push_back(uniform(engine) - 0.5f);
      if (i % d == 0) radii.push_back(0.3f * uniform(engine)), offsets.push_back(uniform(engine));
    }
    if (count > 3) starts[3 * d] = std::numeric_limits<float>::quiet_NaN();
  }
};

AscentRequest request_of(const Case& test) {
  return {shape_of(test.net.source),
          test.second ? shape_of(test.second->source) : NetworkShape{},
          test.second != nullptr,
          test.parts,
          test.parts,
          test.tensor,
          test.count,
          test.multiprocessors,
          test.shared_bytes};
}

AscentPlan plan_of(const Case& test) { return lay_out_ascent(request_of(test)); }

template <bool Tensor>
void run_thread(const Thread& thread, const ClimbLaunch& launch) {
  const AscentPlan& plan = launch.plan;
  if (plan.tile == 64)
    plan.resident ? climb_block<Shape<8, 8, true, Tensor>>(thread, launch) : climb_block<Shape<8, 8, false, Tensor>>(thread, launch);
  else
    plan.resident ? climb_block<Shape<4, 4, true, Tensor>>(thread, launch) : climb_block<Shape<4, 4, false, Tensor>>(thread, launch);
}

Climbed emulated(const Case& test, const Inputs& inputs, bool evaluate, int count) {
  const int d = test.net.source.dimension;
  const AscentRequest request = request_of(test);
  CHECK(refuse_ascent(request.first) == nullptr);
  const AscentPlan plan = plan_of(test);
  CHECK(plan.shared_bytes <= test.shared_bytes);
  const std::vector<Four> first = pack(test.net.source, plan.tile, test.tensor);
  const std::vector<Four> second = test.second ? pack(test.second->source, plan.tile, test.tensor) : std::vector<Four>();
  std::vector<Four> workspace(plan.workspace_bytes / 16 + 1, Four{NAN, NAN, NAN, NAN});
  std::memset(workspace.data(), 0, counter_bytes);
  Climbed out{std::vector<float>(count * d, NAN), std::vector<float>(count, NAN), std::vector<float>(count, NAN),
              std::vector<std::int64_t>(count, -9), std::vector<std::int64_t>(count, -9)};
  ClimbLaunch launch{};
  launch.network[0] = {request.first, first.data()->x};
  launch.has_second = request.has_second;
  if (test.second) launch.network[1] = {request.second, second.data()->x};
  launch.exact = test.exact, launch.evaluate = evaluate;
  launch.rule = {rule.steps,    float(rule.step_size),   float(rule.decay), float(rule.tolerance),
                 rule.patience, float(rule.improvement), rule.normalised};
  launch.count = count;
  launch.starts = inputs.starts.data();
  if (test.parts)
    launch.anchors = inputs.anchors.data(), launch.radii = inputs.radii.data(), launch.offsets = inputs.offsets.data(),
    launch.slopes = inputs.slopes.data();
  launch.points = out.points.data(), launch.values = out.values.data(), launch.objectives = out.objectives.data();
  launch.status = out.status.data(), launch.steps = out.steps.data();
  launch.workspace = workspace.data();
  launch.plan = plan;
  emulate(plan.blocks, warps_per_block, plan.team, plan.shared_bytes,
          [&](const Thread& thread) { plan.tensor ? run_thread<true>(thread, launch) : run_thread<false>(thread, launch); });
  return out;
}

Climbed on_cpu(const Case& test, const Inputs& inputs) {
  const int d = test.net.source.dimension, count = test.count;
  const int panel = ascent_functions<float>(InstructionSet::portable).panel;
  const PackedNetwork<float> packed(test.net.source, panel);
  const PackedNetwork<float> other(test.second ? test.second->source : test.net.source, panel);
  const NetworkView<float> second = other.view();
  std::vector<double> points(count * d), values(count), objectives(count);
  Climbed out;
  out.status.resize(count), out.steps.resize(count);
  ClimbCall<float> call{};
  call.network = packed.view(), call.second = test.second ? &second : nullptr, call.rule = rule, call.count = count;
  call.starts = {inputs.starts.data(), true, d, 1};
  if (test.parts) {
    call.anchors = {inputs.anchors.data(), true, d, 1}, call.slopes = {inputs.slopes.data(), true, d, 1};
    call.radii = {inputs.radii.data(), true, 1, 0}, call.offsets = {inputs.offsets.data(), true, 1, 0};
  }
  call.points = points.data(), call.values = values.data(), call.objectives = objectives.data();
  call.status = out.status.data(), call.steps = out.steps.data();
  climb_seeds<float>(InstructionSet::portable, call, 1);
  out.points.assign(points.begin(), points.end()), out.values.assign(values.begin(), values.end());
  out.objectives.assign(objectives.begin(), objectives.end());
  return out;
}

bool near(double a, double b, double tolerance) { return (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= tolerance * (1 + std::fabs(b)); }

void climbs_as_on_the_cpu(const Case& test) {
  const Inputs inputs(test.count, test.net.source.dimension);
  const Climbed ours = emulated(test, inputs, false, test.count), theirs = on_cpu(test, inputs);
  int apart = 0;
  for (int seed = 0; seed < test.count; ++seed) {
    bool same = ours.status[seed] == theirs.status[seed] && ours.steps[seed] == theirs.steps[seed];
    same = same && near(ours.objectives[seed], theirs.objectives[seed], 2e-3) && near(ours.values[seed], theirs.values[seed], 2e-3);
    apart += !same;
    CHECK(ours.status[seed] >= 0 && ours.status[seed] <= 4);
  }
  if (apart > test.count / 20) std::fprintf(stderr, "%s: %d of %d seeds differ\n", test.name, apart, test.count);
  CHECK(apart <= test.count / 20);  // a climb magnifies rounding, at a kink without bound
  CHECK(test.count <= 3 || ours.status[3] == int(Stop::not_finite));
}

struct Deviation {
  double values = 0, gradients = 0;  // the largest: relative to 1 + |value|, and to the gradient's norm
};

// From float64, at the points where that is finite.
Deviation deviation(const Case& test) {
  const int d = test.net.source.dimension;
  const Inputs inputs(test.count, d);
  const Climbed ours = emulated(test, inputs, true, test.count);
  const PackedNetwork<double> packed(test.net.source, ascent_functions<double>(InstructionSet::portable).panel);
  std::vector<double> values(test.count), gradients(test.count * d);
  evaluate_points<double>(InstructionSet::portable, {packed.view(), {inputs.starts.data(), true, d, 1}, test.count, values.data(), gradients.data()},
                          1);
  Deviation most;
  for (int seed = 0; seed < test.count; ++seed) {
    CHECK(std::isnan(ours.values[seed]) == std::isnan(values[seed]));
    if (std::isnan(values[seed])) continue;
    most.values = std::fmax(most.values, std::fabs(ours.values[seed] - values[seed]) / (1 + std::fabs(values[seed])));
    double norm = 0, error = 0;
    for (int r = 0; r < d; ++r)
      norm += std::pow(gradients[seed * d + r], 2), error += std::pow(ours.points[seed * d + r] - gradients[seed * d + r], 2);
    CHECK(!std::isnan(error));
    most.gradients = std::fmax(most.gradients, std::sqrt(error / norm));
  }
  return most;
}

void evaluates_as_on_the_cpu(const Case& test) {
  const Deviation most = deviation(test);
  std::printf("%s: values within %.1e, gradients within %.1e\n", test.name, most.values, most.gradients);
  CHECK(most.values <= 1e-5);
  CHECK(most.gradients <= 2e-5);
}

// One TF32 product for one: what it is for, and no better, so that three for one are known to be computed where they are asked for.
void screens(Case test) {
  test.exact = false;
  const Deviation most = deviation(test);
  std::printf("%s, screening: values within %.1e, gradients within %.1e\n", test.name, most.values, most.gradients);
  CHECK(most.values <= 2e-2 && most.gradients <= 2e-2);
  CHECK(most.values > 2e-5 && most.gradients > 5e-5);
}

void same_bits(const Climbed& all, const Climbed& some, int count) {
  for (int seed = 0; seed < count; ++seed) {
    CHECK(std::memcmp(&all.objectives[seed], &some.objectives[seed], sizeof(float)) == 0);
    CHECK(all.steps[seed] == some.steps[seed] && all.status[seed] == some.status[seed]);
  }
}

void neighbours_change_no_bit(const Case& test) {
  const Inputs inputs(test.count, test.net.source.dimension);
  same_bits(emulated(test, inputs, false, test.count), emulated(test, inputs, false, test.count - 7), test.count - 7);
}

// `large` is laid out with large tiles; with more multiprocessors the tiles are small, with less shared memory the weights come through the caches.
void layout_changes_no_bit(const Case& large, int little_memory) {
  const Inputs inputs(large.count, large.net.source.dimension);
  Case small = large, poor = large;
  small.multiprocessors = 100, poor.shared_bytes = little_memory;
  CHECK(plan_of(large).tile == 64 && plan_of(small).tile == 32 && plan_of(poor).tile == 64);
  CHECK(plan_of(large).resident && !plan_of(poor).resident);
  const Climbed first = emulated(large, inputs, true, large.count);
  for (const Case* other : {&small, &poor}) {
    const Climbed again = emulated(*other, inputs, true, large.count);
    CHECK(std::memcmp(first.values.data(), again.values.data(), first.values.size() * sizeof(float)) == 0);
    CHECK(std::memcmp(first.points.data(), again.points.data(), first.points.size() * sizeof(float)) == 0);
  }
}

}  // namespace

#if defined(__SANITIZE_THREAD__)
constexpr bool whole_range = false;  // its threads take minutes; races depend on neither activation nor every shape
#else
constexpr bool whole_range = true;
#endif

int main() {
  constexpr int h200 = 232448, small = 20 * 1024;
  for (int a = 0; a < (whole_range ? activation_count : 0); ++a)
    evaluates_as_on_the_cpu({"activation", random_net(3, {17, 9}, Activation(a), a % 2 == 1, 100 + a), nullptr, 19, false, 1, h200});
  const Net second = random_net(5, {40, 12, 33}, Activation::silu, false, 2);
  const Case cases[] = {
      {"linear", random_net(2, {}, Activation::relu, true, 3), nullptr, 5, false, 1, h200},
      {"small tile, resident", random_net(5, {64, 64, 64}, Activation::silu, true, 4), &second, 37, true, 2, h200},
      {"small tile, through caches", random_net(5, {64, 33}, Activation::tanh, false, 5), &second, 37, true, 1, small},
      {"large tile, resident", random_net(9, {64, 64, 64}, Activation::gelu, false, 6), nullptr, 131, true, 1, h200},
      {"large tile, through caches", random_net(5, {70, 130, 64}, Activation::softplus, true, 7), &second, 70, true, 1, 2 * 65536},
      {"widest", random_net(2, {260}, Activation::relu, false, 8), nullptr, 9, false, 1, h200},
  };
  for (const Case& test : cases) {
    if (whole_range) evaluates_as_on_the_cpu(test);
    if (whole_range || &test == &cases[1] || &test == &cases[5]) climbs_as_on_the_cpu(test);
  }
  const Case tensor[] = {
      {"tensor, small tile, resident", random_net(5, {64, 17}, Activation::silu, true, 4), &second, 21, true, 2, h200, true},
      {"tensor, small tile, through caches", random_net(5, {64, 33}, Activation::tanh, false, 5), nullptr, 9, true, 1, small, true},
      {"tensor, large tile, resident", random_net(9, {70, 64}, Activation::gelu, false, 6), nullptr, 67, true, 1, h200, true},
      {"tensor, wide and deep", random_net(23, {300, 97, 31, 50, 50}, Activation::tanh, false, 9), nullptr, 5, false, 1, h200, true},
      {"tensor, linear", random_net(2, {}, Activation::relu, true, 3), nullptr, 5, false, 1, h200, true},
  };
  for (const Case& test : tensor)
    if (whole_range) evaluates_as_on_the_cpu(test);
  climbs_as_on_the_cpu(tensor[0]);
  if (!whole_range) return failed();
  climbs_as_on_the_cpu(tensor[1]);
  CHECK(!plan_of(tensor[3]).resident);
  screens(tensor[0]);
  screens(tensor[3]);
  neighbours_change_no_bit(cases[1]);
  layout_changes_no_bit({"layouts", random_net(5, {70, 50}, Activation::silu, true, 11), nullptr, 67, false, 1, h200}, 40 * 1024);
  layout_changes_no_bit({"tensor layouts", random_net(5, {70, 50}, Activation::silu, true, 11), nullptr, 67, false, 1, h200, true}, 40 * 1024);
  return failed();
}
