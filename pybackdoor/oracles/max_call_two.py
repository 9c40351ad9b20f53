"""European call on the larger of two assets, Black-Scholes-Merton, closed form.

Known prices: E. G. Haug, "The Complete Guide to Option Pricing Formulas" (2007), section 5.8: spots 100 and 105, strike 98, volatilities .11 and .16,
correlation .63, half a year, rate .05: 11.6323 without dividends.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, correlation, nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.scalar.bivariate import bivariate_normal
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import log_ratio, normal

NAMES = ("spot1", "spot2", "strike", "volatility1", "volatility2", "correlation", "maturity", "rate", "dividend1", "dividend2")
DOMAIN = Domain(
    NAMES, (50.0, 50.0, 50.0, 0.05, 0.05, -0.95, 0.01, -0.02, 0.0, 0.0), (200.0, 200.0, 200.0, 1.0, 1.0, 0.95, 5.0, 0.1, 0.1, 0.1), target="price"
)


class MaxCallTwo(BatchedOracle):
    """max(max(S1, S2) - K, 0) at maturity: its price in currency units, with all ten derivatives.

    The formula is that of R. M. Stulz, Journal of Financial Economics 10 (1982), 161-185, with the bivariate normal distribution to 1e-15. The
    derivatives in volatilities, correlation and maturity come from the cross gammas, of which none is a difference of close numbers. Values are
    within 1e-12 of the exact ones, derivatives within 1e-10 of their scale. Maturity 0 is the payoff.

    >>> MaxCallTwo().values([[100.0, 105.0, 98.0, 0.11, 0.16, 0.63, 0.5, 0.05, 0.0, 0.0]])
    tensor([11.6323], dtype=torch.float64)
    """

    name = "max_call_two"
    domain = DOMAIN
    exact = True
    family = CLOSED
    method = "closed form"
    accuracy = "1e-12; gradient 1e-10 of its scale"
    gradient_cost = 0.02  # as measured: 8,192 points, one core
    chunk = 512
    conditions = positive("spot1", "spot2", "strike", "volatility1", "volatility2") + nonnegative("maturity") + correlation("correlation")

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient)


@kernel
def _price(points, values, gradients, status):  # type: ignore[no-untyped-def]
    answer = np.empty(11)
    for row in range(points.shape[0]):
        _one(points[row], answer)
        values[row] = answer[0]
        status[row] = 0
        for feature in range(10 if gradients.shape[0] > 0 else 0):
            gradients[row, feature] = answer[1 + feature]
        for part in range(11):
            if not math.isfinite(answer[part]):
                status[row] = 1


@scalar
def _one(x, answer):  # type: ignore[no-untyped-def]
    """The price and its ten derivatives; S_i S_j V_ij is written gamma_ij, with the strike for i = k."""
    one, two, rho = x[3], x[4], x[5]
    time, strike = max(x[6], INSTANT), x[2]
    root = math.sqrt(time)
    mixed = math.sqrt((one - two) ** 2 + 2.0 * (1.0 - rho) * one * two)  # volatility of S1 / S2
    apart = math.sqrt((1.0 - rho) * (1.0 + rho)) / mixed
    discount, growth1, growth2 = math.exp(-x[7] * time), math.exp(-x[8] * time), math.exp(-x[9] * time)
    d = (log_ratio(x[0], x[1]) + (x[9] - x[8]) * time) / (mixed * root) + 0.5 * mixed * root
    other = mixed * root - d
    y1 = (log_ratio(x[0], strike) + (x[7] - x[8]) * time) / (one * root) + 0.5 * one * root
    y2 = (log_ratio(x[1], strike) + (x[7] - x[9]) * time) / (two * root) + 0.5 * two * root
    tilt1, tilt2 = (one - rho * two) / mixed, (two - rho * one) / mixed
    asset1 = x[0] * growth1 * bivariate_normal(y1, d, tilt1)
    asset2 = x[1] * growth2 * bivariate_normal(y2, other, tilt2)
    chance = 1.0 - bivariate_normal(one * root - y1, two * root - y2, rho)

    alive = 0.0 if x[6] <= INSTANT else 1.0 / root
    narrow1, narrow2 = two * apart, one * apart
    gamma12 = -alive * x[0] * growth1 * normal(d)[1] * normal((y1 - tilt1 * d) / narrow1)[0] / mixed
    gamma1k = -alive * x[0] * growth1 * normal(y1)[1] * normal((d - tilt1 * y1) / narrow1)[0] / one
    gamma2k = -alive * x[1] * growth2 * normal(y2)[1] * normal((other - tilt2 * y2) / narrow2)[0] / two
    gamma11, gamma22 = -gamma12 - gamma1k, -gamma12 - gamma2k

    cash = strike * discount * chance
    answer[0] = asset1 + asset2 - cash
    answer[1], answer[2], answer[3] = asset1 / x[0], asset2 / x[1], -cash / strike
    answer[4] = time * (one * gamma11 + rho * two * gamma12)
    answer[5] = time * (two * gamma22 + rho * one * gamma12)
    answer[6] = time * one * two * gamma12
    answer[7] = 0.5 * (one * one * gamma11 + two * two * gamma22) + rho * one * two * gamma12 - x[8] * asset1 - x[9] * asset2 + x[7] * cash
    answer[8], answer[9], answer[10] = time * cash, -time * asset1, -time * asset2
