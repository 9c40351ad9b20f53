// The nine activations with their derivatives: one formula for every instruction set and for CUDA.
//
//   activate<A>(z, derivative)   the value a(z); `derivative` becomes a'(z). Relative accuracy is kept in the far tails; at a kink the left
//   derivative. dispatch_activation(a, f)    calls f(ActivationTag<A>{}): the activation as a compile-time constant, `decltype(tag)::value`
#pragma once

#include "pybackdoor/vector_math.hpp"

namespace pybackdoor {

// In the order of pybackdoor.records.ACTIVATIONS.
enum class Activation : int { relu, leaky_relu, tanh, silu, gelu, gelu_tanh, softplus, sigmoid, elu };
inline constexpr int activation_count = 9;

}  // namespace pybackdoor

PYBACKDOOR_OPEN

template <Activation A>
struct ActivationTag {
  static constexpr Activation value = A;
};

// The sigmoid of x with its complement; both keep their relative accuracy.
template <class T>
struct Gate {
  Vec<T> open, shut;
};

template <class T>
PYBACKDOOR_HD Gate<T> gate(Vec<T> x) {
  using V = Vec<T>;
  const V small = exp_minus_abs(x), q = reciprocal(V::all(T(1)) + small), low = small * q;
  const auto negative = x < V::all(T(0));
  return {select(negative, low, q), select(negative, q, low)};
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_tanh(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const auto e = split_exponential(V::all(T(-2)) * abs(z));
  const V small = whole(e), q = reciprocal(V::all(T(1)) + small);
  derivative = V::all(T(4)) * small * (q * q);
  return copysign(less_one(e) * q, z);
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_silu(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const auto g = gate(z);
  const V value = max(V::all(T(-1e4)), z) * g.open;  // the bound makes -inf give 0
  derivative = fma(value, g.shut, g.open);
  return value;
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_gelu(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const V bounded = min(V::all(T(40)), max(V::all(T(-40)), z));  // beyond, the tails are exactly 0
  const V density = exp_minus_half_square(bounded), tail = density * normal_tail_ratio(abs(bounded));
  const V below = select(bounded < V::all(T(0)), tail, V::all(T(1)) - tail);
  derivative = fma(bounded, density * V::all(T(0.3989422804014327)), below);
  return max(V::all(T(-40)), z) * below;
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_gelu_tanh(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  constexpr double rate = 1.5957691216057308, cubic = rate * 0.044715;  // sqrt(8 / pi)
  const V bounded = min(V::all(T(40)), max(V::all(T(-40)), z)), square = bounded * bounded;
  const auto g = gate(bounded * fma(square, V::all(T(cubic)), V::all(T(rate))));
  const V value = max(V::all(T(-40)), z) * g.open;
  const V inner = bounded * fma(square, V::all(T(3 * cubic)), V::all(T(rate)));
  derivative = fma(g.open, inner * g.shut, g.open);
  return value;
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_softplus(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const V zero = V::all(T(0)), one = V::all(T(1)), two = V::all(T(2));
  const V small = exp_minus_abs(z);
  V rest;  // log1p(small)
  if constexpr (is_single<T>) {
    const V q = reciprocal(one + small);
    derivative = select(z < zero, small * q, q);
    rest = small * horner(small, 0.9999999699, -0.4999949316, 0.3331909649, -0.2484297686, 0.1910597997, -0.136631812, 0.07822512837, -0.02950470455,
                          0.005232555346);
  } else {  // 2 atanh(s): fewer terms, and one division for both
    const V inverse = reciprocal((one + small) * (two + small));
    const V q = inverse * (two + small), s = small * (inverse * (one + small)), square = s * s;
    derivative = select(z < zero, small * q, q);
    rest = fma(s * square,
               horner(square, 0.6666666666666667832, 0.3999999999999397776, 0.2857142857251001815, 0.2222222212547076278, 0.1818182320293315431,
                      0.1538445193133392419, 0.1333680584091311787, 0.117159503500588181, 0.1097256943444005347, 0.06994235520177691779,
                      0.1646765564762420553),
               s + s);
  }
  return max(zero, z) + rest;
}

template <class T>
PYBACKDOOR_HD Vec<T> activate_elu(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const V zero = V::all(T(0));
  const auto e = split_exponential(min(zero, z));
  const auto positive = z > zero;
  derivative = select(positive, V::all(T(1)), whole(e));
  return select(positive, z, less_one(e));
}

template <Activation A, class T>
PYBACKDOOR_HD Vec<T> activate(Vec<T> z, Vec<T>& derivative) {
  using V = Vec<T>;
  const V zero = V::all(T(0)), one = V::all(T(1));
  if constexpr (A == Activation::relu) {
    derivative = select(z > zero, one, zero);
    return max(zero, z);
  } else if constexpr (A == Activation::leaky_relu) {
    derivative = select(z > zero, one, V::all(T(0.01)));
    return z * derivative;
  } else if constexpr (A == Activation::tanh) {
    return activate_tanh(z, derivative);
  } else if constexpr (A == Activation::silu) {
    return activate_silu(z, derivative);
  } else if constexpr (A == Activation::gelu) {
    return activate_gelu(z, derivative);
  } else if constexpr (A == Activation::gelu_tanh) {
    return activate_gelu_tanh(z, derivative);
  } else if constexpr (A == Activation::softplus) {
    return activate_softplus(z, derivative);
  } else if constexpr (A == Activation::sigmoid) {
    const auto g = gate(z);
    derivative = g.open * g.shut;
    return g.open;
  } else {
    return activate_elu(z, derivative);
  }
}

template <class Function>
PYBACKDOOR_HD void dispatch_activation(Activation activation, Function&& function) {
  switch (activation) {
    case Activation::relu:
      return function(ActivationTag<Activation::relu>{});
    case Activation::leaky_relu:
      return function(ActivationTag<Activation::leaky_relu>{});
    case Activation::tanh:
      return function(ActivationTag<Activation::tanh>{});
    case Activation::silu:
      return function(ActivationTag<Activation::silu>{});
    case Activation::gelu:
      return function(ActivationTag<Activation::gelu>{});
    case Activation::gelu_tanh:
      return function(ActivationTag<Activation::gelu_tanh>{});
    case Activation::softplus:
      return function(ActivationTag<Activation::softplus>{});
    case Activation::sigmoid:
      return function(ActivationTag<Activation::sigmoid>{});
    default:
      return function(ActivationTag<Activation::elu>{});
  }
}

PYBACKDOOR_CLOSE
