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

// What a run of equal panels works on. Row r of a panel starts `input`-independent sums; sums left from an earlier block of columns are added at the
// end.
template <class T>
struct PanelRun {
  const T* weights;           // of the first panel at the first column of this block
  std::int64_t next_weights;  // from one panel to the next
  const T* biases;            // of the first panel; with it, sums start there, else at 0
  const T* input;
  std::int64_t columns;
  int panels;
  const T* earlier;  // sums of earlier columns, or null
  bool finish;       // apply the epilogue; otherwise the sums go on in a later block
  const T* saved;
  T* output;
};

template <class T, int Height, Epilogue E, bool Biased>
static void run_panels(PanelRun<T> run) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes;
  for (int panel = 0; panel < run.panels; ++panel) {
    const T* __restrict weights = run.weights;
    const T* __restrict input = run.input;
    V sums[Height][vectors];
    for (int row = 0; row < Height; ++row)
      for (int v = 0; v < vectors; ++v) sums[row][v] = V::all(Biased ? run.biases[row] : T(0));
#pragma GCC unroll 8  // few iterations: the predictor then foresees the end of the loop
    for (std::int64_t column = 0; column < run.columns; ++column) {
      V inputs[vectors];
      for (int v = 0; v < vectors; ++v) inputs[v] = V::load(input + v * lanes);
      for (int row = 0; row < Height; ++row) {
        const V weight = V::all(weights[row]);
        for (int v = 0; v < vectors; ++v) sums[row][v] = fma(weight, inputs[v], sums[row][v]);
      }
      weights += Height;
      input += group<T>;
    }
    if (run.earlier) {
      for (int row = 0; row < Height; ++row)
        for (int v = 0; v < vectors; ++v) sums[row][v] = sums[row][v] + V::load(run.earlier + (row * vectors + v) * lanes);
      run.earlier += Height * group<T>;
    }
    for (int row = 0; row < Height; ++row) {
      for (int v = 0; v < vectors; ++v) {
        const int at = (row * vectors + v) * lanes;
        V sum = sums[row][v];
        if (run.finish) {
          if constexpr (E == Epilogue::relu) sum = max(V::all(T(0)), sum);
          if constexpr (E == Epilogue::times_saved) sum = sum * V::load(run.saved + at);
          if constexpr (E == Epilogue::where_saved_positive) sum = select(V::load(run.saved + at) > V::all(T(0)), sum, V::all(T(0)));
        }
        store(run.output + at, sum);
      }
    }
    run.weights += run.next_weights;
    if constexpr (Biased) run.biases += run.next_weights;
    run.saved += E == Epilogue::times_saved || E == Epilogue::where_saved_positive ? Height * group<T> : 0;
    run.output += Height * group<T>;
  }
}

template <class T, Epilogue E, bool Biased>
static void run_height(int height, const PanelRun<T>& run) {
  switch (height) {
    case 1:
      return run_panels<T, 1, E, Biased>(run);
    case 2:
      return run_panels<T, 2, E, Biased>(run);
    case 3:
      return run_panels<T, 3, E, Biased>(run);
    case 4:
      return run_panels<T, 4, E, Biased>(run);
  }
  if constexpr (tallest > 4) {
    switch (height) {
      case 5:
        return run_panels<T, 5, E, Biased>(run);
      case 6:
        return run_panels<T, 6, E, Biased>(run);
      case 7:
        return run_panels<T, 7, E, Biased>(run);
      default:
        return run_panels<T, 8, E, Biased>(run);
    }
  }
}

// Sums of a wide matrix between two blocks of its columns.
template <class T>
inline constexpr int partial_rows = 128;
template <class T>
inline constexpr int partial_size = partial_rows<T> * group<T>;

// output [group][rows][seeds] = epilogue(matrix x input [group][columns][seeds] (+ biases)) for `groups` groups. `saved` is laid out as `output` and
// may be the same memory; `partial` has partial_size<T> numbers.
template <class T, Epilogue E, bool Biased>
static void multiply(const T* matrix, int rows, int columns, int groups, const T* input, const T* saved, T* output, T* partial) {
  const Panels panels = Panels::of(rows, tallest);
  constexpr int chunk = partial_rows<T> / tallest;  // panels whose weights stay in the second-level cache over all groups
  for (int low = 0; low < panels.count; low += chunk) {
    const int high = low + chunk < panels.count ? low + chunk : panels.count;
    const int change = panels.tall < low ? low : panels.tall < high ? panels.tall : high;  // from here on, panels are one row lower
    for (int g = 0; g < groups; ++g) {
      for (int from = 0; from < columns; from += inner_block<T>) {
        const bool last = from + inner_block<T> >= columns;
        for (int first = low, end = change; first < high; first = end, end = high) {
          if (first == end) continue;
          const int height = panels.height_of(first), row = panels.first_row(first);
          const T* begin = matrix + std::int64_t(row) * (columns + Biased);
          T* sums = partial + std::int64_t(row - panels.first_row(low)) * group<T>;
          const std::int64_t at = (std::int64_t(g) * rows + row) * group<T>;
          PanelRun<T> run;
          run.weights = begin + (Biased ? height : 0) + std::int64_t(from) * height;
          run.next_weights = std::int64_t(height) * (columns + Biased);
          run.biases = begin;
          run.input = input + (std::int64_t(g) * columns + from) * group<T>;
          run.columns = last ? columns - from : inner_block<T>;
          run.panels = end - first;
          run.earlier = from ? sums : nullptr;
          run.finish = last;
          run.saved = saved ? saved + at : nullptr;
          run.output = last ? output + at : sums;
          if (Biased && from == 0)
            run_height<T, E, true>(height, run);
          else
            run_height<T, E, false>(height, run);
        }
      }
    }
  }
}

PYBACKDOOR_CLOSE
