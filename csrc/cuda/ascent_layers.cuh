// A network's values and input gradients for the seeds of one team of warps, activations on the chip from first layer to last.
//
// A team holds S = 4 C seeds. `act` is [row][S]: a layer's activations, then its deltas, in place. A warp owns `tile` = 8 R rows of every layer; a
// thread owns R of them by C of the seeds: rows 4 a + 32 g + i and seeds 4 b + 16 h + j, lane = a + 8 b, i, j < 4. It meets the same elements forward
// and backward, so the slopes it saves are its own. Every sum is one chain of fused operations in the order of the columns.
//
// Groups of four numbers are stored at swizzled places so that a warp's sixteen-byte accesses meet different banks whether it reads rows or columns.
#pragma once

#include "cuda/thread.cuh"
#include "pybackdoor/cuda_ascent.hpp"

namespace pybackdoor {

template <int R_, int C_, bool Resident_>
struct Shape {
  static constexpr int R = R_, C = C_, tile = 8 * R_, seeds = 4 * C_;
  static constexpr bool Resident = Resident_;
};

// Where the four seeds of `group` begin in row `row` of act.
template <class S>
PYBACKDOOR_DEVICE int place4(int row, int group) {
  return row * S::seeds + ((group ^ ((row >> 2) & (S::seeds / 4 - 1))) << 2);
}
template <class S>
PYBACKDOOR_DEVICE int place(int row, int seed) {
  return place4<S>(row, seed >> 2) + (seed & 3);
}

// The bits of (row / 4) that move the groups of four columns of a resident matrix.
PYBACKDOOR_DEVICE int swizzle_bits(int columns) {
  const int groups = columns >> 2, power = groups & -groups;
  return (power < 8 ? power : 8) - 1;
}

// A matrix of a network: `begin` counts from the network's numbers, which then stay recognizable as shared memory to the compiler.
struct Matrix {
  const float* numbers;
  int begin, rows, columns, bits;  // bits: swizzle_bits, or 0 in plain memory
  PYBACKDOOR_DEVICE const float* at4(int row, int group) const { return numbers + begin + row * columns + ((group ^ ((row >> 2) & bits)) << 2); }
  PYBACKDOOR_DEVICE float at(int row, int column) const { return at4(row, column >> 2)[column & 3]; }
};

// A team's share of the block's memory.
struct TeamMemory {
  float *act, *partial;      // [rows][S]; [team's warps][S]
  float *saved, *saved_far;  // the warp's slopes: layers below `near` in shared memory, the others in the workspace
  int near;
  int team, warps, warp;  // number of the team; its warps; this warp's number in it
};

template <class S>
struct Sums {
  float s[S::R][S::C];
};

// Sixteen-byte pieces of the weights for four steps of the inner product: forward, four columns of each own row; backward, the own columns of four
// rows.
template <class S, bool Backward>
PYBACKDOOR_DEVICE void fetch(const Matrix& matrix, int first, int a, int k, Four (&w)[S::R]) {
#pragma unroll
  for (int p = 0; p < S::R; ++p) {
    if constexpr (Backward)
      w[p] = load_weights<S::Resident>(matrix.at4(k + p / (S::R / 4), (first >> 2) + a + 8 * (p % (S::R / 4))));
    else
      w[p] = load_weights<S::Resident>(matrix.at4(first + 4 * a + 32 * (p / 4) + p % 4, k >> 2));
  }
}

template <class S, bool Backward>
PYBACKDOOR_DEVICE void consume(const Four (&w)[S::R], const float* act, int b, int k, Sums<S>& sums) {
#pragma unroll
  for (int kk = 0; kk < 4; ++kk) {
    Four x[S::C / 4];
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) x[h] = load4(act + place4<S>(k + kk, b + 4 * h));
#pragma unroll
    for (int r = 0; r < S::R; ++r) {
      const float weight = Backward ? w[kk * (S::R / 4) + r / 4].x[r % 4] : w[r].x[kk];
#pragma unroll
      for (int c = 0; c < S::C; ++c) sums.s[r][c] = fmaf(weight, x[c / 4].x[c % 4], sums.s[r][c]);
    }
  }
}

// sums += W act (forward, `inner` columns) or W^T act (backward, `inner` rows); `first` is the warp's first row of the result.
template <class S, bool Backward>
PYBACKDOOR_DEVICE void multiply(const Matrix& matrix, int first, int inner, const float* act, int lane, Sums<S>& sums) {
  const int a = lane & 7, b = lane >> 3;
#pragma unroll 1
  for (int k = 0; k < inner; k += 4) {  // the other warp of the scheduler computes while these weights come
    Four w[S::R];
    fetch<S, Backward>(matrix, first, a, k, w);
    consume<S, Backward>(w, act, b, k, sums);
  }
}

template <class S>
PYBACKDOOR_DEVICE void store_sums(const Sums<S>& sums, int first, int lane, float* act) {
  const int a = lane & 7, b = lane >> 3;
#pragma unroll
  for (int r = 0; r < S::R; ++r)
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) {
      const float* s = &sums.s[r][4 * h];
      store4(act + place4<S>(first + 4 * a + 32 * (r / 4) + r % 4, b + 4 * h), {s[0], s[1], s[2], s[3]});
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

// Activates the thread's own sums, left in act by store_sums. Below the last hidden layer the slopes are saved; there, act becomes the output weight
// times the slope, and `values` (four seeds each h) gather the output's sum over the thread's rows.
template <class S, Activation A, bool Last>
PYBACKDOOR_DEVICE void activate_own(const TeamMemory& memory, int layer, int width, const float* output, int first, int lane,
                                    Four (&values)[S::C / 4]) {
  const int a = lane & 7, b = lane >> 3;
#pragma unroll 1
  for (int r = 0; r < S::R; ++r) {
    const int row = first + 4 * a + 32 * (r / 4) + r % 4;
    const float weight = Last ? output[row] : 0.0f;
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) {
      float* slot = memory.act + place4<S>(row, b + 4 * h);
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
}

template <class S>
PYBACKDOOR_DEVICE void times_slopes(const TeamMemory& memory, int layer, int width, int first, int lane, Sums<S>& sums) {
  const int a = lane & 7;
  const bool near = layer < memory.near;
#pragma unroll
  for (int r = 0; r < S::R; ++r)
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) {
      const Four slopes = near ? load4(memory.saved + slope_place<S>(layer, r, h, lane))
                               : load4_far(memory.saved_far + slope_place<S>(layer - memory.near, r, h, lane));
      const bool real = first + 4 * a + 32 * (r / 4) + r % 4 < width;
#pragma unroll
      for (int j = 0; j < 4; ++j) sums.s[r][4 * h + j] = real ? sums.s[r][4 * h + j] * slopes.x[j] : 0.0f;
    }
}

// Sums over the 8 lanes that share the seeds, then one number a seed and warp in `partial`.
template <class S>
PYBACKDOOR_DEVICE void gather_values(const Thread& thread, const TeamMemory& memory, Four (&values)[S::C / 4]) {
#pragma unroll
  for (int h = 0; h < S::C / 4; ++h) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int mask = 1; mask < 8; mask *= 2) values[h].x[j] += shuffle_xor(thread, values[h].x[j], mask);
    if ((thread.lane & 7) == 0) store4(memory.partial + memory.warp * S::seeds + 4 * ((thread.lane >> 3) + 4 * h), values[h]);
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
      const float weight = matrix.at(row, feature);
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

// partial and gradient of the network at numbers + begin, for the mapped inputs in act, whose team has passed a barrier since they were written; ends
// with a barrier.
template <class S>
PYBACKDOOR_DEVICE void evaluate_team(const Thread& thread, const NetworkShape& shape, const float* numbers, int begin, const TeamMemory& memory,
                                     float* gradient) {
  const int lane = thread.lane, first = memory.warp * S::tile, hidden = shape.hidden;
  int at = begin;
  int columns = padded(shape.dimension, 8);
  Matrix matrix{};
  const auto matrix_at = [&](int from, int rows, int wide) { return Matrix{numbers, from, rows, wide, S::Resident ? swizzle_bits(wide) : 0}; };
  Sums<S> sums;
#pragma unroll 1
  for (int layer = 0; layer < hidden; ++layer) {
    const int width = shape.widths[layer], rows = padded(width, S::tile);
    matrix = matrix_at(at, rows, columns);
    at += rows * columns;
    const bool mine = first < rows;
    if (mine) {
#pragma unroll
      for (int r = 0; r < S::R; ++r)
#pragma unroll
        for (int c = 0; c < S::C; ++c) sums.s[r][c] = numbers[at + first + 4 * (lane & 7) + 32 * (r / 4) + r % 4];
      multiply<S, false>(matrix, first, columns, memory.act, lane, sums);
    }
    at += rows;
    team_barrier(thread, memory.team, memory.warps);
    Four values[S::C / 4] = {};
    if (mine) {
      store_sums<S>(sums, first, lane, memory.act);
      dispatch_activation(shape.activation, [&](auto tag) {
        if (layer + 1 < hidden)
          activate_own<S, decltype(tag)::value, false>(memory, layer, width, nullptr, first, lane, values);
        else
          activate_own<S, decltype(tag)::value, true>(memory, layer, width, numbers + at, first, lane, values);
      });
    }
    if (layer + 1 == hidden) gather_values<S>(thread, memory, values);
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
      multiply<S, true>(matrix, first, rows, memory.act, lane, sums);
      times_slopes<S>(memory, layer - 1, before, first, lane, sums);
    }
    team_barrier(thread, memory.team, memory.warps);
    if (mine) store_sums<S>(sums, first, lane, memory.act);
    team_barrier(thread, memory.team, memory.warps);
    const int previous = layer > 1 ? padded(shape.widths[layer - 2], S::tile) : padded(shape.dimension, 8);
    matrix = matrix_at(matrix.begin - wide * (previous + 1), wide, previous);
  }
  if (hidden > 0) input_gradient<S>(memory, matrix, shape.dimension, lane, gradient);
  team_barrier(thread, memory.team, memory.warps);
}

}  // namespace pybackdoor
