// Training of M networks of one shape by minibatch Adam: the call behind pybackdoor.ops.train's backend "cpu".
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/dispatch.hpp"
#include "cpu/train.hpp"
#include "pybackdoor/adam.hpp"
#include "pybackdoor/schedule.hpp"

namespace pybackdoor {

struct TrainPlan {
  Schedule schedule;
  AdamPlan adam;
  TrainLoss loss;
  std::int64_t batch_size;
  std::uint64_t seed;
  std::uint32_t purpose;
};

// A network's rows of the data: to train on, and to validate on (none: validation_count is 0).
struct TrainRows {
  const std::int64_t *rows, *validation;
  std::int64_t count, validation_count;
  std::uint32_t stream;
};

// M networks, changed in place: weights[l] [M, widths[l + 1], widths[l]] and biases[l] [M, widths[l + 1]] of each layer, then both Adam moments, in
// the same order (all weights, then all biases).
template <class T>
struct TrainState {
  std::vector<T*> parameters, first, second;
};

template <class T>
struct TrainTask {
  std::vector<std::int64_t> widths;  // inputs, hidden widths, 1
  int activation;
  TrainPlan plan;
  const T *x, *y, *weights;  // [count, inputs], [count], and null, [count] (weights_step 0) or [M, count] (weights_step count)
  std::int64_t count, weights_step;
  std::vector<TrainRows> networks;
  TrainState<T> state;
  std::int64_t start, until;                // steps start + 1 .. until are taken
  std::vector<std::int64_t> reports;        // ascending steps after which losses are reported
  std::vector<std::int64_t> snapshots;      // ascending steps, start .. until, after which residuals are
  double *training_loss, *validation_loss;  // [reports, M]; the second may be null
  T* residuals;                             // [snapshots, M, count], target minus prediction
  int threads;
};

// Called on the calling thread every few hundredths of a second with the steps all networks have done; false stops the training.
using TrainPoll = std::function<bool(std::int64_t)>;

// Whether the training came to its end; if not, the state is of no use. Networks are dealt out to threads that live for the call, or, when there are
// fewer of them, each to a team; the numbers do not depend on how many threads there are. Throws std::bad_alloc, std::system_error (no thread could
// be started) and what `poll` throws.
template <class T>
bool train(const TrainTask<T>& task, InstructionSet set, const TrainPoll& poll);

}  // namespace pybackdoor
