// csrc/cuda/thread.cuh for the host: a CUDA thread is a thread of the system, so that kernels run, and race under the thread sanitizer, without a
// device.
#pragma once

#include <atomic>
#include <barrier>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "pybackdoor/config.hpp"

#define PYBACKDOOR_DEVICE inline

namespace pybackdoor {

struct alignas(16) Four {
  float x[4];
};

struct EmulatedWarp {
  std::barrier<> barrier{32};
  float numbers[32];
  long long words[32];
  bool conditions[32];
  float factors[32][12];  // a[2][4], b[2][2]
  const char* fragments[32];
};

struct EmulatedBlock {
  EmulatedBlock(int warps, int team, std::size_t shared_bytes) : memory(shared_bytes / 16 + 1), all(warps * 32), warp(warps) {
    for (Four& four : memory)
      for (float& number : four.x) number = std::numeric_limits<float>::quiet_NaN();
    for (int first = 0; first + team <= warps; first += team) teams.push_back(std::make_unique<std::barrier<>>(team * 32));
  }
  std::vector<Four> memory;
  std::barrier<> all;
  std::vector<EmulatedWarp> warp;
  std::vector<std::unique_ptr<std::barrier<>>> teams;
};

struct Thread {
  int lane, warp, block;
  float* shared;
  EmulatedBlock* host;
};

inline void block_barrier(const Thread& thread) { thread.host->all.arrive_and_wait(); }
inline void team_barrier(const Thread& thread, int team, int) { thread.host->teams[team]->arrive_and_wait(); }

// Every lane writes, all wait, `read` takes what it needs, all wait again.
template <class T, class Read>
auto exchange(const Thread& thread, T (&slots)[32], T x, Read read) {
  EmulatedWarp& warp = thread.host->warp[thread.warp];
  slots[thread.lane] = x;
  warp.barrier.arrive_and_wait();
  const auto result = read();
  warp.barrier.arrive_and_wait();
  return result;
}

inline float* again(float* p) { return p; }
inline void warp_barrier(const Thread& thread) { thread.host->warp[thread.warp].barrier.arrive_and_wait(); }

inline float shuffle_xor(const Thread& thread, float x, int mask) {
  float (&slots)[32] = thread.host->warp[thread.warp].numbers;
  return exchange(thread, slots, x, [&] { return slots[thread.lane ^ mask]; });
}
inline long long shuffle(const Thread& thread, long long x, int lane) {
  long long (&slots)[32] = thread.host->warp[thread.warp].words;
  return exchange(thread, slots, x, [&] { return slots[lane]; });
}
inline unsigned ballot(const Thread& thread, bool condition) {
  bool (&slots)[32] = thread.host->warp[thread.warp].conditions;
  return exchange(thread, slots, condition, [&] {
    unsigned bits = 0;
    for (int lane = 0; lane < 32; ++lane) bits |= unsigned(slots[lane]) << lane;
    return bits;
  });
}
inline int count_bits(unsigned bits) { return __builtin_popcount(bits); }
inline long long fetch_add(const Thread&, unsigned long long* number, int amount) {
  return static_cast<long long>(std::atomic_ref(*number).fetch_add(static_cast<unsigned long long>(amount)));
}

inline Four load4(const float* p) {
  Four four;
  std::memcpy(&four, __builtin_assume_aligned(p, 16), sizeof four);
  return four;
}
inline void store4(float* p, const Four& v) { std::memcpy(__builtin_assume_aligned(p, 16), &v, sizeof v); }
inline void load2(const float* p, float& first, float& second) {
  const float* const pair = static_cast<const float*>(__builtin_assume_aligned(p, 8));
  first = pair[0], second = pair[1];
}

inline unsigned to_word(float x) { return std::bit_cast<unsigned>(x); }
inline float from_word(unsigned word) { return std::bit_cast<float>(word); }

inline float leading_tf32(float x) { return from_word(to_word(x) & 0xffffe000u); }

// What a tensor core makes of sum + left(0) right(0) + ... + left(3) right(3), at its worst: factors cut to TF32, the sum rounded towards zero.
template <class Left, class Right>
float cut_off_sum(float sum, const Left& left, const Right& right) {
  double exact = sum;
  for (int k = 0; k < 4; ++k) exact += double(leading_tf32(left(k))) * double(leading_tf32(right(k)));
  const float rounded = float(exact);
  return std::fabs(rounded) > std::fabs(exact) ? std::nextafter(rounded, 0.0f) : rounded;
}

// From the definition of mma.m16n8k8: row p + 8 h, column c of piece (m, n) of the result is the sum over k of a(row, k) b(k, column).
inline void multiply_tf32(const Thread& thread, const float (&a)[2][4], const float (&b)[2][2], float (&c)[2][2][4]) {
  EmulatedWarp& warp = thread.host->warp[thread.warp];
  float (&own)[12] = warp.factors[thread.lane];
  for (int i = 0; i < 8; ++i) own[i] = a[i / 4][i % 4];
  for (int i = 0; i < 4; ++i) own[8 + i] = b[i / 2][i % 2];
  warp.barrier.arrive_and_wait();
  const int p = thread.lane >> 2, q = thread.lane & 3;
  for (int m = 0; m < 2; ++m)
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < 4; ++i)
        for (int half = 0; half < 2; ++half)
          c[m][n][i] = cut_off_sum(
              c[m][n][i], [&](int k) { return warp.factors[4 * p + k][4 * m + 2 * half + i / 2]; },
              [&](int k) { return warp.factors[4 * (2 * q + i % 2) + k][8 + 2 * n + half]; });
  warp.barrier.arrive_and_wait();
}

inline float nearest_tf32(float x) { return std::isnan(x) ? x : leading_tf32(from_word(to_word(x) + 0x1000u)); }

template <class Fragments>
void share_fragments(const Thread& thread, const Fragments& fragments) {
  EmulatedWarp& warp = thread.host->warp[thread.warp];
  warp.fragments[thread.lane] = reinterpret_cast<const char*>(&fragments);
  warp.barrier.arrive_and_wait();
}
inline void release_fragments(const Thread& thread) { warp_barrier(thread); }

// The same for one piece, of factors that the lanes read where they lie.
template <class Fragments>
void multiply_shared(const Thread& thread, const Fragments& fragments, const float (&a)[4], const float (&b)[2], float& d0, float& d1, float& d2,
                     float& d3) {
  const EmulatedWarp& warp = thread.host->warp[thread.warp];
  const auto factor = [&](int lane, const float& own) {  // of another lane: at the same place in its fragments
    float number;
    std::memcpy(&number, warp.fragments[lane] + (reinterpret_cast<const char*>(&own) - reinterpret_cast<const char*>(&fragments)), sizeof number);
    return number;
  };
  const int p = thread.lane >> 2, q = thread.lane & 3;
  float* const d[4] = {&d0, &d1, &d2, &d3};
  for (int i = 0; i < 4; ++i)
    for (int half = 0; half < 2; ++half)
      *d[i] = cut_off_sum(
          *d[i], [&](int k) { return factor(4 * p + k, a[2 * half + i / 2]); }, [&](int k) { return factor(4 * (2 * q + i % 2) + k, b[half]); });
}

template <bool>
Four load_weights(const float* p) {
  return load4(p);
}
inline Four load4_far(const float* p) { return load4(p); }
inline void store4_far(float* p, const Four& v) { store4(p, v); }

// Runs body(thread) for every thread of `blocks` blocks at once.
template <class Body>
void emulate(int blocks, int warps, int team, std::size_t shared_bytes, const Body& body) {
  std::vector<std::unique_ptr<EmulatedBlock>> block;
  std::vector<std::thread> threads;
  for (int b = 0; b < blocks; ++b) block.push_back(std::make_unique<EmulatedBlock>(warps, team, shared_bytes));
  for (int b = 0; b < blocks; ++b)
    for (int self = 0; self < warps * 32; ++self)
      threads.emplace_back([&, b, self] { body(Thread{self % 32, self / 32, b, block[b]->memory.data()->x, block[b].get()}); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace pybackdoor
