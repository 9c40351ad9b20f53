// Launches of the training: a block of 8 warps a network; see train_tile.cuh for what a warp and a thread own.
#include <cuda_runtime.h>

#include "cuda/train_block.cuh"

namespace pybackdoor {

template <class S>
__global__ void __launch_bounds__(S::threads, 1) train_kernel(const __grid_constant__ TrainLaunch launch) {
  extern __shared__ float4 shared[];
  run_block<S>(this_thread(shared), launch);
}

template <class S>
static const char* enqueue(const TrainLaunch& launch, cudaStream_t stream) {
  const std::int64_t blocks = launch.networks * (launch.outputs ? launch.chunks : 1);
  cudaError_t error = cudaFuncSetAttribute(train_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, launch.place.shared_bytes);
  if (error == cudaSuccess) {
    train_kernel<S><<<static_cast<unsigned>(blocks), S::threads, static_cast<std::size_t>(launch.place.shared_bytes), stream>>>(launch);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* train_refusal(const TrainShape& shape, int shared_bytes) { return refuse_train(shape, shared_bytes); }

TrainPlacement place_train(const TrainShape& shape, int batch_size, int shared_bytes) { return lay_out_train(shape, batch_size, shared_bytes); }

template <int Width>
static const char* enqueue_width(const TrainLaunch& launch, cudaStream_t stream) {
  return launch.tensor ? enqueue<TrainTile<Width, true>>(launch, stream) : enqueue<TrainTile<Width, false>>(launch, stream);
}

const char* launch_train(const TrainLaunch& launch, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  switch (launch.place.packing.width) {
    case 32:
      return enqueue_width<32>(launch, queue);
    case 64:
      return enqueue_width<64>(launch, queue);
    case 128:
      return enqueue_width<128>(launch, queue);
    default:
      return enqueue_width<256>(launch, queue);
  }
}

}  // namespace pybackdoor
