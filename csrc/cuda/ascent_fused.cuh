// Products of a layer in true float32: every sum is one chain of fused operations in the order of the columns.
#pragma once

#include "cuda/ascent_shape.cuh"

namespace pybackdoor {

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
PYBACKDOOR_DEVICE void multiply_fused(const Matrix& matrix, int first, int inner, const float* act, int lane, Sums<S>& sums) {
  const int a = lane & 7, b = lane >> 3;
#pragma unroll 1
  for (int k = 0; k < inner; k += 4) {  // the other warp of the scheduler computes while these weights come
    Four w[S::R];
    fetch<S, Backward>(matrix, first, a, k, w);
    consume<S, Backward>(w, act, b, k, sums);
  }
}

}  // namespace pybackdoor
