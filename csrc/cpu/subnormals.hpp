// Subnormal numbers count as zero for as long as an object of this lives, on its thread: processors handle them a hundred times slower than others,
// and saturated activations make them by the thousand. Kernels that search or train create one in each thread; results below 1e-38 (float) become 0.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#include <cstdint>

namespace pybackdoor {

class SubnormalsAreZero {
 public:
  SubnormalsAreZero() : before_(read()) { write(before_ | zeroing); }
  ~SubnormalsAreZero() { write(before_); }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;
  SubnormalsAreZero& operator=(const SubnormalsAreZero&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr std::uint64_t zeroing = 0x8040;  // flush results, take operands as zero
  static std::uint64_t read() { return _mm_getcsr(); }
  static void write(std::uint64_t word) { _mm_setcsr(static_cast<unsigned>(word)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t zeroing = std::uint64_t(1) << 24;
  static std::uint64_t read() {
    std::uint64_t word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(std::uint64_t word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
  static constexpr std::uint64_t zeroing = 0;
  static std::uint64_t read() { return 0; }
  static void write(std::uint64_t) {}
#endif
  std::uint64_t before_;
};

}  // namespace pybackdoor
