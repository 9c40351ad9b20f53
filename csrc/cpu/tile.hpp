// A network's values and input gradients at a tile of seeds, from first layer to last without leaving the tile's memory.
//
// What backward needs is saved where it will be overwritten by backward's own result: for ReLU the activations themselves, whose sign is the
// derivative; for the others the derivatives, with the activations in two buffers taken in turn.
#pragma once

#include "cpu/matrix.hpp"

PYBACKDOOR_OPEN

template <class T>
struct TileMemory {
  T* saved;  // [hidden layer][group][row][seed]
  T* turns[2];
  T* mapped;  // [group][feature][seed] the first layer's input
  T* partial;
};

struct NetworkSize {
  std::int64_t total, widest;  // rows of all hidden layers, and of the widest

  template <class T>
  PYBACKDOOR_HD static NetworkSize of(const NetworkView<T>& network) {
    NetworkSize size{0, 0};
    for (int layer = 0; layer < network.hidden; ++layer) {
      size.total += network.widths[layer];
      if (network.widths[layer] > size.widest) size.widest = network.widths[layer];
    }
    return size;
  }
};

// Numbers a seed takes in TileMemory, apart from `partial`.
template <class T>
static std::int64_t tile_numbers(const NetworkView<T>& network) {
  const NetworkSize size = NetworkSize::of(network);
  return size.total + (network.activation == Activation::relu ? 0 : 2 * size.widest) + (network.rates ? network.dimension : 0);
}

template <class T>
static TileMemory<T> lay_out(const NetworkView<T>& network, int groups, T* memory) {
  const NetworkSize size = NetworkSize::of(network);
  const std::int64_t seeds = std::int64_t(groups) * group<T>, turn = network.activation == Activation::relu ? 0 : size.widest * seeds;
  TileMemory<T> tile;
  tile.partial = memory;
  tile.saved = tile.partial + partial_size<T>;
  tile.turns[0] = tile.saved + size.total * seeds;
  tile.turns[1] = tile.turns[0] + turn;
  tile.mapped = tile.turns[1] + turn;
  return tile;
}

// The chains of dependent operations are long: four vectors side by side keep the units busy.
template <Activation A, int Together, class T>
PYBACKDOOR_HD void activate_vectors(T* values, T* derivatives) {
  Vec<T> value[Together], derivative[Together];
  for (int i = 0; i < Together; ++i) value[i] = Vec<T>::load(values + i * Vec<T>::lanes);
  for (int i = 0; i < Together; ++i) value[i] = activate<A>(value[i], derivative[i]);
  for (int i = 0; i < Together; ++i) store(values + i * Vec<T>::lanes, value[i]), store(derivatives + i * Vec<T>::lanes, derivative[i]);
}

template <class T>
static void activate_all(Activation activation, std::int64_t count, T* values, T* derivatives) {
  constexpr std::int64_t lanes = Vec<T>::lanes;
  dispatch_activation(activation, [=](auto tag) {
    std::int64_t at = 0;
    for (; at + 4 * lanes <= count; at += 4 * lanes) activate_vectors<decltype(tag)::value, 4>(values + at, derivatives + at);
    for (; at < count; at += lanes) activate_vectors<decltype(tag)::value, 1>(values + at, derivatives + at);
  });
}

// The first layer's input: the points, or exp(rate u) in the features that have a rate.
template <class T>
static const T* map_input(const NetworkView<T>& network, int groups, const T* points, T* mapped) {
  if (!network.rates) return points;
  for (int g = 0; g < groups; ++g) {
    for (int feature = 0; feature < network.dimension; ++feature) {
      const std::int64_t at = (std::int64_t(g) * network.dimension + feature) * group<T>;
      const Vec<T> rate = Vec<T>::all(network.rates[feature]);
      for (int lane = 0; lane < group<T>; lane += Vec<T>::lanes) {
        const Vec<T> u = Vec<T>::load(points + at + lane);
        store(mapped + at + lane, network.rates[feature] != 0 ? exp(rate * u) : u);
      }
    }
  }
  return mapped;
}

// values = weights . activations + bias, in four chains over the rows; with `saved`, that becomes d(value)/dz of its layer.
template <class T, bool Rectified>
static void output_layer(const T* weights, int rows, int groups, const T* activations, T* saved, T* values) {
  using V = Vec<T>;
  for (int g = 0; g < groups; ++g) {
    V sums[4][vectors];
    for (int chain = 0; chain < 4; ++chain)
      for (int v = 0; v < vectors; ++v) sums[chain][v] = V::all(T(0));
    const auto take = [&](int row, int chain) {
      const V weight = V::all(weights[row]);
      for (int v = 0; v < vectors; ++v) {
        const V activation = V::load(activations + v * V::lanes);
        sums[chain][v] = fma(weight, activation, sums[chain][v]);
        if (saved)
          store(saved + v * V::lanes, Rectified ? select(activation > V::all(T(0)), weight, V::all(T(0))) : weight * V::load(saved + v * V::lanes));
      }
      activations += group<T>;
      saved += saved ? group<T> : 0;
    };
    int row = 0;
    for (; row + 4 <= rows; row += 4)
      for (int chain = 0; chain < 4; ++chain) take(row + chain, chain);
    if (row < rows) take(row, 0);
    if (row + 1 < rows) take(row + 1, 1);
    if (row + 2 < rows) take(row + 2, 2);
    for (int v = 0; v < vectors; ++v)
      store(values + g * group<T> + v * V::lanes, ((sums[0][v] + sums[1][v]) + (sums[2][v] + sums[3][v])) + V::all(weights[rows]));
  }
}

template <class T>
static void unmap_gradient(const NetworkView<T>& network, int groups, const T* mapped, T* gradient) {
  if (!network.rates) return;
  for (int g = 0; g < groups; ++g) {
    for (int feature = 0; feature < network.dimension; ++feature) {
      if (network.rates[feature] == 0) continue;
      const std::int64_t at = (std::int64_t(g) * network.dimension + feature) * group<T>;
      for (int lane = 0; lane < group<T>; lane += Vec<T>::lanes)
        store(gradient + at + lane, Vec<T>::load(gradient + at + lane) * (Vec<T>::all(network.rates[feature]) * Vec<T>::load(mapped + at + lane)));
    }
  }
}

// values [group][seed] and, unless null, gradient [group][feature][seed] at points [group][feature][seed].
template <class T>
static void evaluate_tile(const NetworkView<T>& network, int groups, const T* points, const TileMemory<T>& tile, T* values, T* gradient) {
  const std::int64_t seeds = std::int64_t(groups) * group<T>;
  const bool rectified = network.activation == Activation::relu;
  const T* input = map_input(network, groups, points, tile.mapped);
  T* saved = tile.saved;
  int columns = network.dimension;
  for (int layer = 0; layer < network.hidden; ++layer) {
    const int rows = network.widths[layer];
    const T* matrix = network.numbers + network.forward[layer];
    if (layer > 0) saved += std::int64_t(columns) * seeds;
    if (rectified) {
      multiply<T, Epilogue::relu, true>(matrix, rows, columns, groups, input, nullptr, saved, tile.partial);
      input = saved;
    } else {
      T* turn = tile.turns[layer % 2];
      multiply<T, Epilogue::store, true>(matrix, rows, columns, groups, input, nullptr, turn, tile.partial);
      activate_all(network.activation, rows * seeds, turn, saved);
      input = turn;
    }
    columns = rows;
  }
  if (network.hidden == 0) {
    output_layer<T, false>(network.numbers + network.output, columns, groups, input, nullptr, values);
    for (int g = 0; gradient && g < groups; ++g)
      for (int feature = 0; feature < columns; ++feature)
        for (int lane = 0; lane < group<T>; ++lane) gradient[(g * columns + feature) * group<T> + lane] = network.numbers[network.output + feature];
    if (gradient) unmap_gradient(network, groups, tile.mapped, gradient);
    return;
  }
  const T* weights = network.numbers + network.output;
  if (rectified)
    output_layer<T, true>(weights, columns, groups, input, gradient ? saved : nullptr, values);
  else
    output_layer<T, false>(weights, columns, groups, input, gradient ? saved : nullptr, values);
  if (!gradient) return;
  for (int layer = network.hidden - 1; layer > 0; --layer) {
    const int rows = network.widths[layer - 1];
    const T* matrix = network.numbers + network.backward[layer];
    T* before = saved - std::int64_t(rows) * seeds;
    if (rectified)
      multiply<T, Epilogue::where_saved_positive, false>(matrix, rows, columns, groups, saved, before, before, tile.partial);
    else
      multiply<T, Epilogue::times_saved, false>(matrix, rows, columns, groups, saved, before, before, tile.partial);
    saved = before;
    columns = rows;
  }
  multiply<T, Epilogue::store, false>(network.numbers + network.backward[0], network.dimension, columns, groups, saved, nullptr, gradient,
                                      tile.partial);
  unmap_gradient(network, groups, tile.mapped, gradient);
}

PYBACKDOOR_CLOSE
