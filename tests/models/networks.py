"""Small networks and domains for the tests of models."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.models import NetworkSurrogate
from pybackdoor.records import Network

DOMAIN = Domain(("a", "b", "c"), (-1.0, 0.1, 50.0), (2.0, 10.0, 200.0), ("linear", "log", "linear"), "price")


def network(activation: str = "silu", widths: tuple[int, ...] = (6, 5), dimension: int = 3, seed: int = 0, **maps) -> Network:
    generator = torch.Generator().manual_seed(seed)
    shapes = list(zip((*widths, 1), (dimension, *widths), strict=True))
    weights = tuple(torch.randn(shape, generator=generator).double() for shape in shapes)  # float32 numbers, as training leaves them
    biases = tuple(torch.randn(rows, generator=generator).double() for rows, _ in shapes)
    shift = torch.full((dimension,), -1.0, dtype=torch.float64)
    settings = {"input_shift": shift, "input_scale": -2 * shift, "input_rate": 0 * shift, "output_shift": 3.0, "output_scale": 2.0} | maps
    return Network(weights, biases, activation, **settings)


def surrogate(activation: str = "silu", domain: Domain = DOMAIN, **settings) -> NetworkSurrogate:
    return NetworkSurrogate(network(activation, dimension=domain.dimension, **settings), domain, "small")


def points(domain: Domain = DOMAIN, count: int = 200, seed: int = 1) -> torch.Tensor:
    return domain.to_natural(torch.rand(count, domain.dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
