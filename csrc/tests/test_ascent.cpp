// The tile kernels of every instruction set against a plain loop, and the same bits from any number of threads.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "check.hpp"
#include "cpu/ascent.hpp"
#include "pybackdoor/packed.hpp"

using namespace pybackdoor;

namespace {

struct Net {
  NetworkSource source;
  std::vector<std::vector<double>> storage;
};

Net random_net(int dimension, std::vector<int> widths, Activation activation, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Net net;
  net.storage.reserve(2 * widths.size() + 8);
  const auto numbers = [&](std::size_t count, double scale) {
    std::vector<double>& made = net.storage.emplace_back(count);
    for (double& number : made) number = scale * normal(engine);
    return made.data();
  };
  net.source.dimension = dimension, net.source.activation = activation, net.source.widths = widths;
  int before = dimension;
  widths.push_back(1);
  for (const int width : widths) {
    net.source.weights.push_back(numbers(std::size_t(width) * before, std::sqrt(2.0 / before)));
    net.source.biases.push_back(numbers(width, 0.3));
    before = width;
  }
  net.source.input_shift = numbers(dimension, 0.3), net.source.input_scale = numbers(dimension, 1.0);
  double* rate = numbers(dimension, 0.5);
  for (int feature = 1; feature < dimension; feature += 2) rate[feature] = 0;
  net.source.input_rate = rate;
  net.source.output_shift = 0.5, net.source.output_scale = 2.0;
  return net;
}

// One unit at a time, in double, forward and backward.
double plain(const NetworkSource& net, const double* point, double* gradient) {
  const int hidden = static_cast<int>(net.widths.size());
  std::vector<std::vector<double>> values{std::vector<double>(net.dimension)}, slopes;
  for (int r = 0; r < net.dimension; ++r) {
    const double rate = net.input_rate[r];
    values[0][r] = net.input_shift[r] + net.input_scale[r] * (rate != 0 ? std::exp(rate * point[r]) : point[r]);
  }
  for (int layer = 0; layer <= hidden; ++layer) {
    const int rows = layer < hidden ? net.widths[layer] : 1, columns = static_cast<int>(values.back().size());
    std::vector<double> next(rows), slope(rows, 1.0);
    for (int row = 0; row < rows; ++row) {
      double sum = net.biases[layer][row];
      for (int column = 0; column < columns; ++column) sum += net.weights[layer][row * columns + column] * values.back()[column];
      next[row] = sum;
      if (layer < hidden) {
        dispatch_activation(net.activation, [&](auto tag) {
          Vec<double> derivative;
          next[row] = activate<decltype(tag)::value>(Vec<double>::all(sum), derivative).v;
          slope[row] = derivative.v;
        });
      }
    }
    values.push_back(next), slopes.push_back(slope);
  }
  std::vector<double> back{net.output_scale};
  for (int layer = hidden; layer >= 0; --layer) {
    const int columns = static_cast<int>(values[layer].size());
    std::vector<double> before(columns, 0.0);
    for (std::size_t row = 0; row < back.size(); ++row)
      for (int column = 0; column < columns; ++column) before[column] += back[row] * slopes[layer][row] * net.weights[layer][row * columns + column];
    back = before;
  }
  for (int r = 0; r < net.dimension; ++r) {
    const double rate = net.input_rate[r];
    gradient[r] = back[r] * net.input_scale[r] * (rate != 0 ? rate * std::exp(rate * point[r]) : 1.0);
  }
  return net.output_shift + net.output_scale * values.back()[0];
}

template <class T>
void kernels_match_a_plain_loop(InstructionSet set, const Net& net, int count, double tolerance) {
  const int d = net.source.dimension;
  const PackedNetwork<T> packed(net.source, ascent_functions<T>(set).panel);
  std::mt19937 engine(5);
  std::uniform_real_distribution<double> uniform;
  std::vector<double> points(std::size_t(count) * d), values(count, NAN), gradients(std::size_t(count) * d, NAN), expected(d);
  for (double& point : points) point = static_cast<float>(uniform(engine));
  evaluate_points<T>(set, {packed.view(), {points.data(), false, d, 1}, count, values.data(), gradients.data()}, 3);
  double scale = 0;
  for (int seed = 0; seed < count; ++seed) scale = std::fmax(scale, std::fabs(plain(net.source, &points[seed * d], expected.data())));
  for (int seed = 0; seed < count; ++seed) {
    const double value = plain(net.source, &points[seed * d], expected.data());
    CHECK(std::fabs(values[seed] - value) <= tolerance * scale);
    double norm = 0, error = 0;
    for (int r = 0; r < d; ++r) norm += expected[r] * expected[r], error += std::pow(gradients[seed * d + r] - expected[r], 2);
    CHECK(std::sqrt(error) <= 20 * tolerance * (std::sqrt(norm) + 0.1));
  }
}

struct Climbed {
  std::vector<double> points, values, objectives;
  std::vector<std::int64_t> status, steps;
  bool operator==(const Climbed&) const = default;
};

template <class T>
Climbed climb(InstructionSet set, const Net& net, const Net& second, int low, int high, int threads) {
  const int d = net.source.dimension, count = high - low;
  const PackedNetwork<T> packed(net.source, ascent_functions<T>(set).panel), other(second.source, ascent_functions<T>(set).panel);
  const NetworkView<T> second_view = other.view();
  std::vector<double> starts, radii;
  std::mt19937 engine(9);
  std::uniform_real_distribution<double> uniform;
  for (int seed = 0; seed < high; ++seed) {
    for (int r = 0; r < d; ++r) starts.push_back(uniform(engine));
    radii.push_back(0.2 * uniform(engine));
  }
  Climbed out{std::vector<double>(count * d, NAN), std::vector<double>(count, NAN), std::vector<double>(count, NAN),
              std::vector<std::int64_t>(count, -9), std::vector<std::int64_t>(count, -9)};
  ClimbCall<T> call{};
  call.network = packed.view(), call.second = &second_view, call.rule = {30, 0.05, 0.05, 1e-6, 2, 1e-3, true}, call.count = count;
  call.starts = {starts.data() + low * d, false, d, 1}, call.radii = {radii.data() + low, false, 1, 0};
  call.slopes = call.starts;
  call.points = out.points.data(), call.values = out.values.data(), call.objectives = out.objectives.data();
  call.status = out.status.data(), call.steps = out.steps.data();
  climb_seeds<T>(set, call, threads);
  return out;
}

template <class T>
void threads_and_splits_change_no_bit(InstructionSet set) {
  const Net net = random_net(4, {21, 18}, Activation::relu, 1), second = random_net(4, {9}, Activation::silu, 2);
  const Climbed whole = climb<T>(set, net, second, 0, 150, 1);
  for (const std::int64_t status : whole.status) CHECK(status >= 0 && status <= 4);
  CHECK(climb<T>(set, net, second, 0, 150, 2) == whole);
  CHECK(climb<T>(set, net, second, 0, 150, 5) == whole);
  const Climbed part = climb<T>(set, net, second, 61, 150, 2);
  for (int seed = 61; seed < 150; ++seed) CHECK(part.objectives[seed - 61] == whole.objectives[seed] && part.steps[seed - 61] == whole.steps[seed]);
}

}  // namespace

int main() {
  for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!is_available(set)) continue;
    const std::vector<std::vector<int>> shapes{{}, {1}, {7}, {8, 8}, {33, 50, 9}, {300, 5}, {64, 64, 64}};
    for (std::size_t shape = 0; shape < shapes.size(); ++shape) {
      const Net net =
          random_net(1 + 3 * static_cast<int>(shape), shapes[shape], static_cast<Activation>(2 + shape), 11 + static_cast<unsigned>(shape));
      for (const int count : {1, 31, 70}) {
        kernels_match_a_plain_loop<float>(set, net, count, 2e-6);
        kernels_match_a_plain_loop<double>(set, net, count, 1e-14);
      }
    }
    threads_and_splits_change_no_bit<float>(set);
    threads_and_splits_change_no_bit<double>(set);
  }
  return failed();
}
