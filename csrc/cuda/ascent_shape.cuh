// What a thread, a warp and a team own, and where their numbers lie; the same for both ways of multiplying.
//
// A team holds S = 4 C seeds. `act` is [row][S]: a layer's activations, then its deltas, in place. A warp owns `tile` = 8 R rows of every layer; a
// thread owns R of them by C of the seeds, seeds 4 b + 16 h + j, j < 4, and meets the same elements forward and backward, so the slopes it saves are
// its own. Which rows and which b are the thread's depends on the products:
//
//     fused products (ascent_fused.cuh)      rows 4 a + 32 g + i, i < 4; lane = a + 8 b      groups of four rows feed sixteen-byte loads
//     tensor products (ascent_tensor.cuh)    rows a + 8 i;               lane = 4 a + b      as mma.sync deals its results
//
// Groups of four seeds are stored at swizzled places, so that a warp's accesses meet different banks whether it reads rows or columns.
//
// A seed's bits depend neither on the tile, nor on the team, nor on where the weights lie: every sum over a layer's units runs in an order that the
// tile does not change (padding adds exact zeros).
#pragma once

#include "cuda/thread.cuh"
#include "pybackdoor/cuda_ascent.hpp"

namespace pybackdoor {

template <int R_, int C_, bool Resident_, bool Tensor_ = false>
struct Shape {
  static constexpr int R = R_, C = C_, tile = 8 * R_, seeds = 4 * C_, blocks = R_ / 4;  // blocks of 32 rows
  static constexpr bool Resident = Resident_, Tensor = Tensor_;
  static_assert(R % 4 == 0 && C % 4 == 0);
};

// The thread's r-th row of the warp's tile, its group of seeds, and the lanes that differ from it in rows only: those at lane ^ (first << i), i < 3.
template <class S>
PYBACKDOOR_DEVICE int own_row(int lane, int r) {
  return S::Tensor ? (lane >> 2) + 8 * r : 4 * (lane & 7) + 32 * (r / 4) + r % 4;
}
template <class S>
PYBACKDOOR_DEVICE int own_group(int lane, int h) {
  return (S::Tensor ? lane & 3 : lane >> 3) + 4 * h;
}
template <class S>
inline constexpr int first_row_mask = S::Tensor ? 4 : 1;

// Where the four seeds of `group` begin in row `row` of act.
template <class S>
PYBACKDOOR_DEVICE int place4(int row, int group) {
  if constexpr (S::Tensor) return row * S::seeds + ((group ^ (S::seeds == 32 ? (row & 1) << 2 | (row & 2) : row & 2)) << 2);
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
};

// An element of a layer's matrix, for loops that are not the bulk of the work.
template <class S>
PYBACKDOOR_DEVICE float element(const Matrix& matrix, int row, int column) {
  if constexpr (S::Tensor) {
    const int step = (row & -S::tile) * matrix.columns + (column >> 3) * 8 * S::tile, lane = (row & 7) << 2 | (column & 3);
    return matrix.numbers[matrix.begin + step + (row & (S::tile - 16)) * 8 + (lane << 2) + ((row >> 3) & 1) + ((column >> 1) & 2)];
  }
  return matrix.at4(row, column >> 2)[column & 3];
}

// A team's share of the block's memory.
struct TeamMemory {
  float *act, *partial;      // [rows][S]; [32-row blocks of the team][S]
  float *saved, *saved_far;  // the warp's slopes: layers below `near` in shared memory, the others in the workspace
  int near;
  int team, warps, warp;  // number of the team; its warps; this warp's number in it
};

template <class S>
struct Sums {
  float s[S::R][S::C];
};

}  // namespace pybackdoor
