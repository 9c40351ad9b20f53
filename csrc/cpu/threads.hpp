// Threads that live for one call: none are kept, so that a process may fork between calls and nothing competes with torch's own pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace pybackdoor {

// work(tile, thread) for every tile in [0, tiles), each on one of at most `threads` threads (thread in [0, threads)); the caller's thread is number
// 0. Tiles are handed out as threads come free, so results must not depend on which thread runs a tile. The first exception stops the hand-out and is
// rethrown.
template <class Work>
void for_each_tile(std::int64_t tiles, int threads, const Work& work) {
  if (threads > tiles) threads = static_cast<int>(tiles);
  if (threads <= 1) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) work(tile, 0);
    return;
  }
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_lock;
  const auto run = [&](int thread) {
    try {
      for (std::int64_t tile = next.fetch_add(1); tile < tiles; tile = next.fetch_add(1)) work(tile, thread);
    } catch (...) {
      next.store(tiles);
      const std::lock_guard<std::mutex> guard(failure_lock);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(threads) - 1);
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  } catch (const std::system_error&) {
    // The system gives no more threads: those that run do all the tiles, with the same results.
  }
  run(0);
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace pybackdoor
