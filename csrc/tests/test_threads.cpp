// Every tile runs exactly once, on a thread of the right number; an exception reaches the caller after all threads have ended.
#include <atomic>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "cpu/threads.hpp"

using namespace pybackdoor;

int main() {
  for (const int threads : {1, 2, 5, 40}) {
    for (const int tiles : {0, 1, 3, 64}) {
      std::vector<std::atomic<int>> runs(tiles);
      std::atomic<bool> numbers_fit{true};
      for_each_tile(tiles, threads, [&](std::int64_t tile, int thread) {
        runs[tile].fetch_add(1);
        if (thread < 0 || thread >= threads) numbers_fit = false;
      });
      CHECK(numbers_fit);
      for (const std::atomic<int>& run : runs) CHECK(run == 1);
    }
    bool caught = false;
    try {
      for_each_tile(100, threads, [](std::int64_t tile, int) {
        if (tile == 17) throw std::runtime_error("tile 17");
      });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught);
  }
  return failed();
}
