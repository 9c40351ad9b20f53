// How a training lies on the chip: plain arithmetic, the same on any host.
//
// Units are grouped by 32. A hidden matrix is cut into blocks of 32 columns, stored one after another: block k is [W rows][8 groups of 4]. Group g of
// a row holds the columns 32 k + g + 8 j, j < 4, and lies at place g ^ (row & 7), so that sixteen-byte accesses of a warp meet different banks
// whether it reads rows or columns. The first layer's matrix is [W rows][columns] in plain groups of four, at places g ^ (row & first_key).
#pragma once

#include "pybackdoor/cuda_train.hpp"

namespace pybackdoor {

PYBACKDOOR_HD constexpr int whole(int number, int multiple) { return (number + multiple - 1) / multiple * multiple; }

// The bits of a row that move the groups of a first-layer matrix.
PYBACKDOOR_HD constexpr int first_key(int columns) {
  const int groups = columns / 4, power = groups & -groups;
  return (power < 8 ? power : 8) - 1;
}

PYBACKDOOR_HD constexpr int first_place(int columns, int row, int column) {
  return row * columns + (((column >> 2) ^ (row & first_key(columns))) << 2) + (column & 3);
}

// Of column `column` in row `row` of a hidden matrix of `width` rows.
PYBACKDOOR_HD constexpr std::int64_t hidden_place(int width, int row, int column) {
  const int group = column & 7, slot = (column & 31) >> 3;
  return (std::int64_t(column >> 5) * width + row) * 32 + ((group ^ (row & 7)) << 2) + slot;
}

inline TrainPacking pack_train(const TrainShape& shape) {
  int widest = 1;
  for (int layer = 0; layer < shape.hidden; ++layer) widest = shape.widths[layer] > widest ? shape.widths[layer] : widest;
  TrainPacking packing{};
  for (packing.width = 32; packing.width < widest;) packing.width *= 2;
  packing.columns = whole(shape.dimension, 8);
  packing.biases = packing.width * packing.columns;
  packing.output = packing.biases + shape.hidden * packing.width;
  packing.head = packing.output + packing.width + 4;
  packing.matrix = std::int64_t(packing.width) * packing.width;
  packing.numbers = packing.head + (shape.hidden - 1) * packing.matrix;
  packing.copies = packing.width == 32 ? 4 : 1;
  return packing;
}

// Of a weight of layer `layer` (`last`: the output's) in a packed set, and of a bias.
inline std::int64_t parameter_place(const TrainPacking& packing, int layer, bool last, int output, int input) {
  if (last) return packing.output + input;
  if (layer == 0) return first_place(packing.columns, output, input);
  return packing.head + (layer - 1) * packing.matrix + hidden_place(packing.width, output, input);
}
inline std::int64_t bias_place(const TrainPacking& packing, int layer, bool last, int output) {
  return last ? packing.output + packing.width : packing.biases + layer * packing.width + output;
}

// Floats of shared memory that every placement needs: row sums, losses and deltas a row, outputs' parts, targets and weights a row.
PYBACKDOOR_HD constexpr int small_floats(int width, int tile) { return 3 * (slot_floats / 16) + tile * (2 + width / 32 + 2); }

inline void measure(const TrainShape& shape, TrainPlacement& place) {
  const TrainPacking& packing = place.packing;
  const std::int64_t between = shape.hidden - 1, body = between * packing.matrix;
  std::int64_t shared = 2 * packing.columns * place.tile + small_floats(packing.width, place.tile) + place.drawn_rows;
  std::int64_t workspace = 0;
  shared += packing.head + (place.weights_near ? body : body > 0 ? 2 * 32 * packing.width : 0);
  (place.gradients_near ? shared : workspace) += packing.copies * packing.numbers;
  shared += (place.slopes_near ? between + 1 : 2) * slot_floats + (place.values_near ? between : 2) * slot_floats;
  workspace += ((place.slopes_near ? 0 : between) + (place.values_near ? 0 : between)) * slot_floats;
  place.shared_bytes = static_cast<int>(4 * shared < (1 << 30) ? 4 * shared : 1 << 30);
  place.workspace_floats = workspace;
}

// Shared memory goes to the weights first, then to the values, which products read, the slopes, and the gradient.
inline TrainPlacement lay_out_train(const TrainShape& shape, int batch_size, int shared_bytes) {
  TrainPlacement place{};
  place.packing = pack_train(shape);
  place.tile = slot_floats / place.packing.width;
  place.drawn_rows = whole(batch_size < most_drawn_rows ? batch_size : most_drawn_rows, place.tile);
  for (int far = 0; far < 16; ++far) {
    place.weights_near = !(far & 8), place.values_near = !(far & 4), place.slopes_near = !(far & 2), place.gradients_near = !(far & 1);
    measure(shape, place);
    if (place.shared_bytes <= shared_bytes) break;
  }
  return place;
}

inline const char* refuse_train(const TrainShape& shape, int shared_bytes) {
  if (shape.dimension < 1 || shape.dimension > most_train_features) return "the CUDA training takes 1 to 256 features";
  if (shape.hidden < 1 || shape.hidden > most_train_layers) return "the CUDA training takes 1 to 32 hidden layers";
  for (int layer = 0; layer < shape.hidden; ++layer)
    if (shape.widths[layer] < 1 || shape.widths[layer] > widest_train_layer) return "the CUDA training takes hidden layers of 1 to 256 units";
  if (lay_out_train(shape, most_drawn_rows, shared_bytes).shared_bytes > shared_bytes)
    return "the first layer does not fit the device's shared memory beside a tile of rows; fewer features do";
  return nullptr;
}

}  // namespace pybackdoor
