// Planning how a network of given widths is stored (see train.hpp), and conversion from and to the user's arrays. Host code only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "cpu/train.hpp"

namespace pybackdoor {

inline std::int64_t padded(std::int64_t count, std::int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

struct TrainStorage {
  std::vector<TrainLayer> layers;
  TrainLayout layout;
  TrainGeometry geometry;
};

inline TrainStorage plan_storage(const std::vector<std::int64_t>& widths, int activation, const TrainGeometry& geometry) {
  TrainStorage plan;
  plan.geometry = geometry;
  TrainLayout& layout = plan.layout;
  layout = {};
  layout.activation = activation;
  layout.count = static_cast<std::int64_t>(widths.size()) - 1;
  std::int64_t widest = 0, scratch = 0;
  for (std::int64_t l = 0; l < layout.count; ++l) {
    TrainLayer layer{};
    layer.inputs = widths[static_cast<std::size_t>(l)];
    layer.outputs = widths[static_cast<std::size_t>(l) + 1];
    layer.input_columns = padded(layer.inputs, geometry.lanes);
    const bool last = l + 1 == layout.count, by_input = l == 0 && !last;
    layer.rows = last ? 1 : by_input ? padded(layer.inputs, geometry.row_block) : padded(layer.outputs, geometry.lanes);
    layer.columns = by_input ? padded(layer.outputs, geometry.lanes) : layer.input_columns;
    layer.weights = layout.parameters;
    layer.biases = layer.weights + layer.rows * layer.columns;
    layout.parameters = layer.biases + padded(layer.outputs, geometry.lanes);
    layer.turned = layout.turned;
    if (l > 0 && !last) layout.turned += layer.rows * layer.columns;
    layer.values = scratch;
    layer.slopes = layer.values + layer.input_columns * geometry.tile_rows;
    scratch = layer.slopes + (l ? layer.input_columns * geometry.tile_rows : 0);
    if (l) widest = std::max(widest, layer.input_columns);
    plan.layers.push_back(layer);
  }
  layout.errors[0] = scratch;
  layout.errors[1] = scratch + widest * geometry.tile_rows;
  layout.deltas = layout.errors[1] + widest * geometry.tile_rows;
  layout.scratch = layout.deltas + padded(geometry.tile_rows, geometry.lanes);
  layout.layers = plan.layers.data();  // stays valid when the plan is moved, not when it is copied
  return plan;
}

struct FreeNumbers {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{64}); }
};

template <class T>
using Numbers = std::unique_ptr<T[], FreeNumbers>;

template <class T>
Numbers<T> zeros(std::int64_t count) {
  T* const memory = static_cast<T*>(::operator new(static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * sizeof(T), std::align_val_t{64}));
  std::fill_n(memory, count, T(0));
  return Numbers<T>(memory);
}

// Network `number` between a set of parameters as the kernels store it and the user's arrays: weights [M, outputs, inputs] of each layer, then
// biases.
template <class T>
void convert(const TrainStorage& plan, T* stored, const std::vector<T*>& arrays, std::int64_t number, bool in) {
  const auto move = [in](T& inside, T& outside) { (in ? inside : outside) = in ? outside : inside; };
  for (std::int64_t l = 0; l < plan.layout.count; ++l) {
    const TrainLayer& layer = plan.layers[static_cast<std::size_t>(l)];
    const bool by_input = l == 0 && l + 1 < plan.layout.count;
    T* const weights = arrays[static_cast<std::size_t>(l)] + number * layer.outputs * layer.inputs;
    T* const biases = arrays[static_cast<std::size_t>(plan.layout.count + l)] + number * layer.outputs;
    for (std::int64_t output = 0; output < layer.outputs; ++output) move(stored[layer.biases + output], biases[output]);
    const std::int64_t rows = by_input ? layer.inputs : layer.outputs, columns = by_input ? layer.outputs : layer.inputs;
    for (std::int64_t first = 0; first < columns; first += plan.geometry.panel) {
      const std::int64_t width = std::min(plan.geometry.panel, layer.columns - first), used = std::min(width, columns - first);
      for (std::int64_t row = 0; row < rows; ++row) {
        T* const line = stored + layer.weights + first * layer.rows + row * width;
        T* const outside = weights + (by_input ? first * rows + row : row * columns + first);
        for (std::int64_t i = 0; i < used; ++i) move(line[i], outside[by_input ? i * rows : i]);
      }
    }
  }
}

}  // namespace pybackdoor
