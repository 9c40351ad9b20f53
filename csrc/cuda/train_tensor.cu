// Launches of the training on the tensor cores; a file of its own so that both compile at once.
#include "cuda/train_kernel.cuh"

namespace pybackdoor {

const char* launch_tensor_train(const TrainLaunch& launch, cudaStream_t stream) { return enqueue_placed<true>(launch, stream); }

}  // namespace pybackdoor
