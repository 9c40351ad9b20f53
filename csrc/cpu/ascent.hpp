// The ascent on the CPU: what a call carries, and the kernels behind it. Nothing here owns memory.
#pragma once

#include <cstdint>

#include "cpu/dispatch.hpp"
#include "pybackdoor/network_view.hpp"
#include "pybackdoor/step.hpp"

namespace pybackdoor {

// A float32 or float64 array of the caller; strides in elements. Null data: absent.
struct ArrayView {
  const void* data;
  bool single;
  std::int64_t row, column;
};

template <class T>
struct EvaluateCall {
  NetworkView<T> network;
  ArrayView points;  // [count, dimension]
  std::int64_t count;
  double *values, *gradients;  // [count], [count, dimension]
};

template <class T>
struct ClimbCall {
  NetworkView<T> network;
  const NetworkView<T>* second;  // or null
  StepRule rule;
  std::int64_t count;
  ArrayView starts, anchors, radii, offsets, slopes;  // absent anchors are the starts
  double *points, *values, *objectives;               // [count, dimension], [count], [count]
  std::int64_t *status, *steps;                       // [count]
  std::int64_t* next;                                 // the first seed no thread has taken yet, shared by all threads
};

template <class T>
struct AscentFunctions {
  int panel;                                                                                       // rows of a panel, for PackedNetwork
  int group;                                                                                       // seeds side by side
  std::int64_t (*evaluate_numbers)(const NetworkView<T>&, int groups);                             // of memory for evaluate
  std::int64_t (*climb_numbers)(const NetworkView<T>&, const NetworkView<T>* second, int groups);  // of memory for climb
  void (*evaluate)(const EvaluateCall<T>&, std::int64_t first, std::int64_t count, T* memory);     // count <= groups * group
  void (*climb)(const ClimbCall<T>&, int groups, T* memory);                                       // takes seeds until none is left
};

struct AscentKernels {
  AscentFunctions<float> single;
  AscentFunctions<double> full;
};

template <class T>
const AscentFunctions<T>& ascent_functions(InstructionSet set);

// Values and input gradients of the points, on at most `threads` threads.
template <class T>
void evaluate_points(InstructionSet set, const EvaluateCall<T>& call, int threads);

// Whole ascents of the seeds; call.next is set here.
template <class T>
void climb_seeds(InstructionSet set, ClimbCall<T> call, int threads);

}  // namespace pybackdoor
