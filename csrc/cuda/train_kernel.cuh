// The kernel and its launch, for one way of multiplying: a block of 8 warps a network; see train_tile.cuh for what a warp and a thread own.
#pragma once

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

// The kernel of the width that the networks were placed for.
template <bool Tensor>
static const char* enqueue_placed(const TrainLaunch& launch, cudaStream_t stream) {
  switch (launch.place.packing.width) {
    case 32:
      return enqueue<TrainTile<32, Tensor>>(launch, stream);
    case 64:
      return enqueue<TrainTile<64, Tensor>>(launch, stream);
    case 128:
      return enqueue<TrainTile<128, Tensor>>(launch, stream);
    default:
      return enqueue<TrainTile<256, Tensor>>(launch, stream);
  }
}

}  // namespace pybackdoor
