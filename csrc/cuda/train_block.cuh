// The whole work of a block: steps of one network, from its rows' numbers to Adam; or its outputs.
//
// Parameters stay in shared memory from a launch's first step to its last; moments are read and written once a step. Blocks share nothing. The result
// depends on how the steps are cut into launches in no bit.
#pragma once

#include "cuda/train_tile.cuh"
#include "pybackdoor/bijection.hpp"

namespace pybackdoor {

// Parameters from the device's memory into shared memory, and back.
template <class S>
PYBACKDOOR_DEVICE void bring_parameters(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, bool in) {
  const int head = launch.place.packing.head, body = launch.place.weights_near ? (launch.shape.hidden - 1) * S::matrix : 0;
  for (int at = 4 * thread_number(thread); at < head + body; at += 4 * S::threads) {
    float* const near = at < head ? block.head + at : block.body + (at - head);
    if (in)
      store4(near, load4_far(block.parameters + at));
    else
      store4_far(block.parameters + at, load4(near));
  }
}

// The numbers of rows first .. first + count - 1 of a step's minibatch.
PYBACKDOOR_DEVICE void draw_rows(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const std::int64_t* source,
                                 std::int64_t step, std::int64_t first, int count) {
  const auto rows = static_cast<std::uint64_t>(source[1]), entry = static_cast<std::uint64_t>((step - 1) * launch.batch_size + first);
  const std::uint64_t draw = entry / rows;
  const auto offset = static_cast<std::uint32_t>(entry - draw * rows), size = static_cast<std::uint32_t>(rows);
  for (int row = thread_number(thread); row < count; row += 32 * train_warps) {
    const std::uint32_t place = offset + static_cast<std::uint32_t>(row), more = place / size;
    const Bijection order = make_bijection(rows, {launch.seed, launch.purpose, static_cast<std::uint32_t>(source[2])}, draw + more);
    block.drawn[row] = launch.data.rows[source[0] + static_cast<std::int64_t>(order(place - more * size))];
  }
}

// The numbers of the rows first .. first + count - 1 of those to evaluate.
PYBACKDOOR_DEVICE void list_rows(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const std::int64_t* source,
                                 std::int64_t first, int count) {
  for (int row = thread_number(thread); row < count; row += 32 * train_warps)
    block.drawn[row] = launch.data.rows ? launch.data.rows[source[0] + first + row] : static_cast<int>(first + row);
}

// Inputs of `live` rows, drawn from `first` on, into a slot; the tile is filled up with the first of them.
template <class S>
PYBACKDOOR_DEVICE void gather_inputs(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, int first, int live, float* inputs) {
  const int d = launch.shape.dimension, columns = launch.place.packing.columns;
#pragma unroll 2
  for (int at = thread_number(thread); at < columns * S::rows; at += S::threads) {
    const int row = at % S::rows, feature = at / S::rows;
    const std::int64_t from = block.drawn[first + (row < live ? row : 0)];
    inputs[slot_place<S>(feature, row >> 2) + (row & 3)] = feature < d ? launch.data.x[from * d + feature] : 0.0f;
  }
}

template <class S>
PYBACKDOOR_DEVICE void gather_targets(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, int first, int live) {
  const int row = thread_number(thread);
  if (row >= S::rows) return;
  const std::int64_t from = block.drawn[first + (row < live ? row : 0)];
  block.targets[row] = launch.data.y[from];
  block.weights[row] = launch.data.weights ? launch.data.weights[thread.block * launch.data.weights_step + from] : 1.0f;
}

// Adam on four parameters with the gradient at `at`.
template <class S>
PYBACKDOOR_DEVICE void update4(const TrainLaunch& launch, const TrainBlock& block, const AdamStep<float>& step, std::int64_t at, Four first,
                               Four second) {
  const TrainPacking& packing = launch.place.packing;
  Four gradient{};
#pragma unroll
  for (int copy = 0; copy < S::copies; ++copy) {
    const std::int64_t from = copy * packing.numbers + at;
    const Four more = block.gradient ? load4(block.gradient + from) : load4_far(block.gradient_far + from);
#pragma unroll
    for (int j = 0; j < 4; ++j) gradient.x[j] = copy == 0 ? more.x[j] : gradient.x[j] + more.x[j];
  }
  const bool near = at < packing.head || launch.place.weights_near;
  float* const place = at < packing.head ? block.head + at : block.body + (at - packing.head);
  Four numbers = near ? load4(place) : load4_far(block.parameters + at);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    Vec<float> parameter{numbers.x[j]}, one{first.x[j]}, two{second.x[j]};
    adam(step, Vec<float>{gradient.x[j]}, parameter, one, two);
    numbers.x[j] = parameter.v, first.x[j] = one.v, second.x[j] = two.v;
  }
  if (near)
    store4(place, numbers);
  else
    store4_far(block.parameters + at, numbers);
  store4_far(block.first + at, first);
  store4_far(block.second + at, second);
}

// All parameters, several groups of four at once so that their moments are on the way together.
template <class S>
PYBACKDOOR_DEVICE void update_all(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const AdamStep<float>& step) {
  constexpr int together = 4;
  const TrainPacking& packing = launch.place.packing;
#pragma unroll 1
  for (std::int64_t start = 4 * thread_number(thread); start < packing.numbers; start += 4 * S::threads * together) {
    Four first[together], second[together];
#pragma unroll
    for (int i = 0; i < together; ++i) {
      const std::int64_t at = start + 4 * S::threads * i;
      first[i] = at < packing.numbers ? load4_far(block.first + at) : Four{};
      second[i] = at < packing.numbers ? load4_far(block.second + at) : Four{};
    }
#pragma unroll
    for (int i = 0; i < together; ++i) {
      const std::int64_t at = start + 4 * S::threads * i;
      if (at < packing.numbers) update4<S>(launch, block, step, at, first[i], second[i]);
    }
  }
}

// The sum of [T] numbers, which become 0; the same for all lanes of the warp.
template <class S>
PYBACKDOOR_DEVICE float drain(const Thread& thread, float* numbers) {
  float sum = 0.0f;
  for (int row = thread.lane; row < S::rows; row += 32) {
    sum += numbers[row];
    numbers[row] = 0.0f;
  }
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2) sum += shuffle_xor(thread, sum, mask);
  return sum;
}

// A sum of floats with what its rounding lost (D. E. Knuth's two-sum).
struct LossSum {
  float sum, lost;
  PYBACKDOOR_DEVICE void add(float more) {
    const float total = sum + more, part = total - sum;
    lost += (sum - (total - part)) + (more - part);
    sum = total;
  }
};

// What is left of a step when its tiles are done, between barriers.
template <class S>
PYBACKDOOR_DEVICE void finish_step(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, const AdamStep<float>& scalars,
                                   LossSum& losses) {
  block_barrier(thread);
  if (thread.warp == 0) {
    losses.add(drain<S>(thread, block.losses) * launch.share);
    const float delta = drain<S>(thread, block.row_deltas);
    if (thread.lane == 0) put_gradient(block, launch.place.packing.output + S::width, delta, false);
  }
  block_barrier(thread);
  update_all<S>(thread, launch, block, scalars);
  block_barrier(thread);
}

// Everything of the block's that is summed up begins at 0.
template <class S>
PYBACKDOOR_DEVICE void clear_sums(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block) {
  const int self = thread_number(thread);
  for (std::int64_t at = self; at < S::copies * launch.place.packing.numbers; at += S::threads) put_gradient(block, at, 0.0f, false);
  for (int row = self; row < S::rows; row += S::threads) block.losses[row] = block.row_deltas[row] = 0.0f;
}

template <class S>
PYBACKDOOR_DEVICE void send_outputs(const TrainLaunch& launch, const TrainBlock& block, const Own& own, std::int64_t network, std::int64_t first,
                                    int live) {
  if (own.block != 0 || own.a != 0) return;
  const Four outputs = outputs_of<S>(launch, block, own);
#pragma unroll
  for (int r = 0; r < 4; ++r)
    if (4 * own.group + r < live) launch.outputs[network * launch.outputs_step + first + 4 * own.group + r] = outputs.x[r];
}

// A share of the rows to evaluate, or of the minibatches: all of each.
struct RowRange {
  std::int64_t begin, end;
};

// The tiles of `range`, of the minibatch of `step` or of the rows to evaluate.
template <class S>
PYBACKDOOR_DEVICE void work_off(const Thread& thread, const TrainLaunch& launch, const TrainBlock& block, std::int64_t network, const RowRange& range,
                                std::int64_t step, int& parity) {
  const Own own = own_of<S>(thread);
  const std::int64_t* const source = launch.data.sources + 3 * network;
  const int slot = launch.place.packing.columns * S::rows, most = launch.place.drawn_rows;
  const bool evaluate = launch.outputs != nullptr;
#pragma unroll 1
  for (std::int64_t begin = range.begin; begin < range.end; begin += most) {
    const int count = range.end - begin < most ? static_cast<int>(range.end - begin) : most;
    if (evaluate)
      list_rows(thread, launch, block, source, begin, count);
    else
      draw_rows(thread, launch, block, source, step, begin, count);
    block_barrier(thread);
#pragma unroll 1
    for (int first = 0; first < count; first += S::rows, parity ^= 1) {
      const int live = count - first < S::rows ? count - first : S::rows;
      float* const inputs = block.inputs + parity * slot;
      gather_inputs<S>(thread, launch, block, first, live, inputs);
      if (!evaluate) gather_targets<S>(thread, launch, block, first, live);
      block_barrier(thread);
      Piece values, slopes;
      forward_tile<S>(thread, launch, block, inputs, own, values, slopes);
      if (evaluate) {
        send_outputs<S>(launch, block, own, network, begin + first, live);
      } else {
        turn_back<S>(thread, launch, block, own, live, values, slopes);
        backward_tile<S>(thread, launch, block, inputs, own, begin + first > 0);
      }
    }
  }
}

// Training: block m takes all steps of network m. Evaluation: `chunks` blocks share a network's rows.
template <class S>
PYBACKDOOR_DEVICE void run_block(const Thread& thread, const TrainLaunch& launch) {
  const bool evaluate = launch.outputs != nullptr;
  const std::int64_t network = evaluate ? thread.block / launch.chunks : thread.block, chunk = thread.block - network * launch.chunks;
  const TrainBlock block = share_out<S>(launch, thread.shared, network, thread.block);
  bring_parameters<S>(thread, launch, block, true);
  if (!evaluate) clear_sums<S>(thread, launch, block);
  float* const kept = launch.memory.losses + 2 * network;
  LossSum losses = evaluate ? LossSum{0.0f, 0.0f} : LossSum{kept[0], kept[1]};
  const std::int64_t tiles = evaluate ? (launch.data.sources[3 * network + 1] + S::rows - 1) / S::rows : 0;
  RowRange range{0, launch.batch_size};
  if (evaluate) {
    const std::int64_t end = tiles * (chunk + 1) / launch.chunks * S::rows, rows = launch.data.sources[3 * network + 1];
    range = {tiles * chunk / launch.chunks * S::rows, end < rows ? end : rows};
  }
  int parity = 0;
#pragma unroll 1
  for (int number = 0; number < (evaluate ? 1 : launch.steps); ++number) {
    work_off<S>(thread, launch, block, network, range, launch.start + 1 + number, parity);
    if (evaluate) return;
    finish_step<S>(thread, launch, block, launch.scalars[number], losses);
  }
  bring_parameters<S>(thread, launch, block, false);
  if (thread_number(thread) == 0) kept[0] = losses.sum, kept[1] = losses.lost;
}

}  // namespace pybackdoor
