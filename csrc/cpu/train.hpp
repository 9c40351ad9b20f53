// Training of M networks of one shape by minibatch Adam on the CPU: what the kernels of an instruction set offer, and the call that runs them.
// The definition is pybackdoor/ops/train/reference.py.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/dispatch.hpp"

namespace pybackdoor {

enum class Activation : int;  // pybackdoor/activation.hpp

// Rows of one network as the kernels store them: matrices in column panels, padded to whole vectors (csrc/cpu/train_layout.hpp).
struct TrainLayer {
  std::int64_t inputs, outputs;            // as the user counts them
  std::int64_t rows, columns;              // of the stored matrix, padded
  std::int64_t weights, biases, backward;  // offsets into the parameters and into the turned copies
  bool by_input;                           // rows are inputs (first layer), else outputs
};

struct TrainLayout {
  std::vector<TrainLayer> layers;
  std::int64_t parameters = 0;  // numbers in one padded set of parameters
  std::int64_t turned = 0;      // numbers in the turned copies of the middle layers' weights
  std::int64_t tile_rows = 0;
  std::int64_t scratch = 0;  // numbers a thread needs
  int activation = 0;
};

struct TrainLoss {
  bool huber;
  double delta;
};

// The data a kernel reads: x [rows, dimension], y [rows], weights [rows] or null.
template <class T>
struct TrainBatch {
  const T *x, *y, *weights;
  const std::int64_t* index;  // [size] row numbers
  std::int64_t size, dimension;
  TrainLoss loss;
};

// One network in the kernels' layout.
template <class T>
struct TrainNetwork {
  T *parameters, *first, *second, *gradient, *turned, *scratch;
};

struct TrainStep {
  double beta1, beta2, epsilon, weight_decay, learning_rate;
  std::int64_t step;
};

template <class T>
struct TrainFunctions {
  void (*plan)(TrainLayout& layout);                                                        // fills in all but inputs, outputs, activation
  std::int64_t (*place)(const TrainLayer& layer, std::int64_t output, std::int64_t input);  // of a weight, from the layer's offset
  void (*turn)(const TrainLayout& layout, const TrainNetwork<T>& network);                  // refreshes the turned copies
  double (*gradient)(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch);  // mean loss; gradient into the network
  void (*update)(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainStep& step);           // Adam, then turn
  void (*outputs)(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch, T* out);  // [size]
};

struct TrainStream {
  std::uint64_t seed;
  std::uint32_t purpose, stream;
};

struct TrainKernels {
  TrainFunctions<float> single;
  TrainFunctions<double> twice;
  // Positions [count], among `rows` rows, of the entries first .. first + count - 1 of the stream's endless sequence of bijections.
  void (*minibatch)(std::int64_t rows, const TrainStream& from, std::int64_t first, std::int64_t count, std::int64_t* out);
};

}  // namespace pybackdoor

PYBACKDOOR_DECLARE_KERNELS(TrainKernels, train_kernels)
