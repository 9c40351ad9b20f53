// One Adam step with decoupled weight decay (D. P. Kingma and J. Ba, 2015; I. Loshchilov and F. Hutter, 2019) on a vector of parameters.
#pragma once

#include <math.h>
#include <stdint.h>

#include "pybackdoor/config.hpp"

PYBACKDOOR_OPEN

struct AdamPlan {
  double beta1, beta2, epsilon, weight_decay;
};

// What a step's number and learning rate make of the plan, in the type of the parameters.
template <class T>
struct AdamStep {
  T keep_first, take_first, keep_second, take_second;
  T second_scale;  // 1 / sqrt(1 - beta2^step)
  T epsilon;
  T rate;  // learning rate / (1 - beta1^step)
  T keep;  // 1 - learning rate * weight decay
};

template <class T>
PYBACKDOOR_HD AdamStep<T> adam_step(const AdamPlan& plan, int64_t step, double learning_rate) {
  const double number = static_cast<double>(step);
  return {T(plan.beta1),
          T(1 - plan.beta1),
          T(plan.beta2),
          T(1 - plan.beta2),
          T(1 / ::sqrt(1 - ::pow(plan.beta2, number))),
          T(plan.epsilon),
          T(learning_rate / (1 - ::pow(plan.beta1, number))),
          T(1 - learning_rate * plan.weight_decay)};
}

// V is Vec<T>.
template <class V, class T>
PYBACKDOOR_HD void adam(const AdamStep<T>& step, V gradient, V& parameter, V& first, V& second) {
  first = fma(V::all(step.keep_first), first, V::all(step.take_first) * gradient);
  second = fma(V::all(step.keep_second), second, V::all(step.take_second) * gradient * gradient);
  const V scale = fma(sqrt(second), V::all(step.second_scale), V::all(step.epsilon));
  parameter = fnma(V::all(step.rate), first / scale, parameter * V::all(step.keep));
}

PYBACKDOOR_CLOSE
