// Whole ascents for a tile of seeds: every thread keeps one tile full, so that seeds that stop early cost nothing, and shrinks it when seeds run out.
#include "cpu/ascent.hpp"

#include "cpu/tile.hpp"

PYBACKDOOR_OPEN

PYBACKDOOR_HD double element(const ArrayView& array, std::int64_t row, std::int64_t column) {
  const std::int64_t at = row * array.row + column * array.column;
  return array.single ? double(static_cast<const float*>(array.data)[at]) : static_cast<const double*>(array.data)[at];
}

template <class T>
static std::int64_t evaluate_numbers(const NetworkView<T>& network, int groups) {
  return partial_size<T> + (tile_numbers(network) + 2 * network.dimension + 1) * groups * group<T>;
}

template <class T>
static void evaluate(const EvaluateCall<T>& call, std::int64_t first, std::int64_t count, T* memory) {
  const int d = call.network.dimension, groups = static_cast<int>((count + group<T> - 1) / group<T>);
  const std::int64_t seeds = std::int64_t(groups) * group<T>;
  T *points = memory, *gradient = points + d * seeds, *values = gradient + d * seeds;
  const TileMemory<T> tile = lay_out(call.network, groups, values + seeds);
  for (std::int64_t seed = 0; seed < seeds; ++seed) {
    T* column = points + (seed / group<T>)*d * group<T> + seed % group<T>;
    for (int r = 0; r < d; ++r) column[r * group<T>] = seed < count ? T(element(call.points, first + seed, r)) : T(0);
  }
  evaluate_tile(call.network, groups, points, tile, values, call.gradients ? gradient : nullptr);
  for (std::int64_t seed = 0; seed < count; ++seed) {
    const T value = values[seed];
    call.values[first + seed] = value;
    if (!call.gradients) continue;
    const T* column = gradient + (seed / group<T>)*d * group<T> + seed % group<T>;
    for (int r = 0; r < d; ++r) call.gradients[(first + seed) * d + r] = value == value ? column[r * group<T>] : value;
  }
}

// The tile's own memory: columns of d numbers a seed, then single numbers a seed, each [group][row][seed].
template <class T>
struct Flock {
  int dimension;
  std::int64_t capacity;
  T *point, *gradient, *best, *anchor, *slope, *second;                                            // columns; the last three may be null
  T *value, *second_value, *step, *waited, *best_value, *best_objective, *radius, *offset, *code;  // radius may be null
  std::int64_t* seed;

  T* place(T* columns, std::int64_t lane) const { return columns + (lane / group<T>)*dimension * group<T> + lane % group<T>; }
};

template <class T>
static std::int64_t flock_numbers(int dimension, int groups) {
  return (6 * dimension + 9 + (std::int64_t)(sizeof(std::int64_t) / sizeof(T))) * groups * group<T>;
}

template <class T>
static Flock<T> lay_out_flock(const ClimbCall<T>& call, int groups, T*& memory) {
  Flock<T> flock;
  flock.dimension = call.network.dimension;
  flock.capacity = std::int64_t(groups) * group<T>;
  const auto take = [&](std::int64_t rows) {
    T* taken = memory;
    memory += rows * flock.capacity;
    for (std::int64_t i = 0; i < rows * flock.capacity; ++i) taken[i] = T(0);
    return taken;
  };
  flock.seed = reinterpret_cast<std::int64_t*>(take(sizeof(std::int64_t) / sizeof(T)));
  flock.point = take(flock.dimension), flock.gradient = take(flock.dimension), flock.best = take(flock.dimension);
  flock.anchor = take(flock.dimension), flock.slope = take(flock.dimension), flock.second = take(flock.dimension);
  flock.value = take(1), flock.second_value = take(1), flock.step = take(1), flock.waited = take(1), flock.best_value = take(1);
  flock.best_objective = take(1), flock.radius = take(1), flock.offset = take(1), flock.code = take(1);
  if (!call.slopes.data) flock.slope = nullptr;
  if (!call.slopes.data && !call.radii.data) flock.anchor = nullptr;
  if (!call.radii.data) flock.radius = nullptr;
  if (!call.second) flock.second = nullptr;
  return flock;
}

template <class T>
static void bring_in(const ClimbCall<T>& call, const Flock<T>& flock, std::int64_t lane, std::int64_t seed) {
  const ArrayView& anchors = call.anchors.data ? call.anchors : call.starts;
  for (int r = 0; r < flock.dimension; ++r) {
    flock.place(flock.point, lane)[r * group<T>] = T(element(call.starts, seed, r));
    if (flock.anchor) flock.place(flock.anchor, lane)[r * group<T>] = T(element(anchors, seed, r));
    if (flock.slope) flock.place(flock.slope, lane)[r * group<T>] = T(element(call.slopes, seed, r));
  }
  if (flock.radius) flock.radius[lane] = T(element(call.radii, seed, 0));
  flock.offset[lane] = call.offsets.data ? T(element(call.offsets, seed, 0)) : T(0);
  flock.step[lane] = T(0);
  flock.seed[lane] = seed;
}

template <class T>
static void send_out(const ClimbCall<T>& call, const Flock<T>& flock, std::int64_t lane) {
  const std::int64_t seed = flock.seed[lane];
  for (int r = 0; r < flock.dimension; ++r) call.points[seed * flock.dimension + r] = flock.place(flock.best, lane)[r * group<T>];
  call.values[seed] = flock.best_value[lane];
  call.objectives[seed] = flock.best_objective[lane];
  call.status[seed] = static_cast<std::int64_t>(flock.code[lane]);
  call.steps[seed] = static_cast<std::int64_t>(flock.step[lane]) - 1;
}

template <class T>
static void move_lane(const Flock<T>& flock, std::int64_t from, std::int64_t to) {
  T* const all_columns[] = {flock.point, flock.best, flock.anchor, flock.slope};
  for (T* columns : all_columns) {
    if (!columns) continue;
    for (int r = 0; r < flock.dimension; ++r) flock.place(columns, to)[r * group<T>] = flock.place(columns, from)[r * group<T>];
  }
  T* const all_numbers[] = {flock.step, flock.waited, flock.best_value, flock.best_objective, flock.radius, flock.offset};
  for (T* numbers : all_numbers)
    if (numbers) numbers[to] = numbers[from];
  flock.seed[to] = flock.seed[from];
}

template <class T>
static SeedColumns<T> columns_at(const Flock<T>& flock, std::int64_t lane) {
  const auto place = [&](T* columns) { return columns ? flock.place(columns, lane) : nullptr; };
  return {flock.dimension,       group<T>,           place(flock.point),
          place(flock.gradient), place(flock.best),  place(flock.second),
          place(flock.anchor),   place(flock.slope), flock.radius ? flock.radius + lane : nullptr,
          flock.offset + lane};
}

// Moves the seeds that have just come in to the nearest point allowed; the others are there already and stay as they are, bit for bit.
template <class T>
static void project_newcomers(const Flock<T>& flock, std::int64_t active) {
  using V = Vec<T>;
  for (std::int64_t lane = 0; lane < active; lane += V::lanes) {
    const auto newcomers = V::load(flock.step + lane) == V::all(T(0));
    if (!any(newcomers)) continue;
    const SeedColumns<T> seeds = columns_at(flock, lane);
    for (int r = 0; r < flock.dimension; ++r) store(seeds.gradient + r * group<T>, V::load(seeds.point + r * group<T>));
    project(seeds, seeds.gradient);
    for (int r = 0; r < flock.dimension; ++r) {
      T* point = seeds.point + r * group<T>;
      store(point, select(newcomers, V::load(seeds.gradient + r * group<T>), V::load(point)));
    }
  }
}

// One step of every lane; returns whether some seed stopped.
template <class T>
static bool advance_all(const ClimbCall<T>& call, const Flock<T>& flock, std::int64_t active) {
  using V = Vec<T>;
  bool stopped = false;
  for (std::int64_t lane = 0; lane < active; lane += V::lanes) {
    const SeedColumns<T> seeds = columns_at(flock, lane);
    const V value = V::load(flock.value + lane);
    const V error = error_and_gradient(seeds, value, V::load(flock.second_value + lane));
    SeedState<T> state{V::load(flock.step + lane), V::load(flock.waited + lane), V::load(flock.best_value + lane),
                       V::load(flock.best_objective + lane)};
    const V code = advance(seeds, call.rule, state, value, error);
    store(flock.step + lane, state.step), store(flock.waited + lane, state.waited);
    store(flock.best_value + lane, state.best_value), store(flock.best_objective + lane, state.best_objective);
    store(flock.code + lane, code);
    stopped = stopped || any(code != V::all(T(int(Stop::going))));
  }
  return stopped;
}

template <class T>
static std::int64_t climb_numbers(const NetworkView<T>& network, const NetworkView<T>* second, int groups) {
  std::int64_t numbers = tile_numbers(network);
  if (second && tile_numbers(*second) > numbers) numbers = tile_numbers(*second);
  return flock_numbers<T>(network.dimension, groups) + partial_size<T> + numbers * groups * group<T>;
}

template <class T>
static void climb(const ClimbCall<T>& call, int groups, T* memory) {
  const Flock<T> flock = lay_out_flock(call, groups, memory);
  std::int64_t active = 0;
  bool more = true;
  const auto next_seed = [&] {
    const std::int64_t seed = more ? __atomic_fetch_add(call.next, 1, __ATOMIC_RELAXED) : call.count;
    more = seed < call.count;
    return seed;
  };
  for (std::int64_t seed = 0; active < flock.capacity && (seed = next_seed(), more); ++active) bring_in(call, flock, active, seed);
  while (active > 0) {
    const int used = static_cast<int>((active + group<T> - 1) / group<T>);
    project_newcomers(flock, active);
    bool climbing = false;
    for (std::int64_t lane = 0; lane < active; ++lane) climbing = climbing || flock.step[lane] < T(call.rule.steps);
    evaluate_tile(call.network, used, flock.point, lay_out(call.network, used, memory), flock.value, climbing ? flock.gradient : nullptr);
    if (call.second)
      evaluate_tile(*call.second, used, flock.point, lay_out(*call.second, used, memory), flock.second_value, climbing ? flock.second : nullptr);
    if (!advance_all(call, flock, active)) continue;
    for (std::int64_t lane = active - 1; lane >= 0; --lane) {
      if (flock.code[lane] == T(int(Stop::going))) continue;
      send_out(call, flock, lane);
      const std::int64_t seed = next_seed();
      if (more) {
        bring_in(call, flock, lane, seed);
      } else {
        --active;
        if (lane < active) move_lane(flock, active, lane);
      }
    }
  }
}

template <class T>
static constexpr AscentFunctions<T> functions() {
  return {tallest, group<T>, &evaluate_numbers<T>, &climb_numbers<T>, &evaluate<T>, &climb<T>};
}

extern const AscentKernels ascent_table;
const AscentKernels ascent_table = {functions<float>(), functions<double>()};

PYBACKDOOR_CLOSE
