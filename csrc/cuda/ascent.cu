// Launches of the ascent, true float32; ascent_tensor.cu has the others. A block is 8 warps; see ascent_shape.cuh for what a team, a warp and a
// thread own.
#include "cuda/ascent_kernel.cuh"
#include "cuda/ascent_plan.hpp"

namespace pybackdoor {

const char* launch_tensor_ascent(const ClimbLaunch& launch, cudaStream_t stream);

const char* device_limits(int device, int& multiprocessors, int& shared_bytes) {
  cudaError_t error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* ascent_refusal(const NetworkShape& shape) { return refuse_ascent(shape); }

AscentPlan plan_ascent(const AscentRequest& request) { return lay_out_ascent(request); }

const char* launch_ascent(const ClimbLaunch& launch, void* stream) {
  if (launch.count == 0) return nullptr;
  if (launch.count > most_seeds) return "a launch takes at most 2^31 - 1 seeds";
  const auto queue = static_cast<cudaStream_t>(stream);
  return launch.plan.tensor ? launch_tensor_ascent(launch, queue) : enqueue_planned<false>(launch, queue);
}

}  // namespace pybackdoor
