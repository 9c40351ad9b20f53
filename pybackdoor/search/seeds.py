"""Where a search starts."""

from __future__ import annotations

import torch

from pybackdoor.data import design
from pybackdoor.domain import Domain
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import Samples
from pybackdoor.search.thinning import thin


def residual_seeds(samples: Samples, surrogate: Surrogate, count: int, *, distance: float) -> torch.Tensor:
    """Up to `count` rows with the largest |label - surrogate|, no two within `distance`: [<= count, d] in the unit cube, worst first.

    Rows outside the domain are left out: a search does not leave the cube.
    """
    rows = samples.domain.contains(samples.x).nonzero()[:, 0]
    unit = samples.unit[rows].clamp(0.0, 1.0)
    residuals = (samples.y[rows] - surrogate.values(samples.x[rows])).abs()
    residuals = torch.where(torch.isfinite(residuals), residuals, 0.0)
    order = torch.argsort(residuals, descending=True, stable=True)
    taken, kept = 16 * count, order[:0]
    while kept.shape[0] < count:  # the worst rows settle the worst seeds: more rows only add later ones
        front = order[:taken]
        kept = front[thin(unit[front], residuals[front], distance)]
        if taken >= order.shape[0]:
            break
        taken *= 4
    return unit[kept[:count]]


def space_filling_seeds(domain: Domain, count: int, *, seed: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """`count` scrambled Sobol points of the unit cube: [count, d]."""
    return domain.to_unit(design(domain, count, method="sobol", seed=seed)).clamp(0.0, 1.0).to(device)
