"""Designs: where to put N points in a domain."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.ops.philox import uniforms

DESIGNS = ("sobol", "latin_hypercube", "uniform")
MOST_POINTS = 1 << 30  # of a Sobol sequence in 30 bits


def design(domain: Domain, count: int, *, method: str = "sobol", seed: int = 0) -> torch.Tensor:
    """`count` points of the domain in natural units: [count, d] float64 on the CPU.

    method: "sobol" (scrambled, Owen; the first points are the same for every count), "latin_hypercube" (one point in each of `count` slices of every
    axis) or "uniform" (independent, Philox). They fill the unit cube evenly, so on a log axis they are even in the logarithm.
    count 0 gives [0, d]. Raises InputError for an unknown method, or a count or seed out of range.

    >>> from pybackdoor.domain import Domain
    >>> design(Domain(("a", "b"), (0, 1), (1, 10), ("linear", "log")), 100).shape
    torch.Size([100, 2])
    """
    if method not in DESIGNS:
        raise InputError(f"design: unknown method {method!r}; one of {', '.join(DESIGNS)} is needed")
    if not isinstance(count, int) or not 0 <= count <= MOST_POINTS:
        raise InputError(f"design: {count!r} points; a whole number from 0 to {MOST_POINTS} is needed")
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise InputError(f"design: seed {seed!r}; a whole number from 0 to 2^64 - 1 is needed")
    if count == 0:
        return torch.empty(0, domain.dimension, dtype=torch.float64)
    return domain.to_natural(_unit_design(domain.dimension, count, method, seed))


def _unit_design(dimension: int, count: int, method: str, seed: int) -> torch.Tensor:
    if method == "uniform":
        return uniforms(count * dimension, seed=seed, purpose="uniform design").reshape(count, dimension)
    from scipy.stats import qmc

    if method == "latin_hypercube":
        return torch.from_numpy(qmc.LatinHypercube(dimension, rng=seed).random(count))
    power = (count - 1).bit_length()  # a whole power of two is what the sequence is made for; its beginning is the same
    return torch.from_numpy(qmc.Sobol(dimension, rng=seed).random_base2(power)[:count].copy())
