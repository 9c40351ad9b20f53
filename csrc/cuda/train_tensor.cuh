// The products of a training step on tensor cores: three TF32 products for one in float32.
//
// Each factor is cut into its TF32 part and the rest; the two mixed products and that of the TF32 parts are summed in float32 (Markidis et al. 2018,
// doi 10.1109/IPDPSW.2018.00091), which leaves errors like those of float32. A warp multiplies 32 by 8 with 8 by 16 numbers at a time, four
// mma.m16n8k8. The terms of a sum may be numbered at will, and the columns too: they are, so that a lane's factors lie side by side, different lanes'
// in different banks, and it ends with 4 units (8 apart) by one group of 4 rows, as it owns them (train_products.cuh).
#pragma once

#include "cuda/thread.cuh"

namespace pybackdoor {

// What a lane holds of the left factor (two pieces of 16 rows), of the right (two of 8 columns), and of the result, in the order of mma.m16n8k8: with
// lane = 4 p + q, a = (p, q), (p + 8, q), (p, q + 4), (p + 8, q + 4); b = (q, p), (q + 4, p); c = (p, 2 q), (p, 2 q + 1), (p + 8, 2 q), (p + 8, 2 q +
// 1).
struct TensorLeft {
  float a[2][4];
};
struct TensorRight {
  float b[2][2];
};
struct TensorSums {
  float c[2][2][4];
};

// x = high + rest; high has 11 significant bits, rounded to nearest.
PYBACKDOOR_DEVICE float tensor_part(float x, float& rest) {
  const float high = leading_tf32(from_word(to_word(x) + 0x1000u));
  rest = x - high;
  return high;
}

PYBACKDOOR_DEVICE void tensor_multiply(const Thread& thread, const TensorLeft& left, const TensorRight& right, TensorSums& sums) {
  TensorLeft high, low;
  TensorRight upper, lower;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int i = 0; i < 4; ++i) high.a[m][i] = tensor_part(left.a[m][i], low.a[m][i]);
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i) upper.b[n][i] = tensor_part(right.b[n][i], lower.b[n][i]);
  multiply_tf32(thread, low.a, upper.b, sums.c);
  multiply_tf32(thread, high.a, lower.b, sums.c);
  multiply_tf32(thread, high.a, upper.b, sums.c);
}

// Row m of the left factor is unit (p or p + 8) + 16 m: the lane's units i = 2 m and 2 m + 1. Column n of the right is, with n = 2 t + e, the row
// 2 e + (piece) of group t; so the lane's row 2 e + n is c[.][n][. + e].
PYBACKDOOR_DEVICE TensorSums open_sums(const float (&s)[4][4]) {
  TensorSums sums;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int r = 0; r < 4; ++r) sums.c[i / 2][r % 2][2 * (i % 2) + r / 2] = s[i][r];
  return sums;
}
PYBACKDOOR_DEVICE void close_sums(const TensorSums& sums, float (&s)[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int r = 0; r < 4; ++r) s[i][r] = sums.c[i / 2][r % 2][2 * (i % 2) + r / 2];
}

// The two numbers a lane needs of term `unit` of a slot, for both pieces of columns: rows 2 e and 2 e + 1 of the group t, p = 2 t + e.
template <class S>
PYBACKDOOR_DEVICE void right_factor(const float* slot, int unit, int group, int e, int term, TensorRight& right) {
  load2(slot + unit * S::rows + ((group ^ (unit & S::key)) << 2) + 2 * e, right.b[0][term], right.b[1][term]);
}

// As forward_panel: terms 16 h + 2 q + ... of the panel's columns; lane q takes the groups 2 q + h, whose slots are the columns 8 apart.
template <class S>
PYBACKDOOR_DEVICE void forward_panel_tensor(const Thread& thread, const float* panel, const float* slot, int number, int block, int group0,
                                            TensorSums& sums) {
  const int p = thread.lane >> 2, q = thread.lane & 3, group = group0 + (p >> 1), e = p & 1;
  const float* const rows = panel + (32 * block + p) * 32;
  const float* const from = slot + 32 * number * S::rows;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int g = 2 * q + h;
    Four w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) w[i] = load4(rows + 8 * 32 * i + ((g ^ p) << 2));
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      TensorRight right;
      right_factor<S>(from, g + 16 * s, group, e, 0, right);
      right_factor<S>(from, g + 16 * s + 8, group, e, 1, right);
      const TensorLeft left{{{w[0].x[2 * s], w[1].x[2 * s], w[0].x[2 * s + 1], w[1].x[2 * s + 1]},
                             {w[2].x[2 * s], w[3].x[2 * s], w[2].x[2 * s + 1], w[3].x[2 * s + 1]}}};
      tensor_multiply(thread, left, right, sums);
    }
  }
}

// As backward_panel; terms are the panel's rows, of which lane q takes 8 s + 2 q and the next.
template <class S>
PYBACKDOOR_DEVICE void backward_panel_tensor(const Thread& thread, const float* panel, const float* slot, int number, int group0, TensorSums& sums) {
  const int p = thread.lane >> 2, q = thread.lane & 3, group = group0 + (p >> 1), e = p & 1;
  const float* const from = slot + 32 * number * S::rows;
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    const int row = 8 * s + 2 * q;
    const Four one = load4(panel + row * 32 + ((p ^ (row & 7)) << 2)), two = load4(panel + (row + 1) * 32 + ((p ^ ((row + 1) & 7)) << 2));
    TensorRight right;
    right_factor<S>(from, row, group, e, 0, right);
    right_factor<S>(from, row + 1, group, e, 1, right);
    tensor_multiply(thread, {{{one.x[0], one.x[1], two.x[0], two.x[1]}, {one.x[2], one.x[3], two.x[2], two.x[3]}}}, right, sums);
  }
}

// As gradient_piece, for the groups of columns group0 .. group0 + 3, of which those from `groups` on do not count. Terms are the tile's rows; of a
// step of 4 or 8 groups of them, lane q takes q, or 2 q and the next.
template <class S, bool First>
PYBACKDOOR_DEVICE void gradient_tensor(const Thread& thread, const float* deltas, const float* inputs, int row, int group0, int groups, int first,
                                       int last, TensorSums& sums) {
  constexpr int step = S::key + 1, parts = step / 4;
  const int p = thread.lane >> 2, q = thread.lane & 3, wanted = group0 + (p >> 1), group = wanted < groups ? wanted : groups - 1;
  const int column = First ? 4 * group + 2 * (p & 1) : 32 * (group >> 3) + (group & 7) + 16 * (p & 1), apart = First ? 1 : 8;
#pragma unroll 1
  for (int start = first; start < last; start += step) {
#pragma unroll
    for (int h = 0; h < parts; ++h) {
      const int g = parts * q + h;
      Four d[4], x[2];
#pragma unroll
      for (int i = 0; i < 4; ++i) d[i] = load4(deltas + (row + 8 * i) * S::rows + 4 * start + ((g ^ (row & S::key)) << 2));
#pragma unroll
      for (int n = 0; n < 2; ++n) x[n] = load4(inputs + (column + apart * n) * S::rows + 4 * start + ((g ^ ((column + apart * n) & S::key)) << 2));
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        const TensorLeft left{{{d[0].x[2 * s], d[1].x[2 * s], d[0].x[2 * s + 1], d[1].x[2 * s + 1]},
                               {d[2].x[2 * s], d[3].x[2 * s], d[2].x[2 * s + 1], d[3].x[2 * s + 1]}}};
        tensor_multiply(thread, left, {{{x[0].x[2 * s], x[0].x[2 * s + 1]}, {x[1].x[2 * s], x[1].x[2 * s + 1]}}}, sums);
      }
    }
  }
}

}  // namespace pybackdoor
