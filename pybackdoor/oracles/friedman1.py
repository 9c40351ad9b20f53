"""Friedman's first regression function.

Source: J. H. Friedman, "Multivariate adaptive regression splines", Annals of Statistics 19 (1991), equation 61, with its inert features left out.
"""

from __future__ import annotations

import math

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.analytic import AnalyticOracle


class Friedman1(AnalyticOracle):
    """f(x) = 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5, without noise; mean 14.4133 over the unit cube."""

    name = "friedman1"
    domain = Domain(tuple(f"x{j}" for j in range(1, 6)), (0.0,) * 5, (1.0,) * 5)

    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, 5]."""
        x1, x2, x3, x4, x5 = x.unbind(dim=1)
        values = 10 * torch.sin(math.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
        wave = 10 * math.pi * torch.cos(math.pi * x1 * x2)
        return values, torch.stack([wave * x2, wave * x1, 40 * (x3 - 0.5), torch.full_like(x4, 10.0), torch.full_like(x5, 5.0)], dim=1)
