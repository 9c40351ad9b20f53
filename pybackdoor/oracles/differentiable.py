"""Elementary functions under torch's automatic differentiation whose results do not depend on where in an array a number stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class _Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        result = torch.from_numpy(np.exp(np.ascontiguousarray(x.detach().numpy())))
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *bars: torch.Tensor) -> torch.Tensor:
        return bars[0] * ctx.saved_tensors[0]


class _LogRatio(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(above, below)
        return torch.from_numpy(np.log1p(np.ascontiguousarray(((above - below) / below).detach().numpy())))

    @staticmethod
    def backward(ctx: Any, *bars: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        above, below = ctx.saved_tensors
        return bars[0] / above, -bars[0] / below


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x [n]."""
    return _Exp.apply(x)


def log_ratio(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """log(above / below) [n], to full relative accuracy also where they are close."""
    return _LogRatio.apply(above, below)
