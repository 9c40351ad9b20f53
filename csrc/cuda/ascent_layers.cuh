// A network's values and input gradients for the seeds of one team of warps, activations on the chip from first layer to last; ascent_shape.cuh says
// what a thread owns.
#pragma once

#include "cuda/ascent_fused.cuh"
#include "cuda/ascent_tensor.cuh"

namespace pybackdoor {

// sums += W act, or W^T act.
template <class S, bool Backward>
PYBACKDOOR_DEVICE void multiply(const Thread& thread, const Matrix& matrix, int first, int inner, const float* act, bool exact, Sums<S>& sums) {
  if constexpr (S::Tensor)
    multiply_tensor<S>(thread, Backward ? Matrix{matrix.numbers, matrix.begin + matrix.rows * (matrix.columns + 1), 0, 0, 0} : matrix, first, inner,
                       act, exact, sums);
  else
    multiply_fused<S, Backward>(matrix, first, inner, act, thread.lane, sums);
}

template <class S>
PYBACKDOOR_DEVICE void store_sums(const Sums<S>& sums, int first, int lane, float* act) {
#pragma unroll
  for (int r = 0; r < S::R; ++r)
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) {
      const float* s = &sums.s[r][4 * h];
      store4(act + place4<S>(first + own_row<S>(lane, r), own_group<S>(lane, h)), {s[0], s[1], s[2], s[3]});
    }
}

// Where a thread's slopes of (row r, seeds h) of a layer lie.
template <class S>
PYBACKDOOR_DEVICE int slope_place(int layer, int r, int h, int lane) {
  return (((layer * S::R + r) * (S::C / 4) + h) * 32 + lane) * 4;
}

template <class S>
PYBACKDOOR_DEVICE void save4(const TeamMemory& memory, int layer, int r, int h, int lane, const Four& slopes) {
  if (layer < memory.near)
    store4(memory.saved + slope_place<S>(layer, r, h, lane), slopes);
  else
    store4_far(memory.saved_far + slope_place<S>(layer - memory.near, r, h, lane), slopes);
}

// Sums over the lanes that share the seeds; one number a seed and block in `partial`.
template <class S>
PYBACKDOOR_DEVICE void gather_values(const Thread& thread, const TeamMemory& memory, int block, Four (&values)[S::C / 4]) {
#pragma unroll
  for (int h = 0; h < S::C / 4; ++h) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < 3; ++i) values[h].x[j] += shuffle_xor(thread, values[h].x[j], first_row_mask<S> << i);
    if (own_row<S>(thread.lane, 0) == 0)
      store4(memory.partial + (memory.warp * S::blocks + block) * S::seeds + 4 * own_group<S>(thread.lane, h), values[h]);
  }
}

// Activates the thread's own sums, left in act by store_sums. Below the last hidden layer the slopes are saved; there, act becomes the output weight
// times the slope, and `partial` gets the output's sum over each block of 32 rows: over the thread's four, then over the eight lanes that share the
// seeds.
template <class S, Activation A, bool Last>
PYBACKDOOR_DEVICE void activate_own(const Thread& thread, const TeamMemory& memory, int layer, int width, const float* output) {
  const int lane = thread.lane, first = memory.warp * S::tile;
#pragma unroll 1
  for (int block = 0; block < S::blocks; ++block) {
    Four values[S::C / 4] = {};
#pragma unroll 1
    for (int r = 4 * block; r < 4 * block + 4; ++r) {
      const int row = first + own_row<S>(lane, r);
      const float weight = Last ? output[row] : 0.0f;
#pragma unroll
      for (int h = 0; h < S::C / 4; ++h) {
        float* slot = memory.act + place4<S>(row, own_group<S>(lane, h));
        Four z = load4(slot), slope;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          Vec<float> derivative;
          const float value = activate<A>(Vec<float>{z.x[j]}, derivative).v;
          slope.x[j] = derivative.v;
          if constexpr (Last) {
            values[h].x[j] = row < width ? fmaf(weight, value, values[h].x[j]) : values[h].x[j];
            z.x[j] = row < width ? weight * derivative.v : 0.0f;
          } else {
            z.x[j] = row < width ? value : 0.0f;  // padding stays 0 whatever overflows elsewhere
          }
        }
        store4(slot, z);
        if constexpr (!Last) save4<S>(memory, layer, r, h, lane, slope);
      }
    }
    if constexpr (Last) gather_values<S>(thread, memory, block, values);
  }
}

template <class S>
PYBACKDOOR_DEVICE void times_slopes(const TeamMemory& memory, int layer, int width, int first, int lane, Sums<S>& sums) {
  const bool near = layer < memory.near;
#pragma unroll
  for (int r = 0; r < S::R; ++r)
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) {
      const Four slopes = near ? load4(memory.saved + slope_place<S>(layer, r, h, lane))
                               : load4_far(memory.saved_far + slope_place<S>(layer - memory.near, r, h, lane));
      const bool real = first + own_row<S>(lane, r) < width;
#pragma unroll
      for (int j = 0; j < 4; ++j) sums.s[r][4 * h + j] = real ? sums.s[r][4 * h + j] * slopes.x[j] : 0.0f;
    }
}

// gradient [feature][S] = W^T act for the first layer, eight features a pass, passes dealt to the team's warps.
template <class S>
PYBACKDOOR_DEVICE void input_gradient(const TeamMemory& memory, const Matrix& matrix, int dimension, int lane, float* gradient) {
  const int a = lane & 7, b = lane >> 3;
  for (int feature = 8 * memory.warp + a; feature - a < dimension; feature += 8 * memory.warps) {
    float sums[S::C] = {};
#pragma unroll 4
    for (int row = 0; row < matrix.rows; ++row) {
      const float weight = element<S>(matrix, row, feature);
#pragma unroll
      for (int h = 0; h < S::C / 4; ++h) {
        const Four x = load4(memory.act + place4<S>(row, b + 4 * h));
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[4 * h + j] = fmaf(weight, x.x[j], sums[4 * h + j]);
      }
    }
    if (feature >= dimension) continue;
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h)
      store4(gradient + feature * S::seeds + 4 * (b + 4 * h), {sums[4 * h], sums[4 * h + 1], sums[4 * h + 2], sums[4 * h + 3]});
  }
}

// partial and gradient (where `gradient` says that it lies) of the network at numbers + begin, for the mapped inputs in act, whose team has passed a
// barrier since they were written; ends with a barrier.
template <class S, class Gradient>
PYBACKDOOR_DEVICE void evaluate_team(const Thread& thread, const NetworkShape& shape, const float* numbers, int begin, const TeamMemory& memory,
                                     bool exact, const Gradient& gradient) {
  const int lane = thread.lane, first = memory.warp * S::tile, hidden = shape.hidden;
  int at = begin;
  int columns = padded(shape.dimension, 8);
  Matrix matrix{};
  const auto matrix_at = [&](int from, int rows, int wide) {
    return Matrix{numbers, from, rows, wide, S::Resident && !S::Tensor ? swizzle_bits(wide) : 0};
  };
  Sums<S> sums;
#pragma unroll 1
  for (int layer = 0; layer < hidden; ++layer) {
    const int width = shape.widths[layer], rows = padded(width, S::tile);
    matrix = matrix_at(at, rows, columns);
    const float* biases = numbers + at + rows * columns;
    at += layer_numbers(rows, columns, layer, S::Tensor);
    const bool mine = first < rows;
    if (mine) {
#pragma unroll
      for (int r = 0; r < S::R; ++r)
#pragma unroll
        for (int c = 0; c < S::C; ++c) sums.s[r][c] = biases[first + own_row<S>(lane, r)];
      multiply<S, false>(thread, matrix, first, columns, memory.act, exact, sums);
    }
    team_barrier(thread, memory.team, memory.warps);
    if (mine) {
      store_sums<S>(sums, first, lane, memory.act);
      dispatch_activation(shape.activation, [&](auto tag) {
        if (layer + 1 < hidden)
          activate_own<S, decltype(tag)::value, false>(thread, memory, layer, width, nullptr);
        else
          activate_own<S, decltype(tag)::value, true>(thread, memory, layer, width, numbers + at);
      });
    } else if (layer + 1 == hidden) {
      for (int i = lane; i < S::blocks * S::seeds; i += 32) memory.partial[memory.warp * S::blocks * S::seeds + i] = 0.0f;
    }
    team_barrier(thread, memory.team, memory.warps);
    columns = rows;
  }
#pragma unroll 1
  for (int layer = hidden - 1; layer > 0; --layer) {
    const int rows = matrix.rows, before = shape.widths[layer - 1], wide = matrix.columns;
    const bool mine = first < wide;
    if (mine) {
#pragma unroll
      for (int r = 0; r < S::R; ++r)
#pragma unroll
        for (int c = 0; c < S::C; ++c) sums.s[r][c] = 0.0f;
      multiply<S, true>(thread, matrix, first, rows, memory.act, exact, sums);
      times_slopes<S>(memory, layer - 1, before, first, lane, sums);
    }
    team_barrier(thread, memory.team, memory.warps);
    if (mine) store_sums<S>(sums, first, lane, memory.act);
    team_barrier(thread, memory.team, memory.warps);
    const int previous = layer > 1 ? padded(shape.widths[layer - 2], S::tile) : padded(shape.dimension, 8);
    matrix = matrix_at(matrix.begin - layer_numbers(wide, previous, layer - 1, S::Tensor), wide, previous);
  }
  if (hidden > 0) input_gradient<S>(memory, matrix, shape.dimension, lane, gradient());
  team_barrier(thread, memory.team, memory.warps);
}

}  // namespace pybackdoor
