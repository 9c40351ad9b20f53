// Products of a packed matrix with a tile of seeds: the inner loops of every layer, forward and backward.
//
// A tile holds its seeds in groups of `group<T>` = 2 vectors; a matrix of activations is stored [group][row][seed of the group], so that one row of
// one group is two vectors and everything a block reads is contiguous. A block is one panel (at most `tallest` rows) of one group: its sums stay in
// registers over the whole inner dimension. Each sum is one chain of fused operations over the columns in order, whatever the panel, group or tile,
// so that results do not depend on how seeds and rows are cut.
#pragma once

#include "pybackdoor/network_view.hpp"

PYBACKDOOR_OPEN

inline constexpr int vectors = 2;  // of a group
template <class T>
inline constexpr int group = vectors * Vec<T>::lanes;
#if defined(PYBACKDOOR_ISA_AVX512)
inline constexpr int tallest = 8;  // 16 sums of 32 registers: enough to hide the latency, few enough for any width that is a multiple of 8
#else
inline constexpr int tallest = 4;  // 8 sums of 16 registers
#endif

enum class Epilogue : int { store, relu, times_saved, where_saved_positive };

// Inner dimension handled at once: a group's activations over it fill about half the first-level cache.
template <class T>
inline constexpr int inner_block = 1024 / int(sizeof(T));

template <class T, int Height, Epilogue E>
static void block(const T* __restrict weights, const T* __restrict input, std::int64_t columns, const T* start, bool broadcast_start, bool finish,
                  const T* saved, T* output) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes;
  V sums[Height][vectors];
  if (!start) {
    for (int row = 0; row < Height; ++row)
      for (int v = 0; v < vectors; ++v) sums[row][v] = V::all(T(0));
  } else if (broadcast_start) {
    for (int row = 0; row < Height; ++row)
      for (int v = 0; v < vectors; ++v) sums[row][v] = V::all(start[row]);
  } else {
    for (int row = 0; row < Height; ++row)
      for (int v = 0; v < vectors; ++v) sums[row][v] = V::load(start + (row * vectors + v) * lanes);
  }
  for (std::int64_t column = 0; column < columns; ++column) {
    V inputs[vectors];
    for (int v = 0; v < vectors; ++v) inputs[v] = V::load(input + v * lanes);
    for (int row = 0; row < Height; ++row) {
      const V weight = V::all(weights[row]);
      for (int v = 0; v < vectors; ++v) sums[row][v] = fma(weight, inputs[v], sums[row][v]);
    }
    weights += Height;
    input += group<T>;
  }
  for (int row = 0; row < Height; ++row) {
    for (int v = 0; v < vectors; ++v) {
      const int at = (row * vectors + v) * lanes;
      V sum = sums[row][v];
      if (finish) {
        if constexpr (E == Epilogue::relu) sum = max(V::all(T(0)), sum);
        if constexpr (E == Epilogue::times_saved) sum = sum * V::load(saved + at);
        if constexpr (E == Epilogue::where_saved_positive) sum = select(V::load(saved + at) > V::all(T(0)), sum, V::all(T(0)));
      }
      store(output + at, sum);
    }
  }
}

template <class T, Epilogue E>
static void block_of_height(int height, const T* weights, const T* input, std::int64_t columns, const T* start, bool broadcast_start, bool finish,
                            const T* saved, T* output) {
  switch (height) {
    case 1:
      return block<T, 1, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
    case 2:
      return block<T, 2, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
    case 3:
      return block<T, 3, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
    case 4:
      return block<T, 4, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
  }
  if constexpr (tallest > 4) {
    switch (height) {
      case 5:
        return block<T, 5, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
      case 6:
        return block<T, 6, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
      case 7:
        return block<T, 7, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
      default:
        return block<T, 8, E>(weights, input, columns, start, broadcast_start, finish, saved, output);
    }
  }
}

// output [group][rows][seeds] = epilogue(matrix x input [group][columns][seeds] (+ biases)) for `groups` groups. `saved` is laid out as `output` and
// may be the same memory. `partial` holds the sums of a wide matrix between two blocks of its inner dimension: partial_size<T> numbers.
template <class T>
inline constexpr int partial_rows = 128;
template <class T>
inline constexpr int partial_size = partial_rows<T> * group<T>;

template <class T, Epilogue E>
static void multiply(const T* matrix, bool biased, int rows, int columns, int groups, const T* input, const T* saved, T* output, T* partial) {
  const Panels panels = Panels::of(rows, tallest);
  const std::int64_t row_size = columns + (biased ? 1 : 0);
  constexpr int chunk = partial_rows<T> / tallest;  // panels whose weights stay in the second-level cache over all groups
  for (int low = 0; low < panels.count; low += chunk) {
    const int high = low + chunk < panels.count ? low + chunk : panels.count;
    for (int g = 0; g < groups; ++g) {
      const T* group_input = input + std::int64_t(g) * columns * group<T>;
      const std::int64_t group_output = std::int64_t(g) * rows * group<T>;
      for (int from = 0; from < columns; from += inner_block<T>) {
        const bool first = from == 0, last = from + inner_block<T> >= columns;
        const int width = last ? columns - from : inner_block<T>;
        for (int panel = low; panel < high; ++panel) {
          const int height = panels.height_of(panel), row = panels.first_row(panel);
          const T* weights = matrix + row * row_size;
          const std::int64_t at = group_output + std::int64_t(row) * group<T>;
          T* sums = partial + std::int64_t(row - panels.first_row(low)) * group<T>;
          const T* start = first ? (biased ? weights : nullptr) : sums;
          block_of_height<T, E>(height, weights + (biased ? height : 0) + std::int64_t(from) * height, group_input + std::int64_t(from) * group<T>,
                                width, start, first, last, saved + (saved ? at : 0), last ? output + at : sums);
        }
      }
    }
  }
}

PYBACKDOOR_CLOSE
