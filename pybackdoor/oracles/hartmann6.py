"""The six-dimensional Hartmann function.

Source: J. K. Hartman, "Some experiments in global optimization", Naval Research Logistics Quarterly 20 (1973); constants as in Dixon and Szego
(1978).
"""

from __future__ import annotations

import functools

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.analytic import AnalyticOracle

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = ((10.0, 3.0, 17.0, 3.5, 1.7, 8.0), (0.05, 10.0, 17.0, 0.1, 8.0, 14.0), (3.0, 3.5, 1.7, 10.0, 17.0, 8.0), (17.0, 8.0, 0.05, 10.0, 0.1, 14.0))
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


@functools.lru_cache(maxsize=16)
def _constants(dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The vector alpha [4] and the matrices A and P [4, 6], copied to a device once."""
    return tuple(torch.tensor(values, dtype=dtype, device=device) for values in (_ALPHA, _A, _P))


class Hartmann6(AnalyticOracle):
    """f(x) = -sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2).

    Global minimum -3.32236801 at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573); six local minima.
    """

    name = "hartmann6"
    domain = Domain(tuple(f"x{j}" for j in range(1, 7)), (0.0,) * 6, (1.0,) * 6)

    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, 6]."""
        alpha, a, p = _constants(x.dtype, x.device)
        offset = x[:, None, :] - p  # [N, 4, 6]
        bumps = alpha * torch.exp(-(a * offset**2).sum(dim=2))  # [N, 4]
        return -bumps.sum(dim=1), 2 * (bumps[:, :, None] * a * offset).sum(dim=1)
