"""The eight European options with a single barrier, watched continuously, and a rebate: Black-Scholes-Merton, closed form.

Known prices, E. G. Haug, "The Complete Guide to Option Pricing Formulas" (2007), table 4-13: spot 100, rebate 3, half a year, rate .08, dividend
yield .04; down-and-out call, strike 90, barrier 95, volatility .25: 9.0246; up-and-in put, strike 110, barrier 105, volatility .3: 7.5649 (both
by the formulas of Reiner and Rubinstein, Risk 4 (1991), 28-35).
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.oracles.batched import BatchedOracle, Condition, nonnegative, positive
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import BLOCK, load_block, store_block
from pybackdoor.oracles.scalar.single_barrier import single_barrier

KINDS = ("down_in_call", "down_in_put", "down_out_call", "down_out_put", "up_in_call", "up_in_put", "up_out_call", "up_out_put")

_NAMES = ("spot", "strike", "barrier", "rebate", "volatility", "maturity", "rate", "dividend")
_BARRIERS = {"down": (10.0, 100.0), "up": (100.0, 400.0)}


def _waits(row: dict[str, torch.Tensor]) -> torch.Tensor:
    """Whether the equation of the rebate at the touch has real exponents; always so for dividend yields >= 0."""
    variance = row["volatility"] ** 2
    return (row["rate"] - row["dividend"] - 0.5 * variance) ** 2 + 2 * row["rate"] * variance >= 0


class SingleBarrier(OnDevice, BatchedOracle):
    """Price of one of the eight `KINDS`, in currency units, with all eight derivatives.

    kind: for example "down_out_put". A knock-out pays the rebate when the barrier is touched, a knock-in at maturity if it was not. A spot on the
    barrier or beyond it has touched. Values are within 1e-10 and gradients within 1e-8 (relative to their size where that is larger than 1) of the
    exact ones over the whole domain; maturity 0 is the payoff. A negative rate together with a dividend yield below it can leave the knock-out's
    rebate without real exponents: those rows are refused as bad input. Raises InputError on an unknown kind.

    >>> SingleBarrier("down_out_call").values([[100.0, 90.0, 95.0, 3.0, 0.25, 0.5, 0.08, 0.04]])
    tensor([9.0246], dtype=torch.float64)
    """

    exact = True
    family = CLOSED
    method = "closed form"
    accuracy = "1e-10; gradient 1e-8 of max(1, its size)"
    gradient_cost = 0.1  # as measured: 131,072 points, one core

    def __init__(self, kind: str) -> None:
        if kind not in KINDS:
            raise InputError(f"single barrier: kind is {kind!r}; one of {', '.join(KINDS)} is needed")
        direction, action, right = kind.split("_")
        self.name = f"barrier_{kind}"
        low, high = _BARRIERS[direction]
        self.domain = Domain(_NAMES, (50.0, 50.0, low, 0.0, 0.01, 0.002, -0.02, 0.0), (200.0, 200.0, high, 20.0, 1.0, 5.0, 0.1, 0.1), target="price")
        self.conditions = positive("spot", "strike", "barrier", "volatility") + nonnegative("rebate", "maturity")
        if action == "out":
            self.conditions += (Condition("dividend", "a dividend yield with (r - q - sigma^2 / 2)^2 + 2 r sigma^2 >= 0", _waits),)
        self._kind = (1.0 if right == "call" else -1.0, 1.0 if direction == "down" else -1.0, 1.0 if action == "in" else 0.0)

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient, *self._kind)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import rows, single_barriers

        return rows.solve(single_barriers.price, x, gradient, *self._kind)


DOWN_IN_CALL, DOWN_IN_PUT, DOWN_OUT_CALL, DOWN_OUT_PUT, UP_IN_CALL, UP_IN_PUT, UP_OUT_CALL, UP_OUT_PUT = map(SingleBarrier, KINDS)


@kernel
def _price(points, values, gradients, status, call, down, knocked_in):  # type: ignore[no-untyped-def]
    w = np.empty(17 * BLOCK)
    n = BLOCK
    for first in range(0, points.shape[0], BLOCK):
        load_block(points, first, w)
        if gradients.shape[0] == 0:
            for i in range(BLOCK):
                w[8 * n + i] = single_barrier(
                    call, down, knocked_in, w[i], w[n + i], w[2 * n + i], w[3 * n + i], w[4 * n + i], w[5 * n + i], w[6 * n + i], w[7 * n + i]
                )[0]
        else:
            for i in range(BLOCK):
                (
                    w[8 * n + i],
                    w[9 * n + i],
                    w[10 * n + i],
                    w[11 * n + i],
                    w[12 * n + i],
                    w[13 * n + i],
                    w[14 * n + i],
                    w[15 * n + i],
                    w[16 * n + i],
                ) = single_barrier(
                    call, down, knocked_in, w[i], w[n + i], w[2 * n + i], w[3 * n + i], w[4 * n + i], w[5 * n + i], w[6 * n + i], w[7 * n + i]
                )
        store_block(w, 8, first, values, gradients, status)
