#include "cpu/peak.hpp"

#include "pybackdoor/simd.hpp"

PYBACKDOOR_OPEN

inline constexpr int chains = 12;  // enough for a latency of 6 at two a cycle, few enough for 16 registers

template <class T>
static double peak(std::int64_t rounds) {
  using V = Vec<T>;
  V x[chains];
  for (int chain = 0; chain < chains; ++chain) x[chain] = V::all(T(1 + chain));
  const V factor = V::all(T(0.999)), term = V::all(T(0.001));
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (int chain = 0; chain < chains; ++chain) x[chain] = fma(x[chain], factor, term);
  }
  T total[V::lanes];
  for (int chain = 1; chain < chains; ++chain) x[0] = x[0] + x[chain];
  store(total, x[0]);
  return total[0];
}

extern const PeakKernels peak_table;
const PeakKernels peak_table = {&peak<float>, &peak<double>, 2 * chains * Vec<float>::lanes, 2 * chains * Vec<double>::lanes};

PYBACKDOOR_CLOSE
