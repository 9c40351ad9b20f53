// One training step of one network: gather a tile of the minibatch, forward, loss, backward, gradients summed over the tiles in order; then Adam.
// Compiled once for each instruction set. A tile's activations stay in the nearest caches from gather to gradient.
#include "cpu/train.hpp"

#include "cpu/train_products.hpp"
#include "cpu/train_update.hpp"
#include "pybackdoor/activation.hpp"
#include "pybackdoor/bijection.hpp"

PYBACKDOOR_OPEN

// Rows of the data into a tile, cut into panels; a last register block is filled up with the tile's first row.
template <class T>
void gather(const TrainLayer& first, const TrainBatch<T>& batch, int64_t start, int64_t size, int64_t rows, T* tile) {
  using B = Block<T>;
  for (int64_t column = 0; column < first.input_columns; column += B::panel) {
    const int64_t width = least(B::panel, first.input_columns - column), used = least(width, batch.dimension - column);
    T* to = tile + column * B::tile_rows;
    for (int64_t row = 0; row < rows; ++row, to += width) {
      const T* from = batch.x + batch.index[start + (row < size ? row : 0)] * batch.dimension + column;
      for (int64_t i = 0; i < used; ++i) to[i] = from[i];
      for (int64_t i = used; i < width; ++i) to[i] = T(0);
    }
  }
}

// Asks for what a tile of the minibatch will gather: rows in random order, each a miss of the nearer caches. Inlined, or GCC
// takes the call for one without effect.
template <class T>
PYBACKDOOR_HD void fetch_tile(const TrainBatch<T>& batch, int64_t start) {
  constexpr int64_t line = 64 / int64_t{sizeof(T)};
  for (int64_t i = start; i < least(start + Block<T>::tile_rows, batch.size); ++i) {
    const T* const row = batch.x + batch.index[i] * batch.dimension;
    for (int64_t column = 0; column < batch.dimension; column += line) __builtin_prefetch(row + column);
    __builtin_prefetch(row + batch.dimension - 1);
    __builtin_prefetch(batch.y + batch.index[i]);
  }
}

// Products z become values a(z), with the derivatives a'(z) beside them. For relu and leaky_relu the sign of a value tells its derivative.
template <class T>
using Activate = void (*)(T* values, T* slopes, int64_t count);

template <class T, Activation A>
void activate_block(T* values, T* slopes, int64_t count) {
  using V = Vec<T>;
  for (int64_t at = 0; at < count; at += V::lanes) {
    V slope;
    store(values + at, activate<A>(V::load(values + at), slope));
    if constexpr (A != Activation::relu && A != Activation::leaky_relu) store(slopes + at, slope);
  }
}

template <class T>
Activate<T> activation_of(const TrainLayout& layout) {
  Activate<T> found = nullptr;
  dispatch_activation(static_cast<Activation>(layout.activation), [&](auto tag) { found = &activate_block<T, decltype(tag)::value>; });
  return found;
}

// Derivatives of a layer's inputs by the products they came from.
template <class T>
struct Slopes {
  const T *values, *slopes;
  bool by_sign;
  T below;

  Slopes(const TrainLayout& layout, const TrainLayer& layer, const T* scratch)
      : values(scratch + layer.values),
        slopes(scratch + layer.slopes),
        by_sign(layout.activation == static_cast<int>(Activation::relu) || layout.activation == static_cast<int>(Activation::leaky_relu)),
        below(layout.activation == static_cast<int>(Activation::leaky_relu) ? T(0.01) : T(0)) {}
  PYBACKDOOR_HD Vec<T> at(int64_t place) const {
    using V = Vec<T>;
    if (by_sign) return select(V::load(values + place) > V::all(T(0)), V::all(T(1)), V::all(below));
    return V::load(slopes + place);
  }
};

// What a layer's products begin and end with: biases and the activation.
template <class T>
struct Forward {
  const T* biases;
  T *values, *slopes;
  Activate<T> activate;

  PYBACKDOOR_HD Vec<T> start(int64_t column) const { return Vec<T>::load(biases + column); }
  PYBACKDOOR_HD void put(int64_t at, Vec<T> sums) const { store(values + at, sums); }
  PYBACKDOOR_HD void done(int64_t at, int64_t count) const { activate(values + at, slopes + at, count); }
};

template <class T>
struct Backward {
  Slopes<T> slopes;
  T* errors;

  PYBACKDOOR_HD Vec<T> start(int64_t) const { return Vec<T>::all(T(0)); }
  PYBACKDOOR_HD void put(int64_t at, Vec<T> sums) const { store(errors + at, sums * slopes.at(at)); }
  PYBACKDOOR_HD void done(int64_t, int64_t) const {}
};

// Outputs of the network at `size` rows of the batch from `start` on, filled up to `rows`, into the deltas of the scratch memory.
template <class T>
void forward_tile(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch, int64_t start, int64_t size, int64_t rows) {
  using V = Vec<T>;
  using B = Block<T>;
  gather(layout.layers[0], batch, start, size, rows, network.scratch + layout.layers[0].values);
  const Activate<T> activate = activation_of<T>(layout);
  for (int64_t l = 0; l + 1 < layout.count; ++l) {
    const TrainLayer &layer = layout.layers[l], &next = layout.layers[l + 1];
    const T* weights = l ? network.turned + layer.turned : network.parameters + layer.weights;
    tile_product(network.scratch + layer.values, layer.inputs, layer.input_columns, weights, l ? layer.columns : layer.rows, next.input_columns, rows,
                 Forward<T>{network.parameters + layer.biases, network.scratch + next.values, network.scratch + next.slopes, activate});
  }
  const TrainLayer& last = layout.layers[layout.count - 1];
  const T *weights = network.parameters + last.weights, *values = network.scratch + last.values;
  const V bias = V::all(network.parameters[last.biases]);
  for (int64_t row = 0; row < rows; row += B::lanes) {
    V sums[B::lanes];
    for (int r = 0; r < B::lanes; ++r) {
      const int64_t from = least(row + r, rows - 1);
      sums[r] = V::all(T(0));
      for (int64_t column = 0; column < last.input_columns; column += B::panel) {
        const int64_t width = least(B::panel, last.input_columns - column);
        const T* const line = values + column * B::tile_rows + from * width;
        for (int64_t i = 0; i < width; i += B::lanes) sums[r] = fma(V::load(line + i), V::load(weights + column + i), sums[r]);
      }
    }
    store(network.scratch + layout.deltas + row, lane_sums(sums) + bias);
  }
}

// deltas [rows]: predictions become derivatives of the mean loss by them, 0 in rows that only fill up. Returns the sum of the weighted losses.
template <class T>
double losses(const TrainBatch<T>& batch, int64_t start, int64_t size, int64_t rows, T* deltas) {
  const T limit = static_cast<T>(batch.loss.delta), share = static_cast<T>(1.0 / static_cast<double>(batch.batch_size));
  double total = 0;
  for (int64_t row = 0; row < size; ++row) {
    const int64_t at = batch.index[start + row];
    const T error = deltas[row] - batch.y[at], weight = batch.weights ? batch.weights[at] : T(1);
    T loss = error * error, slope = 2 * error;
    if (batch.loss.huber) {
      const T size_of = error < 0 ? -error : error;
      const bool inside = !(size_of > limit);  // a NaN stays one
      slope = inside ? error : error < 0 ? -limit : limit;
      loss = inside ? loss / 2 : limit * (size_of - limit / 2);
    }
    total += static_cast<double>(weight * loss);
    deltas[row] = weight * slope * share;
  }
  for (int64_t row = size; row < rows; ++row) deltas[row] = T(0);
  return total;
}

// Gradient of the last layer, and the derivatives by the products of the layer before it (when there is one).
template <class T>
void output_gradient(const TrainLayout& layout, const TrainNetwork<T>& network, const T* deltas, int64_t rows, T* errors, bool add) {
  using V = Vec<T>;
  using B = Block<T>;
  const TrainLayer& last = layout.layers[layout.count - 1];
  const Slopes<T> slopes(layout, last, network.scratch);
  for (int64_t column = 0; column < last.input_columns; column += B::panel) {
    const int64_t width = least(B::panel, last.input_columns - column);
    for (int64_t i = column; i < column + width; i += B::lanes) {
      T* const target = network.gradient + last.weights + i;
      V sum = add ? V::load(target) : V::all(T(0));
      const V weight = V::load(network.parameters + last.weights + i);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = column * B::tile_rows + row * width + (i - column);
        const V delta = V::all(deltas[row]);
        sum = fma(delta, V::load(network.scratch + last.values + at), sum);
        if (errors) store(errors + at, delta * weight * slopes.at(at));
      }
      store(target, sum);
    }
  }
  T total = add ? network.gradient[last.biases] : T(0);
  for (int64_t row = 0; row < rows; ++row) total += deltas[row];
  network.gradient[last.biases] = total;
}

template <class T>
void backward_tile(const TrainLayout& layout, const TrainNetwork<T>& network, int64_t rows, bool add) {
  const int64_t top = layout.count - 1;
  output_gradient(layout, network, network.scratch + layout.deltas, rows, top ? network.scratch + layout.errors[(top - 1) % 2] : nullptr, add);
  for (int64_t l = top - 1; l >= 0; --l) {
    const TrainLayer& layer = layout.layers[l];
    const T *errors = network.scratch + layout.errors[l % 2], *values = network.scratch + layer.values;
    const int64_t columns = layout.layers[l + 1].input_columns;
    T* const gradient = network.gradient + layer.weights;
    column_sums(errors, columns, network.gradient + layer.biases, rows, add);
    if (l == 0) {
      gradient_product(values, layer.rows, layer.input_columns, errors, columns, gradient, rows, add);
    } else {
      gradient_product(errors, layer.rows, columns, values, layer.input_columns, gradient, rows, add);
      tile_product(errors, layer.outputs, columns, network.parameters + layer.weights, layer.rows, layer.input_columns, rows,
                   Backward<T>{{layout, layer, network.scratch}, network.scratch + layout.errors[(l - 1) % 2]});
    }
  }
}

// Activations of padding need not be zero (sigmoid, softplus): what they add to the gradient is removed, so that padded weights stay zero.
template <class T>
void clear_padding(const TrainLayout& layout, T* gradient) {
  using B = Block<T>;
  for (int64_t l = 1; l < layout.count; ++l) {
    const TrainLayer& layer = layout.layers[l];
    const int64_t first = (layer.columns - 1) / B::panel * B::panel, width = layer.columns - first;
    for (int64_t row = 0; row < layer.rows; ++row) {
      T* const from = gradient + layer.weights + first * layer.rows + row * width;
      for (int64_t i = layer.inputs - first; i < width; ++i) from[i] = T(0);
    }
  }
}

template <class T>
double gradient(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch) {
  using B = Block<T>;
  T* const deltas = network.scratch + layout.deltas;
  double total = 0;
  fetch_tile(batch, 0);
  for (int64_t start = 0; start < batch.size; start += B::tile_rows) {
    const int64_t size = least(B::tile_rows, batch.size - start), rows = (size + B::rows - 1) / B::rows * B::rows;
    fetch_tile(batch, start + B::tile_rows);
    forward_tile(layout, network, batch, start, size, rows);
    total += losses(batch, start, size, rows, deltas);
    backward_tile(layout, network, rows, start > 0);
  }
  clear_padding(layout, network.gradient);
  return total;
}

template <class T>
void outputs(const TrainLayout& layout, const TrainNetwork<T>& network, const TrainBatch<T>& batch, T* out) {
  using B = Block<T>;
  for (int64_t start = 0; start < batch.size; start += B::tile_rows) {
    const int64_t size = least(B::tile_rows, batch.size - start), rows = (size + B::rows - 1) / B::rows * B::rows;
    forward_tile(layout, network, batch, start, size, rows);
    for (int64_t row = 0; row < size; ++row) out[start + row] = network.scratch[layout.deltas + row];
  }
}

// A batch of entries goes through the Feistel network together; those whose image lies outside are kept for another pass.
void minibatch(int64_t rows, const TrainStream& from, int64_t first, int64_t count, int64_t* out) {
  constexpr int64_t block = 256;
  uint32_t upper[block], lower[block];
  int32_t place[block];
  while (count > 0) {
    const int64_t draw = first / rows, offset = first - draw * rows, size = least(least(block, count), rows - offset);
    const Bijection bijection = make_bijection(static_cast<uint64_t>(rows), {from.seed, from.purpose, from.stream}, static_cast<uint64_t>(draw));
    for (int64_t i = 0; i < size; ++i) {
      upper[i] = static_cast<uint32_t>((offset + i) >> bijection.lower_bits);
      lower[i] = static_cast<uint32_t>(offset + i) & bijection.lower_mask;
      place[i] = static_cast<int32_t>(i);
    }
    for (int64_t left = size; left > 0;) {
      for (int64_t i = 0; i < left; ++i) bijection.pass(upper[i], lower[i]);
      int64_t kept = 0;
      for (int64_t i = 0; i < left; ++i) {
        const int64_t image = static_cast<int64_t>((uint64_t{upper[i]} << bijection.lower_bits) | lower[i]);
        out[place[i]] = image;
        upper[kept] = upper[i];
        lower[kept] = lower[i];
        place[kept] = place[i];
        kept += image >= rows;
      }
      left = kept;
    }
    first += size;
    count -= size;
    out += size;
  }
}

template <class T>
constexpr TrainFunctions<T> functions() {
  using B = Block<T>;
  return {{B::lanes, B::panel, B::gradient_rows, B::tile_rows}, &turn<T>, &gradient<T>, &update<T>, &outputs<T>};
}

extern const TrainKernels train_kernels;
const TrainKernels train_kernels = {functions<float>(), functions<double>(), &minibatch};

PYBACKDOOR_CLOSE
