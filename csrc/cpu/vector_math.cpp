#include "cpu/vector_math.hpp"

#include "pybackdoor/activation.hpp"

PYBACKDOOR_OPEN

// body(load, store) for each vector; the last one is filled up with zeros.
template <class T, class Body>
static void for_each_vector(std::int64_t count, const T* x, Body body) {
  constexpr int lanes = Vec<T>::lanes;
  std::int64_t start = 0;
  for (; start + lanes <= count; start += lanes) body(Vec<T>::load(x + start), start, lanes);
  if (start < count) {
    T padded[lanes] = {};
    for (std::int64_t i = start; i < count; ++i) padded[i - start] = x[i];
    body(Vec<T>::load(padded), start, static_cast<int>(count - start));
  }
}

template <class T>
static void put(T* y, Vec<T> value, int lanes) {
  T all[Vec<T>::lanes];
  store(all, value);
  for (int lane = 0; lane < lanes; ++lane) y[lane] = all[lane];
}

template <class T>
static void function(Function name, std::int64_t count, const T* x, T* y) {
  for_each_vector(count, x, [&](Vec<T> v, std::int64_t start, int lanes) {
    switch (name) {
      case Function::exp:
        return put(y + start, exp(v), lanes);
      case Function::tanh:
        return put(y + start, tanh(v), lanes);
      case Function::sigmoid:
        return put(y + start, sigmoid(v), lanes);
      case Function::erf:
        return put(y + start, erf(v), lanes);
      default:
        return put(y + start, log1p(v), lanes);
    }
  });
}

template <class T>
static void activation(int name, std::int64_t count, const T* z, T* value, T* derivative) {
  dispatch_activation(static_cast<Activation>(name), [&](auto tag) {
    for_each_vector(count, z, [&](Vec<T> v, std::int64_t start, int lanes) {
      Vec<T> slope;
      put(value + start, activate<decltype(tag)::value>(v, slope), lanes);
      put(derivative + start, slope, lanes);
    });
  });
}

extern const VectorMathKernels vector_math_table;
const VectorMathKernels vector_math_table = {&function<float>, &function<double>, &activation<float>, &activation<double>};

PYBACKDOOR_CLOSE
