// What kernels ask of the machine: who am I, barriers of a team of warps, exchanges within a warp, sixteen-byte accesses.
//
// csrc/tests/test_cuda_ascent.cpp compiles the same kernels for the host and answers these calls with threads, so that logic and races are tested
// without a device.
#pragma once

#include <cstdint>

#include "pybackdoor/config.hpp"

#if defined(__CUDACC__)
#define PYBACKDOOR_DEVICE __device__ __forceinline__

namespace pybackdoor {

struct alignas(16) Four {
  float x[4];
};

struct Thread {
  int lane, warp, block;
  float* shared;
};

PYBACKDOOR_DEVICE Thread this_thread(void* shared) {
  return {int(threadIdx.x) & 31, int(threadIdx.x) >> 5, int(blockIdx.x), static_cast<float*>(shared)};
}

PYBACKDOOR_DEVICE void block_barrier(const Thread&) { __syncthreads(); }

// Of the `warps` warps of one team; teams use different barriers (number 0 is the block's).
PYBACKDOOR_DEVICE void team_barrier(const Thread&, int team, int warps) {
  if (warps == 1)
    __syncwarp();
  else
    asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "r"(warps * 32) : "memory");
}

PYBACKDOOR_DEVICE float shuffle_xor(const Thread&, float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
PYBACKDOOR_DEVICE long long shuffle(const Thread&, long long x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }
PYBACKDOOR_DEVICE unsigned ballot(const Thread&, bool condition) { return __ballot_sync(0xffffffffu, condition); }
PYBACKDOOR_DEVICE int count_bits(unsigned bits) { return __popc(bits); }
PYBACKDOOR_DEVICE long long fetch_add(const Thread&, unsigned long long* number, int amount) {
  return static_cast<long long>(atomicAdd(number, static_cast<unsigned long long>(amount)));
}

PYBACKDOOR_DEVICE Four load4(const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {v.x, v.y, v.z, v.w};
}
PYBACKDOOR_DEVICE void store4(float* p, const Four& v) { *reinterpret_cast<float4*>(p) = make_float4(v.x[0], v.x[1], v.x[2], v.x[3]); }

PYBACKDOOR_DEVICE void load2(const float* p, float& first, float& second) {
  const float2 v = *reinterpret_cast<const float2*>(p);
  first = v.x, second = v.y;
}

PYBACKDOOR_DEVICE unsigned to_word(float x) { return __float_as_uint(x); }
PYBACKDOOR_DEVICE float from_word(unsigned word) { return __uint_as_float(word); }

// c += a b on tensor cores, 32 by 8 with 8 by 16 numbers in pieces of 16 rows and 8 columns, as mma.m16n8k8 deals them to the lanes; the factors'
// last 13 bits do not count.
PYBACKDOOR_DEVICE void multiply_tf32(const Thread&, const float (&a)[2][4], const float (&b)[2][2], float (&c)[2][2][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n)
      asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(c[m][n][0]), "+f"(c[m][n][1]), "+f"(c[m][n][2]), "+f"(c[m][n][3])
                   : "r"(to_word(a[m][0])), "r"(to_word(a[m][1])), "r"(to_word(a[m][2])), "r"(to_word(a[m][3])), "r"(to_word(b[n][0])),
                     "r"(to_word(b[n][1])));
}

// Of memory nothing writes during the launch.
template <bool Shared>
PYBACKDOOR_DEVICE Four load_weights(const float* p) {
  if constexpr (Shared) return load4(p);
  const float4 v = __ldg(reinterpret_cast<const float4*>(p));
  return {v.x, v.y, v.z, v.w};
}

// Past the first-level cache, which is left to the weights.
PYBACKDOOR_DEVICE Four load4_far(const float* p) {
  const float4 v = __ldcg(reinterpret_cast<const float4*>(p));
  return {v.x, v.y, v.z, v.w};
}
PYBACKDOOR_DEVICE void store4_far(float* p, const Four& v) { __stcg(reinterpret_cast<float4*>(p), make_float4(v.x[0], v.x[1], v.x[2], v.x[3])); }

}  // namespace pybackdoor
#else
#include "tests/emulated_thread.hpp"  // only the C++ tests come here
#endif
