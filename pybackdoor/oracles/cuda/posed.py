"""What the finite-difference oracles do on a GPU around their kernels: points in parts, and what is not finite."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pybackdoor.records.evaluation import EvaluationStatus

_AT_ONCE = 2**18  # points whose frames, 300 MB with what their derivatives need, are there at the same time


def in_parts(
    price: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values [N], gradients [N, d] (meaningless without `gradient`) and status [N] by price(points), NaN where something is not finite."""
    parts = [price(points) for points in x.split(_AT_ONCE)]
    values, gradients = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    good = values.isfinite() & gradients.isfinite().all(dim=1) if gradient else values.isfinite()
    values.masked_fill_(~good, torch.nan)
    if gradient:
        gradients.masked_fill_(~good[:, None], torch.nan)
    return values, gradients, torch.where(good, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).to(torch.int64)
