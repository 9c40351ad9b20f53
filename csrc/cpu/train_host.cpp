// Threads of a training: networks are dealt out to them, or, when there are fewer networks than threads, each network to a team.
#include "cpu/train_host.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "cpu/train_run.hpp"

#if defined(PYBACKDOOR_X86)
#include <immintrin.h>
#endif

PYBACKDOOR_DECLARE_KERNELS(TrainKernels, train_kernels)

namespace pybackdoor {
namespace {

constexpr double least_team_work = 2e6;  // operations a step below which a barrier costs more than a second thread brings

// Subnormal moments, which Adam makes of vanishing gradients, would slow the arithmetic a hundredfold: the threads of a training flush them to zero.
void flush_subnormals() {
#if defined(PYBACKDOOR_X86)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
}

const TrainFunctions<float>& functions_of(const TrainKernels& kernels, float) { return kernels.of_float; }
const TrainFunctions<double>& functions_of(const TrainKernels& kernels, double) { return kernels.of_double; }

// Threads that live for one call while the caller looks on.
class Crew {
 public:
  // Starts up to `wanted` threads, each running work(thread) once `begin` is called; how many there are. Throws when not even one starts.
  template <class Work>
  int start(int wanted, Work work) {
    threads_.reserve(static_cast<std::size_t>(wanted));
    try {
      for (int thread = 0; thread < wanted; ++thread) {
        threads_.emplace_back([this, work, thread] {
          {
            std::unique_lock<std::mutex> guard(lock_);
            changed_.wait(guard, [this] { return running_ >= 0 || abandoned_; });
            if (abandoned_) return;
          }
          flush_subnormals();
          try {
            work(thread);
          } catch (...) {
            const std::lock_guard<std::mutex> guard(lock_);
            if (!failure_) failure_ = std::current_exception();
            stop.store(true);
          }
          const std::lock_guard<std::mutex> guard(lock_);
          --running_;
          changed_.notify_all();
        });
      }
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;  // those that run do all the work, with the same results
    }
    return static_cast<int>(threads_.size());
  }

  // Lets the threads work; calls look() every few hundredths of a second until all are through. False from it, or an exception, stops them.
  template <class Look>
  void watch(const Look& look) {
    std::unique_lock<std::mutex> guard(lock_);
    running_ = static_cast<int>(threads_.size());
    changed_.notify_all();
    while (!changed_.wait_for(guard, std::chrono::milliseconds(50), [this] { return running_ == 0; })) {
      guard.unlock();
      try {
        if (!look()) stop.store(true);
      } catch (...) {
        guard.lock();
        if (!failure_) failure_ = std::current_exception();
        stop.store(true);
        continue;
      }
      guard.lock();
    }
    guard.unlock();
    join();
    if (failure_) std::rethrow_exception(failure_);
  }

  ~Crew() {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      abandoned_ = true;
    }
    changed_.notify_all();
    join();
  }

  std::atomic<bool> stop{false};

 private:
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::vector<std::thread> threads_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::exception_ptr failure_;
  int running_ = -1;  // -1: not begun
  bool abandoned_ = false;
};

int team_size(std::int64_t networks, int threads, const TrainStorage& plan, std::int64_t batch_size) {
  const double work = 6.0 * static_cast<double>(plan.layout.parameters) * static_cast<double>(batch_size);
  if (work < least_team_work) return 1;
  const std::int64_t tiles = (batch_size + plan.geometry.tile_rows - 1) / plan.geometry.tile_rows;
  return static_cast<int>(std::max<std::int64_t>(1, std::min({threads / networks, tiles, train_groups})));
}

}  // namespace

template <class T>
bool train(const TrainTask<T>& task, InstructionSet set, const TrainPoll& poll) {
  const TrainKernels& kernels = PYBACKDOOR_PICK_KERNELS(train_kernels, set);
  const TrainFunctions<T>& functions = functions_of(kernels, T(0));
  const TrainStorage plan = plan_storage(task.widths, task.activation, functions.geometry);
  const auto networks = static_cast<std::int64_t>(task.networks.size());
  std::vector<std::atomic<std::int64_t>> done(task.networks.size());
  for (auto& step : done) step.store(task.start);
  std::vector<std::unique_ptr<TrainRun<T>>> teams;
  std::atomic<std::int64_t> next{0};
  int team = team_size(networks, task.threads, plan, task.plan.batch_size);
  Crew crew;
  const int threads = crew.start(static_cast<int>(std::min<std::int64_t>(task.threads, networks * team)), [&](int thread) {
    if (team > 1) {
      const auto network = static_cast<std::size_t>(thread / team);
      return teams[network]->run(thread % team, crew.stop, done[network]);
    }
    for (std::int64_t network = next.fetch_add(1); network < networks && !crew.stop.load(); network = next.fetch_add(1))
      TrainRun<T>(task, kernels, functions, plan, network, 1).run(0, crew.stop, done[static_cast<std::size_t>(network)]);
  });
  if (threads < networks * team) team = 1;
  for (std::int64_t network = 0; team > 1 && network < networks; ++network)
    teams.push_back(std::make_unique<TrainRun<T>>(task, kernels, functions, plan, network, team));
  crew.watch([&] {
    std::int64_t least = task.until;
    for (const auto& step : done) least = std::min(least, step.load(std::memory_order_relaxed));
    return poll(least);
  });
  return !crew.stop.load();
}

template bool train<float>(const TrainTask<float>&, InstructionSet, const TrainPoll&);
template bool train<double>(const TrainTask<double>&, InstructionSet, const TrainPoll&);

}  // namespace pybackdoor
