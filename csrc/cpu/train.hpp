// Training of networks by minibatch Adam on the CPU: what the kernels compiled for an instruction set offer to train_host.cpp.
//
// How a network is stored. A matrix is cut into panels of `panel` columns, the last one narrower but a whole number of vectors; a panel is stored row
// after row. The weights of the first layer have a row for each input and a column for each output, all others the other way round. The middle
// layers' weights are kept a second time, turned: a product needs its second factor with the summed index going down. Padding is zero and stays zero.
#pragma once

#include <cstdint>

namespace pybackdoor {

// What the kernels of an instruction set need: numbers in a vector, in the rows of a panel; rows of a weight matrix come in multiples of row_block
// and batches are worked off in tiles of at most tile_rows rows.
struct TrainGeometry {
  std::int64_t lanes, panel, row_block, tile_rows;
};

struct TrainLayer {
  std::int64_t inputs, outputs;
  std::int64_t input_columns;            // inputs, padded to whole vectors
  std::int64_t rows, columns;            // of the stored weights, padded
  std::int64_t weights, biases, turned;  // offsets in a set of parameters, and in the turned copies
  std::int64_t values, slopes;           // offsets in the scratch memory: a tile of inputs, and of derivatives of the activation that made them
};

struct TrainLayout {
  const TrainLayer* layers;
  std::int64_t count;
  std::int64_t parameters, turned, scratch;  // numbers in a set of parameters, in the turned copies, and in the scratch memory of a thread
  std::int64_t errors[2], deltas;  // offsets in it: derivatives of the loss by a layer's products, of even and odd layers; [tile_rows, padded]
  int activation;                  // pybackdoor::Activation
};

struct TrainLoss {
  bool huber;
  double delta;
};

// Rows `index` [size] of the data: x [rows, dimension], y [rows], weights [rows] or null. Gradients are of the sum of their losses over batch_size.
template <class T>
struct TrainBatch {
  const T *x, *y, *weights;
  const std::int64_t* index;
  std::int64_t size, dimension, batch_size;
  TrainLoss loss;
};

// A network, and what a thread that works on it writes to: a gradient (a set of parameters) and its scratch memory.
template <class T>
struct TrainNetwork {
  T *parameters, *first, *second, *turned, *gradient, *scratch;
};

// A batch is summed in at most this many groups of tiles, so that as many threads can share it, and always in the same order.
inline constexpr std::int64_t train_groups = 4;

// The gradients of the groups in use.
template <class T>
struct TrainGradients {
  const T* of[train_groups];
  std::int64_t count;
};

struct TrainStep {
  double beta1, beta2, epsilon, weight_decay, learning_rate;
  std::int64_t step;
};

struct TrainStream {
  std::uint64_t seed;
  std::uint32_t purpose, stream;
};

template <class T>
struct TrainFunctions {
  TrainGeometry geometry;
  void (*turn)(const TrainLayout& layout, const TrainNetwork<T>& network);  // refreshes the turned copies
  double (*gradient)(const TrainLayout& layout, const TrainNetwork<T>& network,
                     const TrainBatch<T>& batch);  // returns the sum of the weighted losses
  // Adam and the turned copies, for the share `part` of `parts` of the parameters.
  void (*update)(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainGradients<T>& gradients, const TrainStep& step,
                 std::int64_t part, std::int64_t parts);
  void (*outputs)(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch, T* out);  // [size]
};

struct TrainKernels {
  TrainFunctions<float> of_float;
  TrainFunctions<double> of_double;
  // Positions, among `rows` rows, of entries first .. first + count - 1 of the stream's endless sequence of bijections.
  void (*minibatch)(std::int64_t rows, const TrainStream& from, std::int64_t first, std::int64_t count, std::int64_t* out);
};

}  // namespace pybackdoor
