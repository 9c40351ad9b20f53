"""European call on the larger of two assets, Black-Scholes-Merton, closed form.

Known prices: E. G. Haug, "The Complete Guide to Option Pricing Formulas" (2007), section 5.8: spots 100 and 105, strike 98, volatilities .11 and .16,
correlation .63, half a year, rate .05: 11.6323 without dividends.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, correlation, nonnegative, positive
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import store_row
from pybackdoor.oracles.scalar.max_call_two import max_call_two

NAMES = ("spot1", "spot2", "strike", "volatility1", "volatility2", "correlation", "maturity", "rate", "dividend1", "dividend2")
DOMAIN = Domain(
    NAMES, (50.0, 50.0, 50.0, 0.05, 0.05, -0.95, 0.01, -0.02, 0.0, 0.0), (200.0, 200.0, 200.0, 1.0, 1.0, 0.95, 5.0, 0.1, 0.1, 0.1), target="price"
)


class MaxCallTwo(OnDevice, BatchedOracle):
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

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import max_call_two, rows

        return rows.solve(max_call_two.price, x, gradient)


@kernel
def _price(points, values, gradients, status):  # type: ignore[no-untyped-def]
    for row in range(points.shape[0]):
        store_row(max_call_two(points[row]), row, values, gradients, status)
