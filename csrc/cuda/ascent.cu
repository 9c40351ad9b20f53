// Launches of the ascent. A block is 8 warps; see ascent_climb.cuh for what a team, a warp and a thread own.
#include <cuda_runtime.h>

#include "cuda/ascent_climb.cuh"
#include "cuda/ascent_plan.hpp"

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

const char* device_limits(int device, int& multiprocessors, int& shared_bytes) {
  cudaError_t error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* ascent_refusal(const NetworkShape& shape) { return refuse_ascent(shape); }

AscentPlan plan_ascent(const AscentRequest& request) { return lay_out_ascent(request); }

const char* launch_ascent(const ClimbLaunch& launch, void* stream) {
  if (launch.count == 0) return nullptr;
  const auto queue = static_cast<cudaStream_t>(stream);
  if (launch.plan.tile == 64) {
    return launch.plan.resident ? enqueue<Shape<8, 8, true>>(launch, queue) : enqueue<Shape<8, 8, false>>(launch, queue);
  }
  return launch.plan.resident ? enqueue<Shape<4, 4, true>>(launch, queue) : enqueue<Shape<4, 4, false>>(launch, queue);
}

}  // namespace pybackdoor
