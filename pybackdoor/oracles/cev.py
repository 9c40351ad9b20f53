"""European put and call under constant elasticity of variance, closed form.

dS = (r - q) S dt + volatility (S / 100)^(elasticity - 1) S dW, absorbed at 0: `volatility` is the lognormal one at a spot of 100. An elasticity of 1
would be Black-Scholes; 0 is the absolute diffusion, 1/2 the square root.

Known prices: elasticity 0 and rates 0 are L. Bachelier's formula less its mirror image, for example spot = strike = 100, volatility .2, one year:
7.978845 (= 20 / sqrt(2 pi)) for the call.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, Condition, Row, nonnegative, positive
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import store_row
from pybackdoor.oracles.scalar.cev import REFERENCE, cev

__all__ = ["CEV", "DOMAIN", "REFERENCE", "CEVCall", "CEVPut"]

DOMAIN = Domain(
    ("spot", "strike", "volatility", "elasticity", "maturity", "rate", "dividend"),
    (50.0, 50.0, 0.05, 0.0, 0.02, -0.02, 0.0),
    (200.0, 200.0, 0.8, 0.9, 5.0, 0.1, 0.1),
    target="price",
)


def _below_one(row: Row) -> torch.Tensor:
    return (row["elasticity"] < 1) & (row["elasticity"] >= -10)


class CEV(OnDevice, BatchedOracle):
    """Price in currency units with all seven derivatives.

    M. Schroder, "Computing the constant elasticity of variance option pricing formula", Journal of Finance 44 (1989), 211-219, by noncentral
    chi-square distributions summed to rounding. Values are within 1e-9 of the exact ones, derivatives within 1e-6 of their scale; the cost grows as
    1 / (volatility (1 - elasticity) sqrt(maturity)). Maturities below 1e-6 years are the payoff. An elasticity of 1 or more is bad input.
    """

    domain = DOMAIN
    exact = True
    family = CLOSED
    method = "closed form, series summed to rounding"
    accuracy = "1e-9; gradient 1e-6 of its scale"
    gradient_cost = 0.02  # as measured: 4,096 points, one core
    chunk = 256
    conditions = (
        positive("spot", "strike", "volatility") + nonnegative("maturity") + (Condition("elasticity", "an elasticity in [-10, 1)", _below_one),)
    )
    sign: float

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient, self.sign)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import cev, rows

        return rows.solve(cev.price, x, gradient, self.sign)


class CEVPut(CEV):
    """The put; see `CEV`."""

    name = "cev_put"
    sign = -1.0


class CEVCall(CEV):
    """The call; see `CEV`.

    >>> CEVCall().values([[100.0, 100.0, 0.25, 0.5, 0.5, 0.1, 0.0]])
    tensor([9.5845], dtype=torch.float64)
    """

    name = "cev_call"
    sign = 1.0


@kernel
def _price(points, values, gradients, status, sign):  # type: ignore[no-untyped-def]
    for row in range(points.shape[0]):
        store_row(cev(sign, points[row]), row, values, gradients, status)
