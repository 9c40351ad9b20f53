"""European put and call on an asset with a dividend yield, Black-Scholes-Merton.

Known prices: J. C. Hull, "Options, Futures, and Other Derivatives", example 15.6: spot 42, strike 40, volatility .2, half a year, rate .1: call 4.76,
put 0.81; E. G. Haug, "The Complete Guide to Option Pricing Formulas" (2007), section 1.1.3: spot 100, strike 95, volatility .2, half a year, rate
.1, dividend yield .05: put 2.4648.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, nonnegative, positive
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import BLOCK, load_block, store_block
from pybackdoor.oracles.scalar.european import european

DOMAIN = Domain(
    ("spot", "strike", "volatility", "maturity", "rate", "dividend"),
    (50.0, 50.0, 0.01, 0.002, -0.02, 0.0),
    (200.0, 200.0, 1.0, 5.0, 0.1, 0.1),
    target="price",
)


class EuropeanVanilla(OnDevice, BatchedOracle):
    """Price in currency units, closed form, with all six derivatives: within 1e-12 of the exact value, gradients within 1e-10 of their scale.

    Maturity 0 is the payoff, spot equal to strike counting as halfway in its slope. See `BatchedOracle.evaluate` for bad rows.
    """

    domain = DOMAIN
    exact = True
    family = CLOSED
    method = "closed form"
    accuracy = "1e-12; gradient 1e-10 of its scale"
    gradient_cost = 0.13  # as measured: 131,072 points, one core
    conditions = positive("spot", "strike", "volatility") + nonnegative("maturity")
    sign: float

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient, self.sign)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import european_vanilla, rows

        return rows.solve(european_vanilla.price, x, gradient, self.sign)


class EuropeanPut(EuropeanVanilla):
    """The put.

    >>> EuropeanPut().values([[100.0, 95.0, 0.2, 0.5, 0.1, 0.05]])
    tensor([2.4648], dtype=torch.float64)
    """

    name = "european_put"
    sign = -1.0


class EuropeanCall(EuropeanVanilla):
    """The call."""

    name = "european_call"
    sign = 1.0


@kernel
def _price(points, values, gradients, status, sign):  # type: ignore[no-untyped-def]
    w = np.empty(13 * BLOCK)
    for first in range(0, points.shape[0], BLOCK):
        load_block(points, first, w)
        if gradients.shape[0] == 0:
            for i in range(BLOCK):
                w[6 * BLOCK + i] = european(sign, w[i], w[BLOCK + i], w[2 * BLOCK + i], w[3 * BLOCK + i], w[4 * BLOCK + i], w[5 * BLOCK + i])[0]
        else:
            for i in range(BLOCK):
                (w[6 * BLOCK + i], w[7 * BLOCK + i], w[8 * BLOCK + i], w[9 * BLOCK + i], w[10 * BLOCK + i], w[11 * BLOCK + i], w[12 * BLOCK + i]) = (
                    european(sign, w[i], w[BLOCK + i], w[2 * BLOCK + i], w[3 * BLOCK + i], w[4 * BLOCK + i], w[5 * BLOCK + i])
                )
        store_block(w, 6, first, values, gradients, status)
