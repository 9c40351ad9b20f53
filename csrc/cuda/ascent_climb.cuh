// Whole ascents: a block keeps its teams full of seeds from first step to last; a seed that stops makes room for the next.
//
// A team of warps climbs with S seeds (ascent_layers.cuh). Its first warp keeps the seeds' state, one lane a seed, and takes the step, with the
// formulas of step.hpp; the others wait at the team's barrier. Blocks share nothing but the number of the next seed, in the workspace. A seed's
// result does not depend on its place or its neighbours, bit for bit.
#pragma once

#include "cuda/ascent_layers.cuh"

namespace pybackdoor {

// Columns [feature][S] and single numbers [S] of a team's seeds; absent ones are null. After the offsets lies what the climbs have reached, [4][S],
// because the evaluation of a network needs all registers.
struct TeamState {
  float *point, *gradient, *best, *second, *anchor, *slope, *radius, *offset;

  // Floats of a team; the layout below follows it.
  PYBACKDOOR_HD static int floats(int dimension, int seeds, bool second, bool anchors, bool slopes) {
    return ((3 + second + anchors + slopes) * dimension + 6) * seeds;
  }
};

inline constexpr int counter_bytes = 256;  // of the workspace, before everything else

template <class S>
PYBACKDOOR_DEVICE TeamState lay_out_state(const ClimbLaunch& launch, float* memory) {
  const int column = launch.network[0].shape.dimension * S::seeds;
  TeamState state{};
  const auto take = [&](bool wanted, int size) {
    float* taken = wanted ? memory : nullptr;
    memory += wanted ? size : 0;
    return taken;
  };
  state.point = take(true, column), state.gradient = take(true, column), state.best = take(true, column);
  state.second = take(launch.has_second, column);
  state.anchor = take(launch.radii || launch.slopes, column), state.slope = take(launch.slopes, column);
  state.radius = take(true, S::seeds), state.offset = take(true, 5 * S::seeds);
  if (!launch.radii) state.radius = nullptr;
  return state;
}

PYBACKDOOR_DEVICE float* gradient_of(const TeamState& state, int network) { return network == 0 ? state.gradient : state.second; }

template <class S>
PYBACKDOOR_DEVICE SeedColumns<float> columns_of(const TeamState& state, int dimension, int lane) {
  const auto at = [&](float* column) { return column ? column + lane : nullptr; };
  return {dimension,        S::seeds,         at(state.point), at(state.gradient), at(state.best),
          at(state.second), at(state.anchor), at(state.slope), at(state.radius),   state.offset + lane};
}

// Reads seed `seed` into `lane`, moved to the nearest point allowed.
template <class S>
PYBACKDOOR_DEVICE void bring_in(const ClimbLaunch& launch, const TeamState& state, int lane, std::int64_t seed) {
  const int d = launch.network[0].shape.dimension;
  const float* anchors = launch.anchors ? launch.anchors : launch.starts;
  for (int r = 0; r < d; ++r) {
    state.point[r * S::seeds + lane] = launch.starts[seed * d + r];
    if (state.anchor) state.anchor[r * S::seeds + lane] = anchors[seed * d + r];
    if (state.slope) state.slope[r * S::seeds + lane] = launch.slopes[seed * d + r];
  }
  if (state.radius) state.radius[lane] = launch.radii[seed];
  state.offset[lane] = launch.offsets ? launch.offsets[seed] : 0.0f;
  if (!launch.evaluate) project(columns_of<S>(state, d, lane), state.point + lane);
}

// Inputs of the output layer, and where its weights begin in the packed network; its bias [4] and the input rates follow them.
template <class S>
PYBACKDOOR_DEVICE int last_columns(const NetworkShape& shape) {
  return shape.hidden > 0 ? padded(shape.widths[shape.hidden - 1], S::tile) : padded(shape.dimension, 8);
}
template <class S>
PYBACKDOOR_DEVICE int output_begin(const NetworkShape& shape) {
  int begin = 0, columns = padded(shape.dimension, 8);
  for (int layer = 0; layer < shape.hidden; ++layer) {
    const int rows = padded(shape.widths[layer], S::tile);
    begin += layer_numbers(rows, columns, layer, S::Tensor);
    columns = rows;
  }
  return begin;
}

// The first layer's input at every seed of the team, into act; padding is 0.
template <class S>
PYBACKDOOR_DEVICE void map_inputs(const NetworkShape& shape, const float* output, const TeamState& state, int lane, float* act) {
  const float* rates = output + last_columns<S>(shape) + 4;
  for (int r = 0; r < padded(shape.dimension, 8); ++r) {
    float u = r < shape.dimension ? state.point[r * S::seeds + lane] : 0.0f;
    if (shape.curved && r < shape.dimension && rates[r] != 0.0f) u = exp(Vec<float>{rates[r] * u}).v;
    act[place<S>(r, lane)] = u;
  }
}

// The network's value at the lane's seed, with its gradient column brought to the unit cube.
template <class S>
PYBACKDOOR_DEVICE float finish_value(const NetworkShape& shape, const float* output, const TeamMemory& memory, const TeamState& state, int lane,
                                     float* gradient) {
  const int columns = last_columns<S>(shape);
  const float* rates = output + columns + 4;
  float value = output[columns];
  if (shape.hidden == 0) {
    float sum = 0.0f;
    for (int r = 0; r < shape.dimension; ++r) {
      sum = fmaf(output[r], memory.act[place<S>(r, lane)], sum);
      gradient[r * S::seeds + lane] = output[r];
    }
    value += sum;
  } else {
    float sum = 0.0f;
    for (int block = 0; block < memory.warps * S::blocks; ++block) sum += memory.partial[block * S::seeds + lane];
    value += sum;
  }
  if (!shape.curved) return value;
  for (int r = 0; r < shape.dimension; ++r) {
    if (rates[r] == 0.0f) continue;
    const float u = state.point[r * S::seeds + lane];
    gradient[r * S::seeds + lane] *= rates[r] * exp(Vec<float>{rates[r] * u}).v;
  }
  return value;
}

template <class S>
PYBACKDOOR_DEVICE SeedState<float> reached(const TeamState& state, int lane) {
  const float* from = state.offset + S::seeds + lane;
  return {{from[0]}, {from[S::seeds]}, {from[2 * S::seeds]}, {from[3 * S::seeds]}};
}
template <class S>
PYBACKDOOR_DEVICE void keep_reached(const SeedState<float>& climbed, const TeamState& state, int lane) {
  float* to = state.offset + S::seeds + lane;
  to[0] = climbed.step.v, to[S::seeds] = climbed.waited.v, to[2 * S::seeds] = climbed.best_value.v, to[3 * S::seeds] = climbed.best_objective.v;
}

template <class S>
PYBACKDOOR_DEVICE void send_out(const ClimbLaunch& launch, const TeamState& state, int lane, std::int64_t seed, const SeedState<float>& climbed,
                                float code) {
  const int d = launch.network[0].shape.dimension;
  for (int r = 0; r < d; ++r) launch.points[seed * d + r] = state.best[r * S::seeds + lane];
  launch.values[seed] = climbed.best_value.v;
  launch.objectives[seed] = climbed.best_objective.v;
  launch.status[seed] = static_cast<std::int64_t>(code);
  launch.steps[seed] = static_cast<std::int64_t>(climbed.step.v) - 1;
}

template <class S>
PYBACKDOOR_DEVICE void send_evaluation(const ClimbLaunch& launch, const TeamState& state, int lane, std::int64_t seed, float value) {
  const int d = launch.network[0].shape.dimension;
  launch.values[seed] = value;
  for (int r = 0; r < d; ++r) launch.points[seed * d + r] = value == value ? state.gradient[r * S::seeds + lane] : value;
}

// The next seed for every lane that wants one, -1 when none is left.
PYBACKDOOR_DEVICE std::int64_t next_seed(const Thread& thread, const ClimbLaunch& launch, bool wanted) {
  const unsigned wanting = ballot(thread, wanted);
  if (wanting == 0) return -1;
  long long first = 0;
  if (thread.lane == 0) first = fetch_add(thread, static_cast<unsigned long long*>(launch.workspace), count_bits(wanting));
  const std::int64_t seed = shuffle(thread, first, 0) + count_bits(wanting & ((1u << thread.lane) - 1u));
  return wanted && seed < launch.count ? seed : -1;
}

// Copies a packed network into shared memory; matrices in rows are swizzled, fragments are not. Every thread of the block takes part.
template <class S>
PYBACKDOOR_DEVICE void make_resident(const Thread& thread, const NetworkShape& shape, const float* from, float* to) {
  const int self = thread.warp * 32 + thread.lane, all = warps_per_block * 32;
  const std::int64_t total = PackedSizes::of(shape, S::tile, S::Tensor).numbers;
  std::int64_t begin = 0;
  int columns = padded(shape.dimension, 8);
  for (int layer = 0; !S::Tensor && layer < shape.hidden; ++layer) {
    const int rows = padded(shape.widths[layer], S::tile), groups = columns >> 2, bits = swizzle_bits(columns);
    for (int group = self; group < rows * groups; group += all) {
      const int row = group / groups, column = group % groups;
      store4(to + begin + std::int64_t(row) * columns + ((column ^ ((row >> 2) & bits)) << 2), load4(from + begin + 4 * std::int64_t(group)));
    }
    begin += std::int64_t(rows) * columns;
    for (int row = self; row < rows; row += all) to[begin + row] = from[begin + row];
    begin += rows;
    columns = rows;
  }
  for (std::int64_t i = begin + 4 * self; i < total; i += 4 * all) store4(to + i, load4(from + i));
}

// The climb of one team, until no seed is left. Resident networks lie in shared memory, the first at its start, the second at `second_begin`; the
// team's state at `columns`.
template <class S>
PYBACKDOOR_DEVICE void climb_team(const Thread& thread, const ClimbLaunch& launch, int second_begin, const TeamMemory& memory, float* columns,
                                  int* alive) {
  const int lane = thread.lane, d = launch.network[0].shape.dimension;
  const bool leads = memory.warp == 0, seated = leads && lane < S::seeds;
  const auto find_state = [&] { return lay_out_state<S>(launch, again(columns)); };
  int seed = -1;  // a launch has fewer than 2^31, and registers are few
  bool wants = seated;
  for (int r = 0; seated && r < d; ++r) find_state().point[r * S::seeds + lane] = 0.0f;  // lanes without a seed compute too
  while (true) {
    if (leads) {
      const std::int64_t taken = next_seed(thread, launch, wants);
      if (taken >= 0) {
        seed = static_cast<int>(taken);
        const TeamState state = find_state();
        bring_in<S>(launch, state, lane, seed);
        keep_reached<S>({{0.0f}, {0.0f}, {0.0f}, {0.0f}}, state, lane);
      }
      wants = false;
      const unsigned seeds = ballot(thread, seed >= 0);
      if (lane == 0) *alive = seeds != 0;
    }
    float value = 0.0f, second_value = 0.0f;
#pragma unroll 1
    for (int n = 0; n <= launch.has_second; ++n) {
      const NetworkShape& shape = launch.network[n].shape;
      const float* numbers = S::Resident ? thread.shared : launch.network[n].numbers;
      const int begin = S::Resident && n > 0 ? second_begin : 0, output = begin + output_begin<S>(shape);
      if (seated) map_inputs<S>(shape, numbers + output, find_state(), lane, memory.act);
      team_barrier(thread, memory.team, memory.warps);
      if (*alive == 0) return;
      evaluate_team<S>(thread, shape, numbers, begin, memory, launch.exact, [&] { return gradient_of(find_state(), n); });
      if (!seated) continue;
      const TeamState state = find_state();
      const float answer = finish_value<S>(shape, numbers + output, memory, state, lane, gradient_of(state, n));
      value = n == 0 ? answer : value, second_value = n == 0 ? 0.0f : answer;
    }
    if (seed < 0) continue;
    const TeamState state = find_state();
    if (launch.evaluate) {
      send_evaluation<S>(launch, state, lane, seed, value);
    } else {
      const SeedColumns<float> own = columns_of<S>(state, d, lane);
      const Vec<float> error = error_and_gradient(own, Vec<float>{value}, Vec<float>{second_value});
      SeedState<float> climbed = reached<S>(state, lane);
      const float code = advance(own, launch.rule, climbed, Vec<float>{value}, error).v;
      keep_reached<S>(climbed, state, lane);
      if (code == float(int(Stop::going))) continue;
      send_out<S>(launch, state, lane, seed, climbed, code);
    }
    seed = -1;
    wants = true;
  }
}

// The whole work of a thread of the block.
template <class S>
PYBACKDOOR_DEVICE void climb_block(const Thread& thread, const ClimbLaunch& launch) {
  const AscentPlan& plan = launch.plan;
  const int d = launch.network[0].shape.dimension;
  float* shared = thread.shared;
  int rows = 0, hidden = 0, second_begin = 0;
  for (int n = 0; n <= launch.has_second; ++n) {
    const NetworkShape& shape = launch.network[n].shape;
    const PackedSizes sizes = PackedSizes::of(shape, S::tile, S::Tensor);
    rows = sizes.widest > rows ? sizes.widest : rows, hidden = shape.hidden > hidden ? shape.hidden : hidden;
    if constexpr (S::Resident) {
      make_resident<S>(thread, shape, launch.network[n].numbers, shared);
      shared += sizes.numbers;
      second_begin = n == 0 ? static_cast<int>(sizes.numbers) : second_begin;
    }
  }
  if constexpr (S::Resident) block_barrier(thread);
  const int number = thread.warp / plan.team;
  if (number >= plan.teams) return;
  const int kept = hidden > 0 ? hidden - 1 : 0, near = plan.saved_shared < kept ? plan.saved_shared : kept, slopes = 32 * S::R * S::C;
  const std::int64_t team = std::int64_t(thread.block) * plan.teams + number, teams = std::int64_t(plan.blocks) * plan.teams;
  const auto share = [&](int size) {  // of each team
    float* mine = shared + number * size;
    shared += plan.teams * size;
    return mine;
  };
  TeamMemory memory;
  memory.team = number, memory.warps = plan.team, memory.warp = thread.warp % plan.team, memory.near = near;
  int* alive = reinterpret_cast<int*>(share(4));
  memory.act = share(rows * S::seeds);
  memory.partial = share(plan.team * S::blocks * S::seeds);
  memory.saved = share(plan.team * near * slopes) + memory.warp * near * slopes;
  float* far = reinterpret_cast<float*>(static_cast<char*>(launch.workspace) + counter_bytes);
  memory.saved_far = far + (team * plan.team + memory.warp) * (kept - near) * slopes;
  far += teams * plan.team * (kept - near) * slopes;
  const int state_floats = TeamState::floats(d, S::seeds, launch.has_second, launch.radii || launch.slopes, launch.slopes);
  float* state = plan.state_shared ? share(state_floats) : far + team * state_floats;
  climb_team<S>(thread, launch, second_begin, memory, state, alive);
}

}  // namespace pybackdoor
