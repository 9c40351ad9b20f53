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

// The same pointer, of which the compiler knows nothing: addresses derived from it are computed again instead of being kept in registers.
PYBACKDOOR_DEVICE float* again(float* p) {
  asm volatile("" : "+l"(p));
  return p;
}

PYBACKDOOR_DEVICE void warp_barrier(const Thread&) { __syncwarp(); }

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

// The leading eleven bits. A NaN may become infinite.
PYBACKDOOR_DEVICE float leading_tf32(float x) { return from_word(to_word(x) & 0xffffe000u); }

// The nearest TF32 number, ties away from zero; NaN stays NaN.
PYBACKDOOR_DEVICE float nearest_tf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return from_word(bits);
}

// d += a b on tensor cores, 16 by 8 with 8 by 8 numbers as mma.m16n8k8 deals them to the lanes; the factors' last 13 bits do not count.
PYBACKDOOR_DEVICE void mma_tf32(const float (&a)[4], const float (&b)[2], float& d0, float& d1, float& d2, float& d3) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
               : "r"(to_word(a[0])), "r"(to_word(a[1])), "r"(to_word(a[2])), "r"(to_word(a[3])), "r"(to_word(b[0])), "r"(to_word(b[1])));
}

// c += a b, 32 by 8 with 8 by 16 numbers in pieces of 16 rows and 8 columns.
PYBACKDOOR_DEVICE void multiply_tf32(const Thread&, const float (&a)[2][4], const float (&b)[2][2], float (&c)[2][2][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n) mma_tf32(a[m], b[n], c[m][n][0], c[m][n][1], c[m][n][2], c[m][n][3]);
}

// The same for one piece, of factors that are members of `fragments`, of which every lane of the warp has one. Between share_fragments and
// release_fragments they do not change; only the emulation, whose lanes read each other's, needs to be told.
template <class Fragments>
PYBACKDOOR_DEVICE void share_fragments(const Thread&, const Fragments&) {}
PYBACKDOOR_DEVICE void release_fragments(const Thread&) {}
template <class Fragments>
PYBACKDOOR_DEVICE void multiply_shared(const Thread&, const Fragments&, const float (&a)[4], const float (&b)[2], float& d0, float& d1, float& d2,
                                       float& d3) {
  mma_tf32(a, b, d0, d1, d2, d3);
}

}  // namespace pybackdoor
#else
#include "tests/emulated_thread.hpp"  // only the C++ tests come here
#endif
