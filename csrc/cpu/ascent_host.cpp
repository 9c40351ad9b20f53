#include <cstddef>
#include <memory>
#include <new>

#include "cpu/ascent.hpp"
#include "cpu/subnormals.hpp"
#include "cpu/threads.hpp"

PYBACKDOOR_DECLARE_KERNELS(AscentKernels, ascent_table)

namespace pybackdoor {

namespace {

constexpr std::size_t alignment = 64;
constexpr std::int64_t tile_bytes = 256 * 1024;  // a tile stays in the second-level cache with the weights it meets

struct Free {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t(alignment)); }
};

template <class T>
std::unique_ptr<T, Free> allocate(std::int64_t numbers) {
  return std::unique_ptr<T, Free>(static_cast<T*>(::operator new(static_cast<std::size_t>(numbers) * sizeof(T), std::align_val_t(alignment))));
}

// Groups of a tile: no more seeds than a thread's share, no more memory than the cache holds, at least two groups so that weights are read twice.
template <class Numbers>
int groups_for(std::int64_t count, int threads, int group, std::size_t size, Numbers numbers) {
  const std::int64_t share = (count + threads - 1) / threads, needed = (share + group - 1) / group;
  std::int64_t fitting = 8 * static_cast<std::int64_t>(16 / size);
  while (fitting > 2 && numbers(static_cast<int>(fitting)) * static_cast<std::int64_t>(size) > tile_bytes) fitting /= 2;
  return static_cast<int>(needed < fitting ? needed : fitting);
}

}  // namespace

template <class T>
const AscentFunctions<T>& ascent_functions(InstructionSet set) {
  const AscentKernels& kernels = PYBACKDOOR_PICK_KERNELS(ascent_table, set);
  if constexpr (sizeof(T) == 4)
    return kernels.single;
  else
    return kernels.full;
}

template <class T>
void evaluate_points(InstructionSet set, const EvaluateCall<T>& call, int threads) {
  if (call.count == 0) return;
  const AscentFunctions<T>& functions = ascent_functions<T>(set);
  const int groups = groups_for(call.count, threads, functions.group, sizeof(T), [&](int g) { return functions.evaluate_numbers(call.network, g); });
  const std::int64_t seeds = std::int64_t(groups) * functions.group, tiles = (call.count + seeds - 1) / seeds;
  const std::int64_t numbers = functions.evaluate_numbers(call.network, groups);
  std::int64_t next = 0;
  for_each_tile(threads < tiles ? threads : tiles, threads, [&](std::int64_t, int) {
    const SubnormalsAreZero quick;
    const auto memory = allocate<T>(numbers);
    for (std::int64_t first = 0; (first = __atomic_fetch_add(&next, seeds, __ATOMIC_RELAXED)) < call.count;)
      functions.evaluate(call, first, first + seeds < call.count ? seeds : call.count - first, memory.get());
  });
}

template <class T>
void climb_seeds(InstructionSet set, ClimbCall<T> call, int threads) {
  if (call.count == 0) return;
  const AscentFunctions<T>& functions = ascent_functions<T>(set);
  const auto numbers = [&](int g) { return functions.climb_numbers(call.network, call.second, g); };
  const int groups = groups_for(call.count, threads, functions.group, sizeof(T), numbers);
  const std::int64_t workers = (call.count + functions.group - 1) / functions.group;
  std::int64_t next = 0;
  call.next = &next;
  for_each_tile(threads < workers ? threads : workers, threads, [&](std::int64_t, int) {
    const SubnormalsAreZero quick;
    const auto memory = allocate<T>(numbers(groups));
    functions.climb(call, groups, memory.get());
  });
}

template const AscentFunctions<float>& ascent_functions(InstructionSet);
template const AscentFunctions<double>& ascent_functions(InstructionSet);
template void evaluate_points(InstructionSet, const EvaluateCall<float>&, int);
template void evaluate_points(InstructionSet, const EvaluateCall<double>&, int);
template void climb_seeds(InstructionSet, ClimbCall<float>, int);
template void climb_seeds(InstructionSet, ClimbCall<double>, int);

}  // namespace pybackdoor
