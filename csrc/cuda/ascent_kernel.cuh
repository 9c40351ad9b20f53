// The kernel and its launch, for one way of multiplying.
#pragma once

#include <cuda_runtime.h>

#include "cuda/ascent_climb.cuh"

namespace pybackdoor {

template <class S>
__global__ void __launch_bounds__(32 * warps_per_block, 1) ascent_kernel(const __grid_constant__ ClimbLaunch launch) {
  extern __shared__ float4 shared[];
  climb_block<S>(this_thread(shared), launch);
}

template <class S>
static const char* enqueue(const ClimbLaunch& launch, cudaStream_t stream) {
  const AscentPlan& plan = launch.plan;
  cudaError_t error = cudaFuncSetAttribute(ascent_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared_bytes);
  if (error == cudaSuccess) error = cudaMemsetAsync(launch.workspace, 0, sizeof(unsigned long long), stream);
  if (error == cudaSuccess) {
    ascent_kernel<S><<<static_cast<unsigned>(plan.blocks), 32 * warps_per_block, static_cast<std::size_t>(plan.shared_bytes), stream>>>(launch);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// The kernel that the plan asks for.
template <bool Tensor>
static const char* enqueue_planned(const ClimbLaunch& launch, cudaStream_t stream) {
  const AscentPlan& plan = launch.plan;
  if (plan.tile == 64)
    return plan.resident ? enqueue<Shape<8, 8, true, Tensor>>(launch, stream) : enqueue<Shape<8, 8, false, Tensor>>(launch, stream);
  return plan.resident ? enqueue<Shape<4, 4, true, Tensor>>(launch, stream) : enqueue<Shape<4, 4, false, Tensor>>(launch, stream);
}

}  // namespace pybackdoor
