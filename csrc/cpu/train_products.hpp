// The three matrix products of a training step, each a sweep of one register block over panels (see train.hpp for the storage).
#pragma once

#include <stdint.h>

#include "pybackdoor/simd.hpp"

PYBACKDOOR_OPEN

// A register block is `rows` rows by `vectors` vectors; a weight gradient takes `gradient_tallest` rows at most, and a multiple of `gradient_rows`,
// which divide the lanes of a vector or more, in all.
template <class T>
struct Block {
  static constexpr int lanes = Vec<T>::lanes;
#if defined(PYBACKDOOR_ISA_AVX512)
  static constexpr int rows = 6, vectors = 4, gradient_rows = 4, gradient_tallest = 4;
#elif defined(PYBACKDOOR_ISA_AVX2)
  static constexpr int rows = 6, vectors = 2, gradient_rows = 4, gradient_tallest = 6;
#else
  static constexpr int rows = 4, vectors = 2, gradient_rows = 2, gradient_tallest = 2;
#endif
  static constexpr int64_t panel = vectors * lanes;
  static constexpr int64_t tile_rows = (64 + rows - 1) / rows * rows;
};

template <int N>
struct Count {
  static constexpr int value = N;
};

// Calls f(Count<n>{}) for the run-time n in 1 .. N.
template <int N, class Function>
PYBACKDOOR_HD void with_count(int64_t n, Function&& f) {
  if constexpr (N > 1) {
    if (n != N) return with_count<N - 1>(n, f);
  }
  f(Count<N>{});
}

PYBACKDOOR_HD int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// c[r][:] += sum over k of a[r * row_step + k * step] * b[k][:], b a panel of V vectors.
template <int R, int V, class T>
PYBACKDOOR_HD void accumulate(Vec<T> (&c)[R][V], const T* a, int64_t row_step, int64_t step, const T* b, int64_t count) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < count; ++k) {
    Vec<T> row[V];
    for (int v = 0; v < V; ++v) row[v] = Vec<T>::load(b + v * Vec<T>::lanes);
    for (int r = 0; r < R; ++r) {
      const Vec<T> factor = Vec<T>::all(a[r * row_step + k * step]);
      for (int v = 0; v < V; ++v) c[r][v] = fma(factor, row[v], c[r][v]);
    }
    b += V * Vec<T>::lanes;
  }
}

// a [rows, inner] b [inner, columns]: a tile, padded to inner_columns, times a matrix with b_rows rows. `ends.start(column)` is the vector that the
// sums begin with, `ends.put(at, sums)` takes a vector of the tile at offset `at`, and `ends.done(at, count)` comes after those of a register block.
template <class T, class Ends>
void tile_product(const T* a, int64_t inner, int64_t inner_columns, const T* b, int64_t b_rows, int64_t columns, int64_t rows, const Ends& ends) {
  using V = Vec<T>;
  using B = Block<T>;
  for (int64_t column = 0; column < columns; column += B::panel) {
    const int64_t width = least(B::panel, columns - column);
    with_count<B::vectors>(width / B::lanes, [&](auto vectors) {
      constexpr int count = decltype(vectors)::value;
      for (int64_t row = 0; row < rows; row += B::rows) {
        V c[B::rows][count];
        for (int v = 0; v < count; ++v) {
          const V start = ends.start(column + v * B::lanes);
          for (int r = 0; r < B::rows; ++r) c[r][v] = start;
        }
        int64_t k = 0;
        for (; k + B::panel <= inner; k += B::panel)  // all but the last panel: known sizes, so that no address is computed
          accumulate(c, a + k * B::tile_rows + row * B::panel, B::panel, 1, b + column * b_rows + k * count * B::lanes, B::panel);
        if (k < inner) {
          const int64_t step = inner_columns - k;
          accumulate(c, a + k * B::tile_rows + row * step, step, 1, b + column * b_rows + k * count * B::lanes, inner - k);
        }
        const int64_t place = column * B::tile_rows + row * count * B::lanes;
        for (int r = 0; r < B::rows; ++r) {
          for (int v = 0; v < count; ++v) ends.put(place + (r * count + v) * B::lanes, c[r][v]);
        }
        ends.done(place, int64_t{B::rows} * count * B::lanes);
      }
    });
  }
}

// out [a_used, b_columns] (+)= transpose of a [rows, a_used] times b [rows, b_columns]; a is padded to a_columns, a_used a multiple of gradient_rows.
template <class T>
void gradient_product(const T* a, int64_t a_used, int64_t a_columns, const T* b, int64_t b_columns, T* out, int64_t rows, bool add) {
  using V = Vec<T>;
  using B = Block<T>;
  for (int64_t column = 0; column < b_columns; column += B::panel) {
    with_count<B::vectors>(least(B::panel, b_columns - column) / B::lanes, [&](auto vectors) {
      constexpr int count = decltype(vectors)::value;
      for (int64_t first = 0; first < a_used; first += B::panel) {
        const int64_t step = least(B::panel, a_columns - first), used = least(step, a_used - first);
        const int64_t blocks = (used + B::gradient_tallest - 1) / B::gradient_tallest, tall = used % blocks;
        for (int64_t block = 0, row = first; block < blocks; ++block) {
          with_count<B::gradient_tallest>(used / blocks + (block < tall), [&](auto height) {
            constexpr int block_rows = decltype(height)::value;
            T* const target = out + column * a_used + row * count * B::lanes;
            V c[block_rows][count];
            for (int r = 0; r < block_rows; ++r) {
              for (int v = 0; v < count; ++v) c[r][v] = add ? V::load(target + (r * count + v) * B::lanes) : V::all(T(0));
            }
            accumulate(c, a + first * B::tile_rows + (row - first), 1, step, b + column * B::tile_rows, rows);
            for (int r = 0; r < block_rows; ++r) {
              for (int v = 0; v < count; ++v) store(target + (r * count + v) * B::lanes, c[r][v]);
            }
            row += block_rows;
          });
        }
      }
    });
  }
}

// out [columns] (+)= the sums of the columns of a tile.
template <class T>
void column_sums(const T* a, int64_t columns, T* out, int64_t rows, bool add) {
  using V = Vec<T>;
  using B = Block<T>;
  for (int64_t column = 0; column < columns; column += B::panel) {
    with_count<B::vectors>(least(B::panel, columns - column) / B::lanes, [&](auto vectors) {
      constexpr int count = decltype(vectors)::value;
      V sum[count];
      for (int v = 0; v < count; ++v) sum[v] = add ? V::load(out + column + v * B::lanes) : V::all(T(0));
      const T* from = a + column * B::tile_rows;
      for (int64_t row = 0; row < rows; ++row) {
        for (int v = 0; v < count; ++v) sum[v] = sum[v] + V::load(from + (row * count + v) * B::lanes);
      }
      for (int v = 0; v < count; ++v) store(out + column + v * B::lanes, sum[v]);
    });
  }
}

// The two vectors' lanes, one from each in turn: their lower halves, or their upper halves.
template <bool Upper, class T>
PYBACKDOOR_HD Vec<T> interleave(Vec<T> a, Vec<T> b) {
  constexpr int n = Vec<T>::lanes, h = Upper ? n / 2 : 0;
  Vec<T> mixed;
  if constexpr (n == 2) {
    mixed.v = __builtin_shufflevector(a.v, b.v, h, h + n);
  } else if constexpr (n == 4) {
    mixed.v = __builtin_shufflevector(a.v, b.v, h, h + n, h + 1, h + n + 1);
  } else if constexpr (n == 8) {
    mixed.v = __builtin_shufflevector(a.v, b.v, h, h + n, h + 1, h + n + 1, h + 2, h + n + 2, h + 3, h + n + 3);
  } else {
    static_assert(n == 16);
    mixed.v = __builtin_shufflevector(a.v, b.v, h, h + n, h + 1, h + n + 1, h + 2, h + n + 2, h + 3, h + n + 3, h + 4, h + n + 4, h + 5, h + n + 5,
                                      h + 6, h + n + 6, h + 7, h + n + 7);
  }
  return mixed;
}

// The sum of the lanes of vector i, in lane i.
template <class T>
PYBACKDOOR_HD Vec<T> lane_sums(Vec<T> (&v)[Vec<T>::lanes]) {
  for (int half = Vec<T>::lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] = interleave<false>(v[i], v[i + half]) + interleave<true>(v[i], v[i + half]);
  }
  return v[0];
}

// A square block of lanes x lanes numbers, turned: rows `from_step` apart become columns in rows `to_step` apart.
template <class T>
PYBACKDOOR_HD void turn_block(const T* from, int64_t from_step, T* to, int64_t to_step) {
  using V = Vec<T>;
  constexpr int n = V::lanes;
  V row[n], next[n];
  for (int i = 0; i < n; ++i) row[i] = V::load(from + i * from_step);
  for (int stage = 1; stage < n; stage *= 2) {
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = interleave<false>(row[i], row[i + n / 2]);
      next[2 * i + 1] = interleave<true>(row[i], row[i + n / 2]);
    }
    for (int i = 0; i < n; ++i) row[i] = next[i];
  }
  for (int i = 0; i < n; ++i) store(to + i * to_step, row[i]);
}

PYBACKDOOR_CLOSE
