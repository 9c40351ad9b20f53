// The activations as written once for every instruction set and for CUDA: values against the C library in long double, derivatives against
// differences.
#include <cmath>
#include <cstdio>

#include "check.hpp"
#include "pybackdoor/activation.hpp"

using namespace pybackdoor;

namespace {

long double exact(Activation activation, long double z) {
  const long double gate = 1 / (1 + std::exp(-z));
  switch (activation) {
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::leaky_relu:
      return z > 0 ? z : 0.01L * z;
    case Activation::tanh:
      return std::tanh(z);
    case Activation::silu:
      return z * gate;
    case Activation::gelu:
      return z * std::erfc(-z * std::sqrt(0.5L)) / 2;
    case Activation::gelu_tanh:
      return z / (1 + std::exp(-std::sqrt(8 / 3.14159265358979323846L) * (z + 0.044715L * z * z * z)));
    case Activation::softplus:
      return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z));
    case Activation::sigmoid:
      return gate;
    default:
      return z > 0 ? z : std::expm1(z);
  }
}

template <class T>
void compare(Activation activation, double tolerance) {
  dispatch_activation(activation, [&](auto tag) {
    for (double z = -20.03; z < 20; z += 0.0377) {
      Vec<T> derivative;
      const Vec<T> value = activate<decltype(tag)::value>(Vec<T>::all(T(z)), derivative);
      const long double at = T(z), width = 1e-5L;
      const long double difference = (exact(activation, at + width) - exact(activation, at - width)) / (2 * width);
      const long double truth = exact(activation, at);
      CHECK(std::abs(value.v - truth) <= tolerance * std::abs(truth) * (1 + at * at * std::abs(at)) + 1e-30L);
      CHECK(std::abs(derivative.v - difference) <= tolerance * 10 + 1e-9L);
    }
  });
}

void kinks_take_the_left_derivative() {
  Vec<double> derivative;
  activate<Activation::relu>(Vec<double>::all(0.0), derivative);
  CHECK(derivative.v == 0);
  activate<Activation::leaky_relu>(Vec<double>::all(0.0), derivative);
  CHECK(derivative.v == 0.01);
}

void nothing_hides_a_nan() {
  for (int index = 0; index < activation_count; ++index) {
    dispatch_activation(static_cast<Activation>(index), [](auto tag) {
      Vec<float> derivative;
      CHECK(std::isnan(activate<decltype(tag)::value>(Vec<float>::all(std::nanf("")), derivative).v));
    });
  }
}

}  // namespace

int main() {
  for (int index = 0; index < activation_count; ++index) {
    compare<float>(static_cast<Activation>(index), 4e-7);
    compare<double>(static_cast<Activation>(index), 1e-15);
  }
  kinks_take_the_left_derivative();
  nothing_hides_a_nan();
  return failed();
}
