"""Elementary functions under torch's automatic differentiation whose results do not depend on where in an array a number stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch


class _Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        result = x.exp() if x.is_cuda else torch.from_numpy(np.exp(np.ascontiguousarray(x.detach().numpy())))
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *bars: torch.Tensor) -> torch.Tensor:
        return bars[0] * ctx.saved_tensors[0]


class _LogRatio(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(above, below)
        ratio = (above - below) / below
        return ratio.log1p() if ratio.is_cuda else torch.from_numpy(np.log1p(np.ascontiguousarray(ratio.detach().numpy())))

    @staticmethod
    def backward(ctx: Any, *bars: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        above, below = ctx.saved_tensors
        return bars[0] / above, -bars[0] / below


def _series(x: Any) -> Any:
    """The derivative of (e^x - 1) / x by its series: sum of x^k / (k! (k + 2))."""
    total = 0.0 * x
    for degree in range(9, -1, -1):
        total = total * x + 1.0 / (math.factorial(degree) * (degree + 2))
    return total


class _MeanGrowth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        library: Any = torch if x.is_cuda else np
        at = x.detach() if x.is_cuda else np.ascontiguousarray(x.detach().numpy())
        safe = library.where(at == 0.0, 1.0, at)
        growth = library.where(at == 0.0, 1.0, library.expm1(safe) / safe)
        near = library.abs(at) < 0.1  # (e^x - growth) / x cancels there
        slope = library.where(near, _series(at), (library.exp(safe) - growth) / safe)
        ctx.save_for_backward(torch.as_tensor(slope))
        return torch.as_tensor(growth)

    @staticmethod
    def backward(ctx: Any, *bars: torch.Tensor) -> torch.Tensor:
        return bars[0] * ctx.saved_tensors[0]


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x [n]."""
    return _Exp.apply(x)


def log_ratio(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """log(above / below) [n], to full relative accuracy also where they are close."""
    return _LogRatio.apply(above, below)


def mean_growth(x: torch.Tensor) -> torch.Tensor:
    """(e^x - 1) / x [n], the mean of e^s over 0 < s < x; 1 at x = 0."""
    return _MeanGrowth.apply(x)
