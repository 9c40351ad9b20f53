// One tile of a minibatch, forward, loss and backward, its activations on the chip from first layer to last.
//
// The block's eight warps share the tile: each owns 32 units by 16 rows of every layer. The last hidden layer's values and derivatives never leave
// the registers. A delta takes the place of the derivative it was multiplied with, so that a layer costs one barrier on the way back.
#pragma once

#include "cuda/train_products.cuh"

namespace pybackdoor {

// A block's share of the chip, and of the device's memory.
struct TrainBlock {
  float *inputs, *values, *deltas;  // slots: two of `columns` units; of hidden layers but the last; derivatives, then deltas
  float *head, *body, *gradient;    // parameters; body: the hidden matrices, or two panels; gradient: null when it is far
  float *sums, *outputs;            // three of [16-row warps][W]: of even and odd layers, of the output weights; [blocks][T]
  float *losses, *row_deltas;       // [T] sums of a step
  float *targets, *weights;         // [T]
  int* drawn;
  float *parameters, *first, *second, *gradient_far, *slopes_far, *values_far;
};

template <class S>
PYBACKDOOR_DEVICE TrainBlock share_out(const TrainLaunch& launch, float* shared, std::int64_t network, int block) {
  const TrainPlacement& place = launch.place;
  const TrainPacking& packing = place.packing;
  const int between = launch.shape.hidden - 1;
  TrainBlock own{};
  int at = 0;
  const auto take = [&](int count) {
    float* taken = shared + at;
    at += count;
    return taken;
  };
  own.inputs = take(2 * packing.columns * S::rows);
  own.values = take((place.values_near ? between : 2) * slot_floats);
  own.deltas = take((place.slopes_near ? between + 1 : 2) * slot_floats);
  own.head = take(packing.head);
  own.body = take(place.weights_near ? between * S::matrix : between > 0 ? 2 * S::panel : 0);
  if (place.gradients_near) own.gradient = take(static_cast<int>(S::copies * packing.numbers));
  own.sums = take(3 * (slot_floats / 16));
  own.outputs = take(S::blocks * S::rows);
  own.losses = take(S::rows), own.row_deltas = take(S::rows), own.targets = take(S::rows), own.weights = take(S::rows);
  own.drawn = reinterpret_cast<int*>(take(place.drawn_rows));
  const std::int64_t set = network * packing.numbers;
  own.parameters = launch.memory.parameters + set;
  own.first = launch.memory.first + set, own.second = launch.memory.second + set;
  own.gradient_far = launch.memory.workspace + block * place.workspace_floats;
  own.slopes_far = own.gradient_far + (place.gradients_near ? 0 : S::copies * packing.numbers);
  own.values_far = own.slopes_far + (place.slopes_near ? 0 : std::int64_t(between) * slot_floats);
  return own;
}

// The hidden matrix of a layer, 1 .. hidden - 1, as hidden_product takes it: where it is near, and where it is far (or null).
template <class S>
PYBACKDOOR_DEVICE float* near_matrix(const TrainLaunch& launch, const TrainBlock& block, int layer) {
  return launch.place.weights_near ? block.body + (layer - 1) * S::matrix : block.body;
}
template <class S>
PYBACKDOOR_DEVICE const float* far_matrix(const TrainLaunch& launch, const TrainBlock& block, int layer) {
  return launch.place.weights_near ? nullptr : block.parameters + launch.place.packing.head + std::int64_t(layer - 1) * S::matrix;
}

PYBACKDOOR_DEVICE float* value_slot(const TrainLaunch& launch, const TrainBlock& block, int layer) {
  return block.values + (launch.place.values_near ? layer : layer & 1) * slot_floats;
}
PYBACKDOOR_DEVICE float* delta_slot(const TrainLaunch& launch, const TrainBlock& block, int layer) {
  return block.deltas + (launch.place.slopes_near ? layer : layer & 1) * slot_floats;
}

// Puts numbers into the gradient, or adds them to it.
PYBACKDOOR_DEVICE void put_gradient(const TrainBlock& block, std::int64_t at, Four numbers, bool add) {
  const bool near = block.gradient != nullptr;
  if (add) {
    const Four before = near ? load4(block.gradient + at) : load4_far(block.gradient_far + at);
#pragma unroll
    for (int j = 0; j < 4; ++j) numbers.x[j] += before.x[j];
  }
  if (near)
    store4(block.gradient + at, numbers);
  else
    store4_far(block.gradient_far + at, numbers);
}
PYBACKDOOR_DEVICE void put_gradient(const TrainBlock& block, std::int64_t at, float number, bool add) {
  if (block.gradient)
    block.gradient[at] = add ? block.gradient[at] + number : number;
  else
    block.gradient_far[at] = add ? block.gradient_far[at] + number : number;
}

// z becomes a(z), with a'(z) beside it; both are 0 in units that only fill up. The unit in hand is always the first and then goes last, so that the
// formula stands in the program once for its four rows and no register is indexed.
template <Activation A>
PYBACKDOOR_DEVICE void activate_piece(int unit, int width, Piece& values, Piece& slopes) {
#pragma unroll 1
  for (int done = 0; done < 4; ++done, unit += 8) {
    const bool real = unit < width;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      Vec<float> slope;
      const float value = activate<A>(Vec<float>{values.s[0][r]}, slope).v;
#pragma unroll
      for (int i = 0; i < 3; ++i) values.s[i][r] = values.s[i + 1][r], slopes.s[i][r] = slopes.s[i + 1][r];
      values.s[3][r] = real ? value : 0.0f;
      slopes.s[3][r] = real ? slope.v : 0.0f;
    }
  }
}

// A thread's own numbers of a layer, in the workspace.
PYBACKDOOR_DEVICE void save_far(const Piece& piece, int self, float* layers, int layer) {
  float* const place = layers + std::int64_t(layer) * slot_floats + 4 * self;
#pragma unroll
  for (int i = 0; i < 4; ++i) store4_far(place + 1024 * i, {piece.s[i][0], piece.s[i][1], piece.s[i][2], piece.s[i][3]});
}
PYBACKDOOR_DEVICE Piece load_far(int self, const float* layers, int layer) {
  const float* const place = layers + std::int64_t(layer) * slot_floats + 4 * self;
  Piece piece;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const Four row = load4_far(place + 1024 * i);
#pragma unroll
    for (int r = 0; r < 4; ++r) piece.s[i][r] = row.x[r];
  }
  return piece;
}
template <class S>
PYBACKDOOR_DEVICE Piece load_piece(const Own& own, const float* slot) {
  Piece piece;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const Four row = load4(slot + slot_place<S>(own.unit + 8 * i, own.group));
#pragma unroll
    for (int r = 0; r < 4; ++r) piece.s[i][r] = row.x[r];
  }
  return piece;
}

// Forward through all hidden layers; values and slopes of the last stay with the thread. Ends with the parts of the outputs in `outputs` and a
// barrier.
template <class S>
PYBACKDOOR_DEVICE void forward_tile(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const float* inputs, const Own& own,
                                    Piece& values, Piece& slopes) {
  const TrainPacking& packing = launch.place.packing;
  const int hidden = launch.shape.hidden;
  slopes = Piece{};
#pragma unroll 1
  for (int layer = 0; layer < hidden; ++layer) {
    const float* const biases = block.head + packing.biases + layer * S::width + own.unit;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < 4; ++r) values.s[i][r] = biases[8 * i];
    if (layer == 0)
      first_product<S>(block.head, packing.columns, inputs, own, values);
    else
      hidden_product<S, false>(thread, near_matrix<S>(launch, block, layer), far_matrix<S>(launch, block, layer),
                               value_slot(launch, block, layer - 1), own, values);
    dispatch_activation(launch.shape.activation,
                        [&](auto tag) { activate_piece<decltype(tag)::value>(own.unit, launch.shape.widths[layer], values, slopes); });
    if (layer + 1 == hidden) break;
    store_piece<S>(values, own, value_slot(launch, block, layer));
    if (launch.place.slopes_near)
      store_piece<S>(slopes, own, delta_slot(launch, block, layer));
    else if (!launch.outputs)
      save_far(slopes, thread_number(thread), block.slopes_far, layer);
    if (!launch.place.values_near && !launch.outputs) save_far(values, thread_number(thread), block.values_far, layer);
    block_barrier(thread);
  }
  Four parts{};
#pragma unroll
  for (int r = 0; r < 4; ++r) {
#pragma unroll
    for (int i = 0; i < 4; ++i) parts.x[r] = fmaf(block.head[packing.output + own.unit + 8 * i], values.s[i][r], parts.x[r]);
#pragma unroll
    for (int mask = S::unit_lanes; mask < 8 * S::unit_lanes; mask *= 2) parts.x[r] += shuffle_xor(thread, parts.x[r], mask);
  }
  if (own.a == 0) store4(block.outputs + own.block * S::rows + 4 * own.group, parts);
  block_barrier(thread);
}

// The network's outputs at the thread's rows.
template <class S>
PYBACKDOOR_DEVICE Four outputs_of(const TrainLaunch& launch, const TrainBlock& block, const Own& own) {
  const float bias = block.head[launch.place.packing.output + S::width];
  Four sums{};
#pragma unroll
  for (int part = 0; part < S::blocks; ++part) {
    const Four more = load4(block.outputs + part * S::rows + 4 * own.group);
#pragma unroll
    for (int r = 0; r < 4; ++r) sums.x[r] += more.x[r];
  }
#pragma unroll
  for (int r = 0; r < 4; ++r) sums.x[r] += bias;
  return sums;
}

// Sums of a thread's numbers over the tile's rows, a part for each 16 rows, into `sums` [16-row warps][W].
template <class S>
PYBACKDOOR_DEVICE void sum_rows(const Thread& thread, const Piece& piece, const Own& own, float* sums) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float sum = (piece.s[i][0] + piece.s[i][1]) + (piece.s[i][2] + piece.s[i][3]);
#pragma unroll
    for (int mask = 1; mask <= S::row_lanes; mask *= S::row_lanes) sum += shuffle_xor(thread, sum, mask);
    if (own.b == 0) sums[own.group / 4 * S::width + own.unit + 8 * i] = sum;
  }
}

// Adds up what sum_rows left, one thread a unit, into the gradient at `at`.
template <class S>
PYBACKDOOR_DEVICE void collect_rows(const Thread& thread, const TrainBlock& block, const float* sums, int at, bool add) {
  const int unit = thread_number(thread);
  if (unit >= S::width) return;
  float total = 0.0f;
#pragma unroll
  for (int part = 0; part < S::rows / 16; ++part) total += sums[part * S::width + unit];
  put_gradient(block, at + unit, total, add);
}

// Losses of the thread's rows, and derivatives of the batch's loss by their outputs; both 0 from row `live` on.
template <class S>
PYBACKDOOR_DEVICE void lose(const TrainLaunch& launch, const TrainBlock& block, const Own& own, int live, Four& losses, Four& deltas) {
  const Four outputs = outputs_of<S>(launch, block, own);
  const Four targets = load4(block.targets + 4 * own.group), weights = load4(block.weights + 4 * own.group);
  const float limit = launch.huber_delta;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const float error = outputs.x[r] - targets.x[r];
    float loss = error * error, slope = 2.0f * error;
    if (launch.huber) {
      const float size = error < 0.0f ? -error : error;
      const bool inside = !(size > limit);  // a NaN stays one
      slope = inside ? error : error < 0.0f ? -limit : limit;
      loss = inside ? 0.5f * loss : limit * (size - 0.5f * limit);
    }
    const bool counts = 4 * own.group + r < live;
    losses.x[r] = counts ? weights.x[r] * loss : 0.0f;
    deltas.x[r] = counts ? weights.x[r] * slope * launch.share : 0.0f;
  }
}

// From outputs to the last hidden layer's deltas, with the sums over rows that its biases and the output's weights need. Ends with a barrier.
template <class S>
PYBACKDOOR_DEVICE void turn_back(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const Own& own, int live, Piece& values,
                                 Piece& slopes) {
  const int last = launch.shape.hidden - 1;
  Four losses, deltas;
  lose<S>(launch, block, own, live, losses, deltas);
  if (own.block == 0 && own.a == 0) {
    const Four loss = load4(block.losses + 4 * own.group), delta = load4(block.row_deltas + 4 * own.group);
#pragma unroll
    for (int r = 0; r < 4; ++r) losses.x[r] += loss.x[r];
    store4(block.losses + 4 * own.group, losses);
    store4(block.row_deltas + 4 * own.group,
           {delta.x[0] + deltas.x[0], delta.x[1] + deltas.x[1], delta.x[2] + deltas.x[2], delta.x[3] + deltas.x[3]});
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float weight = block.head[launch.place.packing.output + own.unit + 8 * i];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      slopes.s[i][r] *= deltas.x[r] * weight;
      values.s[i][r] *= deltas.x[r];
    }
  }
  store_piece<S>(slopes, own, delta_slot(launch, block, last));
  sum_rows<S>(thread, slopes, own, block.sums + (last & 1) * (slot_floats / 16));
  sum_rows<S>(thread, values, own, block.sums + 2 * (slot_floats / 16));
  block_barrier(thread);
}

// The gradient of a layer's matrix, pieces dealt to the warps; where one sweep does not fill them, they share out the rows and sum copies.
template <class S, bool First>
PYBACKDOOR_DEVICE void matrix_gradient(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const float* deltas,
                                       const float* inputs, int layer, const Own& own, bool add) {
  const TrainPacking& packing = launch.place.packing;
  const int groups = First ? packing.columns / 4 : S::width / 4, pieces = S::blocks * ((groups + 3) / 4);
  constexpr int share = S::rows / 4 / S::copies;
  const int slice = thread.warp % S::copies;
  std::int64_t begin = slice * packing.numbers;
  if constexpr (!First) begin += packing.head + std::int64_t(layer - 1) * S::matrix;
#pragma unroll 1
  for (int piece = thread.warp / S::copies; piece < pieces; piece += train_warps / S::copies) {
    const int row = 32 * (piece % S::blocks) + own.a, group = 4 * (piece / S::blocks) + own.b;
    const Piece sums = gradient_piece<S, First>(thread, deltas, inputs, row, group, groups, slice * share, (slice + 1) * share);
    if (group >= groups) continue;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = First ? first_place(packing.columns, row + 8 * i, 4 * group)
                                    : (std::int64_t(group >> 3) * S::width + row + 8 * i) * 32 + (((group & 7) ^ own.a) << 2);
      put_gradient(block, begin + at, Four{{sums.s[i][0], sums.s[i][1], sums.s[i][2], sums.s[i][3]}}, add);
    }
  }
}

// Backward from the last hidden layer's deltas: all gradients but the output bias's. No barrier after the first layer's.
template <class S>
PYBACKDOOR_DEVICE void backward_tile(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const float* inputs, const Own& own,
                                     bool add) {
  const TrainPacking& packing = launch.place.packing;
  const int last = launch.shape.hidden - 1, self = thread_number(thread);
  collect_rows<S>(thread, block, block.sums + 2 * (slot_floats / 16), packing.output, add);
#pragma unroll 1
  for (int layer = last; layer > 0; --layer) {
    const float *const deltas = delta_slot(launch, block, layer), *const from = value_slot(launch, block, layer - 1);
    const bool fetches = !launch.place.values_near && layer > 1 && layer < last;  // what the next layer's gradient needs; of the last, all is there
    if (fetches) store_piece<S>(load_far(self, block.values_far, layer - 2), own, value_slot(launch, block, layer - 2));
    collect_rows<S>(thread, block, block.sums + (layer & 1) * (slot_floats / 16), packing.biases + layer * S::width, add);
    matrix_gradient<S, false>(thread, launch, block, deltas, from, layer, own, add);
    Piece sums{};
    hidden_product<S, true>(thread, near_matrix<S>(launch, block, layer), far_matrix<S>(launch, block, layer), deltas, own, sums);
    float* const slot = delta_slot(launch, block, layer - 1);
    const Piece slopes = launch.place.slopes_near ? load_piece<S>(own, slot) : load_far(self, block.slopes_far, layer - 1);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < 4; ++r) sums.s[i][r] *= slopes.s[i][r];
    store_piece<S>(sums, own, slot);
    sum_rows<S>(thread, sums, own, block.sums + ((layer - 1) & 1) * (slot_floats / 16));
    block_barrier(thread);
  }
  collect_rows<S>(thread, block, block.sums, packing.biases, add);
  matrix_gradient<S, true>(thread, launch, block, delta_slot(launch, block, 0), inputs, 0, own, add);
}

}  // namespace pybackdoor
