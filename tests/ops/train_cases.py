"""Problems of the tests of training, and how two states are compared."""

import torch

from pybackdoor.ops.train import BACKENDS, initial_state
from pybackdoor.records import TrainingState

ROWS, FEATURES = 300, 3
ANYWHERE = sorted(set(BACKENDS) - {"cuda", "cuda_tf32x3"})  # backends that need no device
CUDA_SHAPES = [  # widths that the CUDA training takes: padded and not, resident and not, one unit and twenty layers
    (1, 1, 1),
    (3, 2, 5, 1),
    (5, 1, 7, 1),
    (70, 17, 130, 1),
    (2, 65, 1),
    (9, *[16] * 7, 1),
    (5, *[64] * 4, 1),
    (2, 256, 200, 1),
    (4, *[60] * 20, 1),
]


def smooth_data():
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(ROWS, FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2]


def start(activation="silu", networks=1, widths=(FEATURES, 12, 9, 1), dtype=torch.float64, **options):
    return initial_state(widths, activation, networks=networks, dtype=dtype, **options)


def problem(rows=400, features=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows, features, generator=generator) - 1
    y = torch.sin(3 * x[:, 0]) + x[:, -1] * x.sum(1)
    return x, y / y.std()


def moved(state, *, dtype=None, device=None):
    return TrainingState(
        *(tuple(tensor.to(device, dtype) for tensor in part) for part in (state.weights, state.biases, state.first_moments, state.second_moments)),
        state.step,
    )


def tensors(state):
    return [*state.weights, *state.biases, *state.first_moments, *state.second_moments]


def deviation(one, other):
    """The largest difference of a weight or bias."""
    pairs = zip(one.weights + one.biases, other.weights + other.biases, strict=True)
    return max(float((a.cpu().double() - b.cpu().double()).abs().max()) for a, b in pairs)


def assert_same_bits(one, other):
    assert one.step == other.step
    assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))
