// The second half of a training step: Adam on a share of the parameters, and the turned copies of the weights that changed.
#pragma once

#include "cpu/train.hpp"
#include "cpu/train_products.hpp"
#include "pybackdoor/adam.hpp"

PYBACKDOOR_OPEN

// The turned copy of `rows` rows, whole vectors of them, of a panel of a middle layer's weights.
template <class T>
void turn_rows(const TrainLayout& layout, const TrainNetwork<T>& network, int64_t l, int64_t first, int64_t row, int64_t rows) {
  using B = Block<T>;
  const TrainLayer& layer = layout.layers[l];
  const int64_t step = least(B::panel, layer.columns - first), outputs = layout.layers[l + 1].input_columns;
  for (int64_t output = row; output < row + rows; output += B::lanes) {
    const int64_t panel = output / B::panel * B::panel, width = least(B::panel, outputs - panel);
    const T* const from = network.parameters + layer.weights + first * layer.rows + output * step;
    T* const to = network.turned + layer.turned + panel * layer.columns + (output - panel);
    for (int64_t i = 0; i < step; i += B::lanes) turn_block(from + i, step, to + (first + i) * width, width);
  }
}

template <class T>
void turn(const TrainLayout& layout, const TrainNetwork<T>& network) {
  for (int64_t l = 1; l + 1 < layout.count; ++l) {
    const TrainLayer& layer = layout.layers[l];
    for (int64_t first = 0; first < layer.columns; first += Block<T>::panel) turn_rows(layout, network, l, first, 0, layer.rows);
  }
}

template <class T>
void update_numbers(const TrainNetwork<T>& network, const TrainGradients<T>& gradients, const AdamStep<T>& step, int64_t start, int64_t count) {
  using V = Vec<T>;
  with_count<train_groups>(gradients.count, [&](auto groups) {
    for (int64_t at = start; at < start + count; at += V::lanes) {
      V gradient = V::load(gradients.of[0] + at);
      for (int group = 1; group < decltype(groups)::value; ++group) gradient = gradient + V::load(gradients.of[group] + at);
      V parameter = V::load(network.parameters + at), first = V::load(network.first + at), second = V::load(network.second + at);
      adam(step, gradient, parameter, first, second);
      store(network.parameters + at, parameter);
      store(network.first + at, first);
      store(network.second + at, second);
    }
  });
}

// The parameters are shared out in blocks: a vector's worth of rows of a panel, or a layer's biases.
template <class T>
void update(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainGradients<T>& gradients, const TrainStep& step, int64_t part,
            int64_t parts) {
  using B = Block<T>;
  const AdamStep<T> scalars = adam_step<T>({step.beta1, step.beta2, step.epsilon, step.weight_decay}, step.step, step.learning_rate);
  int64_t block = 0;
  for (int64_t l = 0; l < layout.count; ++l) {
    const TrainLayer& layer = layout.layers[l];
    for (int64_t first = 0; first < layer.columns; first += B::panel) {
      const int64_t width = least(B::panel, layer.columns - first);
      for (int64_t row = 0; row < layer.rows; row += B::lanes) {
        if (block++ % parts != part) continue;
        const int64_t rows = least(B::lanes, layer.rows - row);
        update_numbers(network, gradients, scalars, layer.weights + first * layer.rows + row * width, rows * width);
        if (l > 0 && l + 1 < layout.count) turn_rows(layout, network, l, first, row, rows);
      }
    }
    if (block++ % parts == part) update_numbers(network, gradients, scalars, layer.biases, (layer.outputs + B::lanes - 1) / B::lanes * B::lanes);
  }
}

PYBACKDOOR_CLOSE
