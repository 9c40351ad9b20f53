"""The Branin function.

Source: L. C. W. Dixon and G. P. Szego, "The global optimization problem: an introduction", Towards Global Optimization 2 (1978).
"""

from __future__ import annotations

import math

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.analytic import AnalyticOracle

_B, _C, _R, _S, _T = 5.1 / (4 * math.pi**2), 5 / math.pi, 6.0, 10.0, 1 / (8 * math.pi)


class Branin(AnalyticOracle):
    """f(x) = (x2 - b x1^2 + c x1 - r)^2 + s (1 - t) cos(x1) + s.

    Three minima of the value 5 / (4 pi) = 0.39788736, at (-pi, 12.275), (pi, 2.275) and (3 pi, 2.475).
    """

    name = "branin"
    domain = Domain(("x1", "x2"), (-5.0, 0.0), (10.0, 15.0))

    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, 2]."""
        x1, x2 = x[:, 0], x[:, 1]
        root = x2 - _B * x1**2 + _C * x1 - _R
        values = root**2 + _S * (1 - _T) * torch.cos(x1) + _S
        return values, torch.stack([2 * root * (_C - 2 * _B * x1) - _S * (1 - _T) * torch.sin(x1), 2 * root], dim=1)
