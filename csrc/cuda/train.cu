// Launches of the training, true float32; train_tensor.cu has the others.
#include "cuda/train_kernel.cuh"

namespace pybackdoor {

const char* launch_tensor_train(const TrainLaunch& launch, cudaStream_t stream);

const char* train_refusal(const TrainShape& shape, int shared_bytes) { return refuse_train(shape, shared_bytes); }

TrainPlacement place_train(const TrainShape& shape, int batch_size, int shared_bytes) { return lay_out_train(shape, batch_size, shared_bytes); }

const char* launch_train(const TrainLaunch& launch, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  return launch.tensor ? launch_tensor_train(launch, queue) : enqueue_placed<false>(launch, queue);
}

}  // namespace pybackdoor
