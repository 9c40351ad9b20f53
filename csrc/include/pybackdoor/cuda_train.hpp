// Training on a GPU: what a launch carries, how a network lies on the chip, and the launchers. Nothing here allocates or waits.
//
// A block trains one network. Hidden layers are padded to one width W (32, 64, 128 or 256); a tile of the minibatch has T = 4096 / W rows, so that a
// layer's values of a tile are 16 KiB. A set of parameters (weights, gradient, first or second moments) is packed as csrc/cuda/train_plan.hpp says.
#pragma once

#include <cstdint>

#include "pybackdoor/activation.hpp"
#include "pybackdoor/adam.hpp"

namespace pybackdoor {

inline constexpr int most_train_layers = 32;  // hidden ones
inline constexpr int widest_train_layer = 256;
inline constexpr int most_train_features = 256;
inline constexpr int train_warps = 8;
inline constexpr int slot_floats = 4096;      // a layer's values of a tile: one 4 x 4 piece a thread
inline constexpr int most_drawn_rows = 1024;  // row numbers of a minibatch kept at once

struct TrainShape {
  int dimension, hidden;
  Activation activation;
  int widths[most_train_layers];
};

// Offsets and sizes, in floats, of a packed set of parameters: the head (first layer's weights, all biases, output weights and bias), which always
// lies in shared memory, and the body (hidden matrices).
struct TrainPacking {
  int width, columns;  // padded: of hidden layers, of the input
  int biases, output, head;
  std::int64_t matrix, numbers;  // a hidden matrix; all told
  int copies;                    // of the gradient, which several warps sum side by side
};

// What lies in shared memory; the rest in the network's workspace, which the second-level cache holds.
struct TrainPlacement {
  TrainPacking packing;
  int tile;           // rows
  bool weights_near;  // the body of the weights; otherwise it passes through shared memory a piece at a time
  bool gradients_near;
  bool slopes_near;  // derivatives of the activations; deltas then take their places
  bool values_near;  // of all hidden layers but the last; otherwise of two at a time
  int drawn_rows;    // row numbers kept at once
  int shared_bytes;
  std::int64_t workspace_floats;  // a block: gradient, slopes and values that are not near
};

// Data and per-network sources. `sources` [M][3]: first of the network's row numbers in `rows`, how many, and its Philox stream (training) or
// 0 (evaluation).
struct TrainData {
  const float *x, *y, *weights;  // [N, d], [N], and null, [N] (weights_step 0) or [M, N] (weights_step N)
  std::int64_t weights_step;
  const int* rows;
  const std::int64_t* sources;
};

// M networks, packed; the sets of a network follow one another at `packing.numbers` floats. `losses` [M][2]: sum of the steps' losses and what
// rounding took from it.
struct TrainMemory {
  float *parameters, *first, *second, *workspace, *losses;
};

struct TrainLaunch {
  TrainShape shape;
  TrainPlacement place;
  bool tensor;  // products as three of TF32 on tensor cores, else fused float32
  TrainData data;
  TrainMemory memory;
  std::int64_t networks;
  // Training: steps start + 1 .. start + steps of batches of batch_size rows; scalars [steps].
  std::int64_t start;
  int steps, batch_size;
  const AdamStep<float>* scalars;
  std::uint64_t seed;
  std::uint32_t purpose;
  bool huber;
  float huber_delta, share;  // share: 1 / batch_size
  // Evaluation instead: outputs [M, outputs_step] of the network's rows (all when `rows` is null), dealt to `chunks` blocks a network.
  float* outputs;
  std::int64_t outputs_step;
  int chunks;
};

// Why such networks cannot be trained, or null; `shared_bytes`: the most a block may have.
const char* train_refusal(const TrainShape& shape, int shared_bytes);
TrainPlacement place_train(const TrainShape& shape, int batch_size, int shared_bytes);
// Enqueues the launch on `stream` (a cudaStream_t) of the current device; returns an error's text, or null.
const char* launch_train(const TrainLaunch& launch, void* stream);

}  // namespace pybackdoor
