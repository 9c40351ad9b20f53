"""The Ishigami function.

Source: T. Ishigami and T. Homma, "An importance quantification technique in uncertainty analysis for computer models", ISUMA (1990).
"""

from __future__ import annotations

import math

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.analytic import AnalyticOracle

_A, _B = 7.0, 0.1


class Ishigami(AnalyticOracle):
    """f(x) = sin x1 + 7 sin^2 x2 + 0.1 x3^4 sin x1.

    Mean 3.5 and variance 13.8446 over the uniform box; first-order Sobol indices 0.3139, 0.4424 and 0.
    """

    name = "ishigami"
    domain = Domain(("x1", "x2", "x3"), (-math.pi,) * 3, (math.pi,) * 3)

    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, 3]."""
        x1, x2, x3 = x[:, 0], x[:, 1], x[:, 2]
        lift = 1 + _B * x3**4
        values = torch.sin(x1) * lift + _A * torch.sin(x2) ** 2
        return values, torch.stack([torch.cos(x1) * lift, _A * torch.sin(2 * x2), 4 * _B * x3**3 * torch.sin(x1)], dim=1)
