// One iteration's formulas on a single seed: projection, direction at the ends of the number range, and the order of the stop rules.
#include <cmath>
#include <initializer_list>

#include "check.hpp"
#include "pybackdoor/step.hpp"

using namespace pybackdoor;

namespace {

struct Seed {
  float point[2], gradient[2], best[2], anchor[2], radius, offset;

  SeedColumns<float> columns(bool ball) { return {2, 1, point, gradient, best, nullptr, anchor, nullptr, ball ? &radius : nullptr, &offset}; }
};

constexpr StepRule rule{10, 0.1, 0.0, 1e-6, 3, 1e-4, true};

Stop run(Seed& seed, SeedState<float>& state, float value, float error, bool ball = false) {
  return static_cast<Stop>(static_cast<int>(advance(seed.columns(ball), rule, state, Vec<float>::all(value), Vec<float>::all(error)).v));
}

SeedState<float> fresh() { return {{0}, {0}, {0}, {0}}; }

void directions_keep_their_length() {
  for (const float scale : {1e-44f, 1e-30f, 1e-10f, 1.0f, 1e15f, 1e30f, 2e37f}) {
    Seed seed{{0.5f, 0.5f}, {3 * scale, 4 * scale}, {}, {}, 0, 0};
    SeedState<float> state = fresh();
    CHECK(run(seed, state, 1, 1) == Stop::going);
    const float tolerance = scale < 1e-40f ? 3e-3f : 1e-6f;  // a few bits are left of such a gradient
    CHECK(std::fabs(seed.point[0] - 0.56f) < tolerance);
    CHECK(std::fabs(seed.point[1] - 0.58f) < tolerance);
  }
}

void the_sign_of_the_error_turns_the_step() {
  Seed seed{{0.5f, 0.5f}, {1, 0}, {}, {}, 0, 0};
  SeedState<float> state = fresh();
  CHECK(run(seed, state, 1, -2) == Stop::going);
  CHECK(seed.point[0] == 0.4f);
  CHECK(state.best_objective.v == 4 && seed.best[0] == 0.5f);
}

void projections_do_not_move_what_is_inside() {
  Seed seed{{0.3f, 0.6f}, {}, {}, {0.25f, 0.5f}, 0.2f, 0};
  project(seed.columns(true), seed.point);
  CHECK(seed.point[0] == 0.3f && seed.point[1] == 0.6f);
  seed.point[0] = 1.25f;
  project(seed.columns(true), seed.point);
  const float length = std::hypot(seed.point[0] - 0.25f, seed.point[1] - 0.5f);
  CHECK(std::fabs(length - 0.2f) < 1e-6f);
  seed.point[0] = -0.1f, seed.point[1] = std::nanf("");
  project(seed.columns(false), seed.point);
  CHECK(seed.point[0] == 0 && std::isnan(seed.point[1]));
}

void stops_come_in_their_order() {
  const float infinity = INFINITY;
  SeedState<float> state = fresh();
  Seed flat{{0.5f, 0.5f}, {0, 0}, {}, {}, 0, 0};
  CHECK(run(flat, state, 1, 1) == Stop::flat);
  state = fresh();
  Seed no_error{{0.5f, 0.5f}, {1, 1}, {}, {}, 0, 0};
  CHECK(run(no_error, state, 1, 0) == Stop::flat);
  state = fresh();
  Seed bad_gradient{{0.5f, 0.5f}, {infinity, 1}, {}, {}, 0, 0};
  CHECK(run(bad_gradient, state, 1, 1) == Stop::not_finite);
  state = fresh();
  Seed bad_value{{0.5f, 0.5f}, {0, 0}, {}, {}, 0, 0};
  CHECK(run(bad_value, state, infinity, infinity) == Stop::not_finite);
  state = {{10}, {2}, {1}, {4}};
  Seed stalled_at_the_end{{0.5f, 0.5f}, {1, 1}, {}, {}, 0, 0};
  CHECK(run(stalled_at_the_end, state, 1, 1) == Stop::stalled);
  state = {{10}, {0}, {1}, {4}};
  Seed done{{0.5f, 0.5f}, {infinity, 1}, {}, {}, 0, 0};  // a last step needs no gradient
  CHECK(run(done, state, 1, 3) == Stop::steps_done);
  CHECK(state.best_objective.v == 9);
  state = fresh();
  Seed corner{{1, 1}, {1, 1}, {}, {}, 0, 0};
  CHECK(run(corner, state, 1, 1) == Stop::converged);
}

}  // namespace

int main() {
  directions_keep_their_length();
  the_sign_of_the_error_turns_the_step();
  projections_do_not_move_what_is_inside();
  stops_come_in_their_order();
  return failed();
}
