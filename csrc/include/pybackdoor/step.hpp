// One iteration of the ascent after the networks have answered, for a vector of seeds: objective, best point so far, stop rules, step, projections.
// pybackdoor/ops/ascent/reference.py states the order of events; this is the same, on Vec<T>, for every instruction set and for CUDA.
//
// Features of a seed lie `stride` numbers apart, so that a vector of seeds is contiguous.
#pragma once

#include <cstdint>

#include "pybackdoor/vector_math.hpp"

namespace pybackdoor {

// Codes of pybackdoor.records.AscentStatus, and `going` for a seed that has not stopped.
enum class Stop : int { going = -1, steps_done = 0, converged = 1, stalled = 2, flat = 3, not_finite = 4 };

template <class Number>
struct BasicStepRule {
  int steps;
  Number step_size, decay, tolerance;
  int patience;
  Number improvement;
  bool normalised;
};
using StepRule = BasicStepRule<double>;  // CUDA takes float, so that no kernel converts

}  // namespace pybackdoor

PYBACKDOOR_OPEN

template <class T>
struct SeedColumns {
  int dimension;
  std::int64_t stride;
  T *point, *gradient, *best_point;  // gradient: in, dY/du; becomes that of Y - R
  const T* second_gradient;          // of the second network, or null
  const T* anchor;
  const T* slope;   // or null
  const T* radius;  // one number a seed, or null
  const T* offset;  // one number a seed
};

template <class T>
struct SeedState {
  Vec<T> step, waited, best_value, best_objective;  // step and waited hold whole numbers
};

template <class T>
PYBACKDOOR_HD typename Vec<T>::Mask is_finite(Vec<T> x) {
  return x - x == Vec<T>::all(T(0));
}

// Y - R, with the gradient column brought to the gradient of Y - R.
template <class T>
PYBACKDOOR_HD Vec<T> error_and_gradient(const SeedColumns<T>& seeds, Vec<T> value, Vec<T> second) {
  using V = Vec<T>;
  V error = value - second - V::load(seeds.offset);
  if (!seeds.second_gradient && !seeds.slope) return error;
  V inner = V::all(T(0));
  for (std::int64_t r = 0; r < seeds.dimension * seeds.stride; r += seeds.stride) {
    V gradient = V::load(seeds.gradient + r);
    if (seeds.second_gradient) gradient = gradient - V::load(seeds.second_gradient + r);
    if (seeds.slope) {
      const V slope = V::load(seeds.slope + r);
      inner = fma(slope, V::load(seeds.point + r) - V::load(seeds.anchor + r), inner);
      gradient = gradient - slope;
    }
    store(seeds.gradient + r, gradient);
  }
  return error - inner;
}

// Onto the ball around the anchor, then onto the box [0, 1]^d. NaN stays NaN.
template <class T>
PYBACKDOOR_HD void project(const SeedColumns<T>& seeds, T* points) {
  using V = Vec<T>;
  const std::int64_t end = seeds.dimension * seeds.stride;
  const V zero = V::all(T(0)), one = V::all(T(1));
  V shrink = one;
  if (seeds.radius) {
    V square = zero;
    for (std::int64_t r = 0; r < end; r += seeds.stride) {
      const V away = V::load(points + r) - V::load(seeds.anchor + r);
      square = fma(away, away, square);
    }
    const V length = sqrt(square), radius = V::load(seeds.radius);
    shrink = select(length > radius, radius / length, one);
  }
  const auto outside = shrink != one;
  for (std::int64_t r = 0; r < end; r += seeds.stride) {
    V point = V::load(points + r);
    if (seeds.radius) {
      const V anchor = V::load(seeds.anchor + r);
      point = select(outside, fma(point - anchor, shrink, anchor), point);
    }
    store(points + r, min(one, max(zero, point)));
  }
}

// direction = (gradient * scale) * factor: the gradient over its length with the sign of the error, or 2 error times the gradient. `scale` is a power
// of two that keeps squares and quotients in range.
template <class T>
struct Direction {
  Vec<T> scale, factor;
};

template <class T>
PYBACKDOOR_HD Direction<T> direction_of(const SeedColumns<T>& seeds, Vec<T> error, bool normalised) {
  using V = Vec<T>;
  if (!normalised) return {V::all(T(1)), error + error};
  constexpr double low = is_single<T> ? 0x1p-50 : 0x1p-400, up = is_single<T> ? 0x1p100 : 0x1p600;
  constexpr double high = is_single<T> ? 0x1p50 : 0x1p400, down = is_single<T> ? 0x1p-100 : 0x1p-600;
  const V one = V::all(T(1));
  const std::int64_t end = seeds.dimension * seeds.stride;
  V largest = V::all(T(0));
  for (std::int64_t r = 0; r < end; r += seeds.stride) largest = max(largest, abs(V::load(seeds.gradient + r)));
  const V scale = select(largest < V::all(T(low)), V::all(T(up)), select(largest > V::all(T(high)), V::all(T(down)), one));
  V square = V::all(T(0));
  for (std::int64_t r = 0; r < end; r += seeds.stride) {
    const V scaled = V::load(seeds.gradient + r) * scale;
    square = fma(scaled, scaled, square);
  }
  return {scale, copysign(one / sqrt(square), error)};
}

// One iteration: updates point, best point and state; returns the Stop codes as numbers. The gradient column may hold anything for a seed at its last
// step.
template <class T, class Number>
PYBACKDOOR_HD Vec<T> advance(const SeedColumns<T>& seeds, const BasicStepRule<Number>& rule, SeedState<T>& state, Vec<T> value, Vec<T> error) {
  using V = Vec<T>;
  const std::int64_t end = seeds.dimension * seeds.stride;
  const V zero = V::all(T(0)), one = V::all(T(1));
  const V objective = error * error;
  const auto finite = is_finite(value) & is_finite(objective), first = state.step == zero;
  const auto better = first | (finite & ~(objective <= state.best_objective));
  const auto improved = first | (finite & (objective > fma(V::all(T(rule.improvement)), state.best_objective, state.best_objective)));
  state.waited = select(improved, zero, state.waited + one);
  state.best_value = select(better, value, state.best_value);
  state.best_objective = select(better, objective, state.best_objective);
  const Direction<T> towards = direction_of(seeds, error, rule.normalised);
  const V length = V::all(T(rule.step_size)) / fma(V::all(T(rule.decay)), state.step, one);
  auto usable = zero == zero, nowhere = usable;
  for (std::int64_t r = 0; r < end; r += seeds.stride) {
    const V gradient = V::load(seeds.gradient + r), point = V::load(seeds.point + r);
    nowhere = nowhere & (gradient == zero);
    const V direction = (gradient * towards.scale) * towards.factor;
    usable = usable & is_finite(direction);
    store(seeds.best_point + r, select(better, point, V::load(seeds.best_point + r)));
    store(seeds.gradient + r, fma(length, direction, point));
  }
  project(seeds, seeds.gradient);
  V square = zero;
  for (std::int64_t r = 0; r < end; r += seeds.stride) {
    const V moved = V::load(seeds.gradient + r) - V::load(seeds.point + r);
    square = fma(moved, moved, square);
  }
  V code = V::all(T(int(Stop::going)));
  code = select(sqrt(square) <= V::all(T(rule.tolerance)), V::all(T(int(Stop::converged))), code);
  code = select(usable, code, V::all(T(int(Stop::not_finite))));
  code = select(nowhere | (error == zero), V::all(T(int(Stop::flat))), code);
  code = select(state.step >= V::all(T(rule.steps)), V::all(T(int(Stop::steps_done))), code);
  if (rule.patience > 0) code = select(state.waited >= V::all(T(rule.patience)), V::all(T(int(Stop::stalled))), code);
  code = select(finite, code, V::all(T(int(Stop::not_finite))));
  for (std::int64_t r = 0; r < end; r += seeds.stride) store(seeds.point + r, V::load(seeds.gradient + r));
  state.step = state.step + one;
  return code;
}

PYBACKDOOR_CLOSE
