// The three products of a training step on one tile of the minibatch, all from shared memory.
//
// A slot is [unit][T rows] in groups of four rows; group g of a unit lies at place g ^ (unit & key). A thread owns 4 units by 4 rows of every layer,
// the units 8 apart, the rows one group: forward, backward and where it saves derivatives. Of a matrix' gradient it owns pieces of 4 rows by one
// group of columns. A warp's lanes are 8 (units) by 4 (groups), numbered so that neighbours share an address of either factor: its sixteen-byte loads
// then take two passes each. Every sum is one chain of fused operations in a fixed order.
#pragma once

#include "cuda/thread.cuh"
#include "cuda/train_plan.hpp"
#include "cuda/train_tensor.cuh"

namespace pybackdoor {

template <int Width, bool Tensor>
struct TrainTile {
  static constexpr int width = Width, rows = slot_floats / Width;
  static constexpr int blocks = Width / 32;  // of 32 units
  static constexpr int key = (rows / 4 < 8 ? rows / 4 : 8) - 1;
  static constexpr int copies = Width == 32 ? 4 : 1;
  static constexpr int matrix = Width * Width, panel = 32 * Width;                // panel: 32 columns, or 32 rows, of a matrix
  static constexpr bool tensor = Tensor;                                          // products on tensor cores
  static constexpr int unit_lanes = Tensor ? 4 : 2, row_lanes = Tensor ? 2 : 16;  // see own_of
  static constexpr int threads = 32 * train_warps;
  static constexpr int unrolled = Width == 64 ? 8 : 2;  // steps of four terms; compiling more takes long
};

// What a thread owns of a tile: units unit + 8 i and rows 4 group + r, i, r < 4.
struct Own {
  int a, b, block, unit, group;
};

// Bits 1, 2 and 3 of the lane number a, bits 0 and 4 number b; as tensor cores deal out numbers, bits 2 to 4 and bits 0 and 1.
template <class S>
PYBACKDOOR_DEVICE Own own_of(const Thread& thread) {
  Own own;
  own.a = S::tensor ? thread.lane >> 2 : (thread.lane >> 1) & 7;
  own.b = S::tensor ? thread.lane & 3 : (thread.lane & 1) | ((thread.lane >> 3) & 2);
  own.block = thread.warp % S::blocks;
  own.unit = 32 * own.block + own.a;
  own.group = 4 * (thread.warp / S::blocks) + own.b;
  return own;
}

PYBACKDOOR_DEVICE int thread_number(const Thread& thread) { return 32 * thread.warp + thread.lane; }

template <class S>
PYBACKDOOR_DEVICE int slot_place(int unit, int group) {
  return unit * S::rows + ((group ^ (unit & S::key)) << 2);
}

// Of the thread's units and rows; or of rows and columns of a gradient.
struct Piece {
  float s[4][4];
};

template <class S>
PYBACKDOOR_DEVICE void store_piece(const Piece& piece, const Own& own, float* slot) {
#pragma unroll
  for (int i = 0; i < 4; ++i) store4(slot + slot_place<S>(own.unit + 8 * i, own.group), {piece.s[i][0], piece.s[i][1], piece.s[i][2], piece.s[i][3]});
}

// sums[i][r] += sum over k of w[.][.] x[k][r], four terms: w[i].x[k], or turned, w[k].x[i].
template <bool Turned>
PYBACKDOOR_DEVICE void multiply4(const Four (&w)[4], const Four (&x)[4], Piece& sums) {
#pragma unroll
  for (int k = 0; k < 4; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < 4; ++r) sums.s[i][r] = fmaf(Turned ? w[k].x[i] : w[i].x[k], x[k].x[r], sums.s[i][r]);
}

// Forward: sums += W x over the 32 columns of a panel; `panel` is [W rows][32], `slot` the input's.
template <class S>
PYBACKDOOR_DEVICE void forward_panel(const float* panel, const float* slot, int number, const Own& own, Piece& sums) {
  const float* const rows = panel + own.unit * 32;
  const float* const from = slot + 32 * number * S::rows;
#pragma unroll S::unrolled
  for (int g = 0; g < 8; ++g) {
    Four w[4], x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      w[i] = load4(rows + 8 * 32 * i + ((g ^ own.a) << 2));
      x[i] = load4(from + (g + 8 * i) * S::rows + ((own.group ^ (g & S::key)) << 2));
    }
    multiply4<false>(w, x, sums);
  }
}

// Backward: sums += W^T delta over 32 rows of the matrix; `panel` holds their part in the thread's block of columns, [32][32].
template <class S>
PYBACKDOOR_DEVICE void backward_panel(const float* panel, const float* slot, int number, const Own& own, Piece& sums) {
  const float* const from = slot + 32 * number * S::rows;
#pragma unroll S::unrolled
  for (int row = 0; row < 32; row += 4) {
    Four w[4], x[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      w[k] = load4(panel + (row + k) * 32 + ((own.a ^ ((row + k) & 7)) << 2));
      x[k] = load4(from + (row + k) * S::rows + ((own.group ^ ((row + k) & S::key)) << 2));
    }
    multiply4<true>(w, x, sums);
  }
}

// Moves a panel of a matrix in the workspace towards shared memory, a few numbers a thread.
template <class S, bool Backward>
PYBACKDOOR_DEVICE void fetch_panel(const float* matrix, int number, int self, Four (&held)[S::blocks]) {
#pragma unroll
  for (int part = 0; part < S::blocks; ++part)
    held[part] = load4_far(matrix + (Backward ? part * S::panel + number * 1024 : number * S::panel + part * 1024) + 4 * self);
}
template <class S>
PYBACKDOOR_DEVICE void put_panel(const Four (&held)[S::blocks], int self, float* stage) {
#pragma unroll
  for (int part = 0; part < S::blocks; ++part) store4(stage + part * 1024 + 4 * self, held[part]);
}

// One panel of a product: forward, `near` is [W rows][32]; backward, the rows in the thread's block of columns, [32][32].
template <class S, bool Backward, class Sums>
PYBACKDOOR_DEVICE void panel_product(const Thread& thread, const float* near, const float* slot, int number, const Own& own, Sums& sums) {
  if constexpr (S::tensor && Backward)
    backward_panel_tensor<S>(thread, near, slot, number, own.group - own.b, sums);
  else if constexpr (S::tensor)
    forward_panel_tensor<S>(thread, near, slot, number, own.block, own.group - own.b, sums);
  else if constexpr (Backward)
    backward_panel<S>(near, slot, number, own, sums);
  else
    forward_panel<S>(near, slot, number, own, sums);
}

// sums += W x, or W^T x: of a matrix in shared memory (`near`), or of one in the workspace (`far`) that passes through the two panels of `near`.
template <class S, bool Backward, class Sums>
PYBACKDOOR_DEVICE void all_panels(const Thread& thread, float* near, const float* far, const float* slot, const Own& own, Sums& sums) {
  const int self = thread_number(thread);
  Four held[S::blocks] = {};
  if (far) {
    fetch_panel<S, Backward>(far, 0, self, held);
    put_panel<S>(held, self, near);
    block_barrier(thread);
  }
#pragma unroll 1
  for (int number = 0; number < S::blocks; ++number) {
    if (far && number + 1 < S::blocks) fetch_panel<S, Backward>(far, number + 1, self, held);
    const int panel = (far ? number & 1 : Backward ? 0 : number) * S::panel;
    const int within = !Backward ? 0 : far ? own.block * 1024 : own.block * S::panel + number * 1024;
    panel_product<S, Backward>(thread, near + panel + within, slot, number, own, sums);
    if (!far) continue;
    if (number + 1 < S::blocks) put_panel<S>(held, self, near + ((number + 1) & 1) * S::panel);
    block_barrier(thread);
  }
}
template <class S, bool Backward>
PYBACKDOOR_DEVICE void hidden_product(const Thread& thread, float* near, const float* far, const float* slot, const Own& own, Piece& sums) {
  if constexpr (S::tensor) {
    TensorSums open = open_sums(sums.s);
    all_panels<S, Backward>(thread, near, far, slot, own, open);
    close_sums(open, sums.s);
  } else {
    all_panels<S, Backward>(thread, near, far, slot, own, sums);
  }
}

// The first layer's product; `inputs` is a slot of `columns` units.
template <class S>
PYBACKDOOR_DEVICE void first_product(const float* matrix, int columns, const float* inputs, const Own& own, Piece& sums) {
  const int moved = own.a & first_key(columns);
#pragma unroll 1
  for (int g = 0; g < columns / 4; ++g) {
    Four w[4], x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      w[i] = load4(matrix + (own.unit + 8 * i) * columns + ((g ^ moved) << 2));
      x[i] = load4(inputs + slot_place<S>(4 * g + i, own.group));
    }
    multiply4<false>(w, x, sums);
  }
}

// A piece of a matrix' gradient: rows row + 8 i by the columns of group `group` of `groups`, sums over the tile's row groups from `first` to `last`.
template <class S, bool First>
PYBACKDOOR_DEVICE Piece gradient_piece(const Thread& thread, const float* deltas, const float* inputs, int row, int group, int groups, int first,
                                       int last) {
  constexpr int step = S::key + 1;
  Piece sums{};
  if constexpr (S::tensor) {
    TensorSums open{};
    gradient_tensor<S, First>(thread, deltas, inputs, row, group - (thread.lane & 3), groups, first, last, open);
    close_sums(open, sums.s);
    return sums;
  }
  if (group >= groups) return sums;
  const int column = First ? 4 * group : 32 * (group >> 3) + (group & 7), apart = First ? 1 : 8;
#pragma unroll 1
  for (int start = first; start < last; start += step) {
#pragma unroll S::unrolled
    for (int g = 0; g < step; ++g) {
      Four p[4], q[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        p[i] = load4(deltas + (row + 8 * i) * S::rows + 4 * start + ((g ^ (row & S::key)) << 2));
        q[i] = load4(inputs + (column + apart * i) * S::rows + 4 * start + ((g ^ ((column + apart * i) & S::key)) << 2));
      }
#pragma unroll
      for (int k = 0; k < 4; ++k)
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sums.s[i][j] = fmaf(p[i].x[k], q[j].x[k], sums.s[i][j]);
    }
  }
  return sums;
}

}  // namespace pybackdoor
