"""Kernels of the form (points [N, d], values [N], gradients [N, d], status [N], *constants): one problem a row.

`gradients` has two dimensions, or one when none are asked for: a branch on `gradients.ndim` is decided before compilation, so that what only
gradients need is not computed.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from pybackdoor.oracles.cuda.launch import Kernel, device
from pybackdoor.oracles.scalar.block import NOT_FINITE, OK


def solve(kernel: Kernel, points: torch.Tensor, gradient: bool, *constants: Any, **launch: int) -> tuple[torch.Tensor, ...]:
    """Values [N], gradients [N, d] (or nothing), and status [N] int64 of the rows of points [N, d], all on the device of the points.

    launch: `lanes` and `shared` of `Kernel.__call__`.
    """
    count = points.shape[0]
    values = points.new_empty(count)
    gradients = points.new_empty(points.shape if gradient else (1,))
    status = points.new_empty(count, dtype=torch.int64)
    kernel(count, points.contiguous(), values, gradients, status, *constants, **launch)
    return values, gradients, status


@device
def store(answer, row, values, gradients, status):  # type: ignore[no-untyped-def]
    """Puts (value, *slopes) into its row; with one that is not finite the row is NaN, with that status."""
    nothing = answer[0] * 0.0
    if gradients.ndim == 2:
        for column in range(len(answer) - 1):
            nothing += answer[column + 1] * 0.0
    good = nothing == 0.0
    values[row] = answer[0] if good else math.nan
    if gradients.ndim == 2:
        for column in range(len(answer) - 1):
            gradients[row, column] = answer[column + 1] if good else math.nan
    status[row] = OK if good else NOT_FINITE
