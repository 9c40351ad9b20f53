"""Second-order finite differences whose points stay inside a domain."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain


def difference_points(domain: Domain, x: torch.Tensor, step: torch.Tensor | float) -> torch.Tensor:
    """The 2 d further points [2 d, N, d] that the gradient at x [N, d] needs: rows 2 j and 2 j + 1 move feature j.

    Feature j moves by -step and +step (one number, or [d]) in the unit cube, or by one and two steps inwards where a bound is nearer than a step.
    Points outside the domain keep the centred form.
    """
    unit = domain.to_unit(x)
    stencil = x.repeat(2 * domain.dimension, 1, 1)  # [2 d, N, d]
    inside = (unit >= 0) & (unit <= 1)
    second = torch.as_tensor(step, dtype=unit.dtype, device=unit.device).expand_as(unit)
    step, first = second, -second
    low, high = inside & (unit < step), inside & (unit > 1 - step)
    first = torch.where(low, step, torch.where(high, -step, first))
    second = torch.where(low, 2 * step, torch.where(high, -2 * step, second))
    ahead, behind = domain.to_natural(unit + first), domain.to_natural(unit + second)
    for feature in range(domain.dimension):
        stencil[2 * feature, :, feature] = ahead[:, feature]
        stencil[2 * feature + 1, :, feature] = behind[:, feature]
    return stencil


def differences(x: torch.Tensor, stencil: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The gradient [N, d] from values [1 + 2 d, N] at x and at the stencil of `difference_points`.

    The derivative at x of the parabola through the three points, which takes the steps as they came out of rounding.
    """
    columns = []
    for feature in range(x.shape[1]):
        a = stencil[2 * feature, :, feature] - x[:, feature]
        b = stencil[2 * feature + 1, :, feature] - x[:, feature]
        slope_a = (values[1 + 2 * feature] - values[0]) / a
        slope_b = (values[2 + 2 * feature] - values[0]) / b
        columns.append((slope_a * b - slope_b * a) / (b - a))
    return torch.stack(columns, dim=1)
