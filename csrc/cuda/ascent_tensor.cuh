// Products of a layer on the tensor cores, mma.sync m16n8k8 in TF32: the weights are A, the activations B, units down and seeds across.
//
// "3xtf32" cuts each factor in two, x = x0 + x1 with x0 the leading 11 bits and x1 the exact rest (its own leading 11 bits count), and adds
// x1 y0 + x0 y1 + x0 y0: a product is then within 2^-19 of the exact one, typically 2^-21. The tensor cores add in truncated float32, so after 32
// columns what they gathered is added to the sums with a proper rounding; the error of a sum then does not grow with its length as a truncated one
// would. "tf32" takes the nearest TF32 number of each factor and one product.
//
// Fragments, with lane = 4 a + b: of A, rows a, a + 8 by columns b, b + 4; of B, rows b, b + 4 of column a; of the result, rows a, a + 8 by columns
// 2 b, 2 b + 1 (PTX ISA, "Matrix fragments for mma.m16n8k8"). Column q of tile n = 2 h + p is seed 16 h + 2 q + p: a lane then reads its two seeds of
// both tiles with one eight-byte load, and its results are four seeds side by side.
//
// The packed matrices lie in the order of the fragments of A, forward and transposed, so that a warp reads
// what a step of its tile needs in one piece.
#pragma once

#include "cuda/ascent_shape.cuh"

namespace pybackdoor {

inline constexpr int columns_between_roundings = 32;

// A lane's factors of one step of eight columns: leading parts in [0], rests in [1].
template <class S>
struct Fragments {
  static constexpr int M = S::R / 2, N = S::C / 2;
  float a[2][M][4], b[2][N][2];
};

template <bool Exact>
PYBACKDOOR_DEVICE void split(float x, float& leading, float& rest) {
  leading = Exact ? leading_tf32(x) : nearest_tf32(x);
  rest = x - leading;
}

// Four numbers of A for each sixteen rows of the tile.
template <class S>
PYBACKDOOR_DEVICE void fetch_fragments(const float* weights, int k, Four (&w)[S::R / 2]) {
#pragma unroll
  for (int m = 0; m < S::R / 2; ++m) w[m] = load_weights<S::Resident>(weights + S::tile * k + 128 * m);
}

// The lane's seeds in row b of act; those of row b + 4 i lie as far on as the rows do, since only the two low bits of a row move its groups.
template <class S>
struct Columns {
  const float* act[S::C / 4];
  PYBACKDOOR_DEVICE static Columns of(const float* act, int lane) {
    Columns columns;
    const int a = lane >> 2, b = lane & 3;
#pragma unroll
    for (int h = 0; h < S::C / 4; ++h) columns.act[h] = act + place4<S>(b, (a >> 1) + 4 * h) + 2 * (a & 1);
    return columns;
  }
};

template <class S, bool Exact>
PYBACKDOOR_DEVICE void fill(const Four (&w)[S::R / 2], const Columns<S>& columns, int k, Fragments<S>& f) {
#pragma unroll
  for (int m = 0; m < f.M; ++m)
#pragma unroll
    for (int i = 0; i < 4; ++i) split<Exact>(w[m].x[i], f.a[0][m][i], f.a[1][m][i]);
#pragma unroll
  for (int h = 0; h < S::C / 4; ++h)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float x[2];
      load2(columns.act[h] + (k + 4 * i) * S::seeds, x[0], x[1]);
#pragma unroll
      for (int p = 0; p < 2; ++p) split<Exact>(x[p], f.b[0][2 * h + p][i], f.b[1][2 * h + p][i]);
    }
}

// sums += A B for one pair of parts of sixteen rows, number m.
template <class S>
PYBACKDOOR_DEVICE void add_products(const Thread& thread, const Fragments<S>& f, int m, int part_a, int part_b, Sums<S>& sums) {
#pragma unroll
  for (int n = 0; n < f.N; ++n) {
    const int c = 4 * (n / 2) + n % 2;
    float (&s)[S::R][S::C] = sums.s;
    multiply_shared(thread, f, f.a[part_a][m], f.b[part_b][n], s[2 * m][c], s[2 * m][c + 2], s[2 * m + 1][c], s[2 * m + 1][c + 2]);
  }
}

// The small products first. Sixteen rows at a time: no more of A needs to be in registers, and N independent chains, twice that with the other warp
// of the scheduler, fill the tensor core.
template <class S, bool Exact>
PYBACKDOOR_DEVICE void add_step(const Thread& thread, const Fragments<S>& f, Sums<S>& sums) {
#pragma unroll
  for (int m = 0; m < f.M; ++m) {
    if constexpr (Exact) {
      add_products<S>(thread, f, m, 1, 0, sums);
      add_products<S>(thread, f, m, 0, 1, sums);
    }
    add_products<S>(thread, f, m, 0, 0, sums);
  }
}

// sums += A act: `inner` columns, in the order of `matrix`, which is the transposed one on the way back. Weights that come through the caches are
// asked for one step ahead; for those in shared memory the other warp of the scheduler fills the wait.
template <class S, bool Exact>
PYBACKDOOR_DEVICE void multiply_steps(const Thread& thread, const Matrix& matrix, int first, int inner, const float* act, Sums<S>& sums) {
  constexpr bool ahead = !S::Resident;
  const float* weights = matrix.numbers + matrix.begin + first * inner + 4 * thread.lane;
  const Columns<S> columns = Columns<S>::of(act, thread.lane);
  Four next[S::R / 2];
  if constexpr (ahead) fetch_fragments<S>(weights, 0, next);
#pragma unroll 1
  for (int begin = 0; begin < inner; begin += columns_between_roundings) {
    Sums<S> part{};
    const int end = begin + columns_between_roundings < inner ? begin + columns_between_roundings : inner;
#pragma unroll 1
    for (int k = begin; k < end; k += 8) {
      Fragments<S> f;
      if constexpr (!ahead) fetch_fragments<S>(weights, k, next);
      fill<S, Exact>(next, columns, k, f);
      if constexpr (ahead) fetch_fragments<S>(weights, k + 8 < inner ? k + 8 : k, next);
      share_fragments(thread, f);
      add_step<S, Exact>(thread, f, part);
      release_fragments(thread);
    }
#pragma unroll
    for (int r = 0; r < S::R; ++r)
#pragma unroll
      for (int c = 0; c < S::C; ++c) sums.s[r][c] += part.s[r][c];
  }
}

template <class S>
PYBACKDOOR_DEVICE void multiply_tensor(const Thread& thread, const Matrix& matrix, int first, int inner, const float* act, bool exact,
                                       Sums<S>& sums) {
  warp_barrier(thread);
  exact ? multiply_steps<S, true>(thread, matrix, first, inner, act, sums) : multiply_steps<S, false>(thread, matrix, first, inner, act, sums);
}

}  // namespace pybackdoor
