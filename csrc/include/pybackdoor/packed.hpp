// Packs a network's weights as network_view.hpp lays them out; affine maps are folded in float64, then everything is rounded once. Host code.
#pragma once

#include <cstdint>
#include <vector>

#include "pybackdoor/network_view.hpp"

namespace pybackdoor {

// A network as pybackdoor.records.Network describes it; weights [width, previous width], row-major.
struct NetworkSource {
  int dimension;
  Activation activation;
  std::vector<int> widths;                     // of the hidden layers; may be empty
  std::vector<const double*> weights, biases;  // one more than widths: the last is the output layer, [1, width]
  const double *input_shift, *input_scale, *input_rate;
  double output_shift, output_scale;
};

template <class T>
class PackedNetwork {
 public:
  PackedNetwork(const NetworkSource& source, int panel)
      : dimension_(source.dimension), panel_(panel), activation_(source.activation), widths_(source.widths) {
    const int hidden = static_cast<int>(widths_.size());
    int columns = dimension_;
    for (int layer = 0; layer < hidden; ++layer) {
      std::vector<double> weights(source.weights[layer], source.weights[layer] + std::int64_t(widths_[layer]) * columns);
      std::vector<double> biases(source.biases[layer], source.biases[layer] + widths_[layer]);
      if (layer == 0) fold_input(source, weights, biases);
      forward_.push_back(size());
      pack(weights, widths_[layer], columns, &biases);
      backward_.push_back(size());
      pack(transposed(weights, widths_[layer], columns), columns, widths_[layer], nullptr);
      columns = widths_[layer];
    }
    std::vector<double> weights(source.weights[hidden], source.weights[hidden] + columns);
    std::vector<double> bias(source.biases[hidden], source.biases[hidden] + 1);
    if (hidden == 0) fold_input(source, weights, bias);
    output_ = size();
    for (const double weight : weights) numbers_.push_back(static_cast<T>(source.output_scale * weight));
    numbers_.push_back(static_cast<T>(source.output_shift + source.output_scale * bias[0]));
    for (int feature = 0; feature < dimension_; ++feature) {
      rates_.push_back(static_cast<T>(source.input_rate[feature]));
      curved_ = curved_ || source.input_rate[feature] != 0;
    }
  }

  NetworkView<T> view() const {
    return {dimension_, static_cast<int>(widths_.size()), panel_, activation_, widths_.data(), numbers_.data(), forward_.data(), backward_.data(),
            output_,    curved_ ? rates_.data() : nullptr};
  }
  std::int64_t bytes() const { return static_cast<std::int64_t>(numbers_.size() * sizeof(T)); }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(numbers_.size()); }

  static void fold_input(const NetworkSource& source, std::vector<double>& weights, std::vector<double>& biases) {
    for (std::size_t row = 0; row < biases.size(); ++row) {
      for (int feature = 0; feature < source.dimension; ++feature) {
        double& weight = weights[row * source.dimension + feature];
        biases[row] += weight * source.input_shift[feature];
        weight *= source.input_scale[feature];
      }
    }
  }

  static std::vector<double> transposed(const std::vector<double>& matrix, int rows, int columns) {
    std::vector<double> other(matrix.size());
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < columns; ++column) other[column * rows + row] = matrix[row * columns + column];
    return other;
  }

  void pack(const std::vector<double>& matrix, int rows, int columns, const std::vector<double>* biases) {
    const Panels panels = Panels::of(rows, panel_);
    std::int64_t first = 0;
    for (int index = 0; index < panels.count; ++index) {
      const int height = panels.height_of(index);
      for (int row = 0; biases && row < height; ++row) numbers_.push_back(static_cast<T>((*biases)[first + row]));
      for (int column = 0; column < columns; ++column)
        for (int row = 0; row < height; ++row) numbers_.push_back(static_cast<T>(matrix[(first + row) * columns + column]));
      first += height;
    }
  }

  int dimension_, panel_;
  Activation activation_;
  std::vector<int> widths_;
  std::vector<T> numbers_, rates_;
  std::vector<std::int64_t> forward_, backward_;
  std::int64_t output_ = 0;
  bool curved_ = false;
};

}  // namespace pybackdoor
