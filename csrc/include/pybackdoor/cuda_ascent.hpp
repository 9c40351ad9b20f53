// The ascent on a GPU: what a launch carries, how it is laid out on the chip, and its launcher. Nothing here allocates or waits.
//
// A packed network (pybackdoor/ops/ascent/packing.py makes it): for each hidden layer its weights [rows][columns], row-major, then its biases [rows];
// then the output weights [columns] and bias [4]; then the input rates [first columns]. Rows are padded with zeros to a multiple of the plan's tile,
// the first columns to a multiple of 8; the columns of a layer are the rows of the one before. For tensor products the weights lie in the order of
// mma.sync's fragments, [rows / tile][columns / 8][tile / 16][32 lanes][4], and after the biases of every layer but the first they come again,
// transposed.
#pragma once

#include <cstdint>

#include "pybackdoor/activation.hpp"
#include "pybackdoor/step.hpp"

namespace pybackdoor {

inline constexpr int most_layers = 16;    // hidden ones
inline constexpr int widest_layer = 512;  // of a tile of 64 rows by 8 warps
inline constexpr int most_features = 64;
inline constexpr std::int64_t most_seeds = 0x7fffffff;  // of a launch
inline constexpr int warps_per_block = 8;

struct NetworkShape {
  int dimension, hidden;
  Activation activation;
  bool curved;  // some input rate is not 0
  int widths[most_layers];
};

struct DeviceNetwork {
  NetworkShape shape;
  const float* numbers;
};

// What the chip offers and the call asks for.
struct AscentRequest {
  NetworkShape first, second;
  bool has_second, has_anchors, has_slopes;  // has_anchors: radii or slopes refer to them
  bool tensor;                               // products on the tensor cores
  std::int64_t count;
  int multiprocessors, shared_bytes;  // the most a block may have
};

// A team of `team` warps climbs with `seeds` seeds; each warp owns `tile` rows of every layer.
struct AscentPlan {
  bool tensor;
  int tile, seeds, team, teams, blocks;
  bool resident;      // weights in shared memory, else read through the caches
  int saved_shared;   // layers whose slopes stay in shared memory; the others' go to the workspace
  bool state_shared;  // points, gradients and the like
  int shared_bytes;
  std::int64_t workspace_bytes;
};

struct ClimbLaunch {
  DeviceNetwork network[2];  // the second counts only if there is one
  bool has_second;
  bool exact;     // tensor products: three for one, near float32; otherwise one
  bool evaluate;  // values and gradients at the starts instead of ascents: `points` receives the gradients
  BasicStepRule<float> rule;
  std::int64_t count;
  const float *starts, *anchors, *radii, *offsets, *slopes;  // [count, dimension] or [count]; absent: null, anchors then are the starts
  float *points, *values, *objectives;                       // objectives, status and steps are null when evaluating
  std::int64_t *status, *steps;
  void* workspace;
  AscentPlan plan;
};

PYBACKDOOR_HD constexpr int padded(int number, int multiple) { return (number + multiple - 1) / multiple * multiple; }

// Of one hidden layer, its biases with it.
PYBACKDOOR_HD constexpr int layer_numbers(int rows, int columns, int layer, bool tensor) {
  return rows * (columns + 1) + (tensor && layer > 0 ? rows * columns : 0);
}

// Sizes of one packed network for a tile.
struct PackedSizes {
  int columns, widest;   // of the first layer; rows of the widest, or the columns if that is more
  std::int64_t numbers;  // all told

  PYBACKDOOR_HD static PackedSizes of(const NetworkShape& shape, int tile, bool tensor) {
    PackedSizes sizes{padded(shape.dimension, 8), padded(shape.dimension, 8), 0};
    int columns = sizes.columns;
    for (int layer = 0; layer < shape.hidden; ++layer) {
      const int rows = padded(shape.widths[layer], tile);
      sizes.numbers += layer_numbers(rows, columns, layer, tensor);
      sizes.widest = rows > sizes.widest ? rows : sizes.widest;
      columns = rows;
    }
    sizes.numbers += columns + 4 + sizes.columns;
    return sizes;
  }
};

// Of a device: its multiprocessors, and the shared memory one block may have; an error's text, or null.
const char* device_limits(int device, int& multiprocessors, int& shared_bytes);
// Why such networks cannot be served, or null.
const char* ascent_refusal(const NetworkShape& shape);
AscentPlan plan_ascent(const AscentRequest& request);
// Enqueues the ascent on `stream` (a cudaStream_t) of the current device; returns an error's text, or null.
const char* launch_ascent(const ClimbLaunch& launch, void* stream);

}  // namespace pybackdoor
