"""Random networks for the tests of the ascent, and the instruction sets this machine can run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from pybackdoor import _native
from pybackdoor.records import Network

INSTRUCTION_SETS: tuple[str, ...] = tuple(_native.instruction_sets())


def random_network(widths: Sequence[int], dimension: int, activation: str, *, seed: int = 0, curved: bool = True) -> Network:
    """A network as training would start it, with an output map, and exponential inputs in every third feature if `curved`."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = (dimension, *widths, 1)
    weights = tuple(normal(after, before) * (2 / before) ** 0.5 for before, after in pairwise(sizes))
    biases = tuple(0.3 * normal(after) for after in sizes[1:])
    rate = torch.zeros(dimension, dtype=torch.float64)
    if curved:
        rate[::3] = 0.5 + torch.rand(rate[::3].shape, generator=generator, dtype=torch.float64)
    return Network(weights, biases, activation, 0.3 * normal(dimension), 1 + 0.3 * normal(dimension), rate, output_shift=0.7, output_scale=2.5)


def cube_points(count: int, dimension: int, seed: int = 1) -> torch.Tensor:
    """Uniform points of the unit cube, [count, dimension] float64."""
    return torch.rand(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smallest_preactivation(network: Network, points: torch.Tensor) -> torch.Tensor:
    """[N] how near a point lies to a kink: the least |z| over all units, relative to the root mean square of its layer."""
    curved = network.input_rate != 0
    z = network.input_shift + network.input_scale * torch.where(curved, torch.exp(network.input_rate * points), points)
    nearest = torch.full((points.shape[0],), torch.inf, dtype=torch.float64)
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        before = z @ weight.T + bias
        nearest = torch.minimum(nearest, (before.abs() / before.square().mean().sqrt()).amin(dim=1))
        z = torch.where(before > 0, before, 0.01 * before) if network.activation == "leaky_relu" else torch.relu(before)
    return nearest
