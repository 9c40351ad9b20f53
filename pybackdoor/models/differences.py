"""Finite-difference gradients of models that have none of their own. They cost model calls, never oracle calls."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pybackdoor.domain import Domain

DOUBLE_STEP = 6e-6  # about the cube root of float64's rounding, in the unit cube: truncation and rounding errors balance
SINGLE_STEP = 5e-3  # the same for a model that computes in float32


def gradients_by_differences(
    values: Callable[[torch.Tensor], torch.Tensor], domain: Domain, x: torch.Tensor, *, step: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """d(value)/d(feature) [N, d] at natural points x [N, d] by differences over +-`step` in the unit cube.

    Central inside the domain. Where an arm would leave it, that arm is cut at the bound (the difference becomes one-sided there, of first order);
    points outside the domain are not moved towards it. dtype: of the model's input; the arms are rounded to it first, so that their length is exact.
    One call of `values` on [2 N d, d] points.
    """
    count, dimension = x.shape
    if not count:
        return torch.empty_like(x)
    unit = domain.to_unit(x)
    offsets = step * torch.eye(dimension, dtype=x.dtype, device=x.device)
    inside = (unit >= 0) & (unit <= 1)
    arms = []
    for sign in (1.0, -1.0):
        moved = unit[:, None, :] + sign * offsets  # [N, d, d]
        arms.append(torch.where(inside[:, None, :], moved.clamp(0.0, 1.0), moved))
    points = torch.stack([domain.to_natural(arm.reshape(-1, dimension)) for arm in arms])  # [2, N d, d]
    points = points.to(dtype).to(x.dtype)
    upper, lower = values(points.reshape(-1, dimension)).reshape(2, count, dimension)
    natural = points.reshape(2, count, dimension, dimension).diagonal(dim1=2, dim2=3)  # [2, N, d]: the feature that was moved
    return (upper - lower) / (natural[0] - natural[1])
