"""The down-and-out put: the problem, and its closed form.

European, Black-Scholes, continuously monitored barrier below the spot, no rebate, no dividend. Known prices at spot 100 (strike, barrier, volatility,
maturity in years, rate): (100, 50, .2, 1, .05) 5.55880974; (110, 80, .25, .5, .03) 6.21271037; (120, 60, .3, 2, 0) 12.62491380;
(200, 10, 1, 5, .1) 21.69710972.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from operator import mul

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.conditions import nonnegative, positive
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.scalar.down_and_out_put import down_and_out_put
from pybackdoor.records.evaluation import Evaluation

SPOT = 100.0
DOMAIN = Domain(
    ("strike", "barrier", "volatility", "maturity", "rate"), (50.0, 10.0, 0.01, 0.002, 0.0), (200.0, 100.0, 1.0, 5.0, 0.1), target="price"
)

_CHUNK = 4096


class PutOracle(Oracle):
    """A down-and-out put on an asset at `spot`; strikes and barriers of the domain scale with it."""

    conditions = positive("strike", "barrier", "volatility") + nonnegative("maturity")

    def __init__(self, *, spot: float = SPOT) -> None:
        if not (spot > 0.0 and math.isfinite(spot)):
            raise InputError(f"{self.name}: spot {spot}; a positive number is needed")
        self.spot = float(spot)
        scale = (spot / SPOT, spot / SPOT, 1.0, 1.0, 1.0)
        self.domain = (
            DOMAIN if spot == SPOT else replace(DOMAIN, lower=tuple(map(mul, DOMAIN.lower, scale)), upper=tuple(map(mul, DOMAIN.upper, scale)))
        )


class DownAndOutPut(OnDevice, PutOracle):
    """Price of the put by the formula of Reiner and Rubinstein (1991), with all five derivatives.

    Values are within 1e-10 and gradients within 1e-8 over the whole domain. Zero with zero gradient where strike <= barrier or barrier >= spot.
    Maturity 0 is the payoff. See `Oracle.evaluate` for bad rows and rows outside the domain.

    >>> DownAndOutPut().values([[100.0, 50.0, 0.2, 1.0, 0.05]])
    tensor([5.5588], dtype=torch.float64)
    """

    name = "down_and_out_put"
    exact = True
    family = CLOSED
    method = "closed form"
    accuracy = "1e-10; gradient 1e-8"
    gradient_cost = 0.12  # time of value and gradient over that of the value, less 1: 320,000 points with strike above barrier, one core

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        return evaluate_with(self, x, gradient, None)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import down_and_out_put, rows

        return rows.solve(down_and_out_put.price, x, gradient, self.spot)


Method = Callable[[np.ndarray, bool], tuple[np.ndarray, np.ndarray, np.ndarray]]


def evaluate_with(oracle: PutOracle, x: torch.Tensor, gradient: bool, method: Method | None) -> Evaluation:
    """The evaluation at x by a numerical method for points that have a price to be solved for, and by the closed form for the others (or all).

    method: points [n, 5] and whether gradients are wanted -> values [n], gradients [n, 5] or [0, 5], standard errors [n]. The others are points on or
    beyond the barrier, expired ones, and those that are no option at all.
    """
    points = np.ascontiguousarray(x.cpu().numpy())
    count = points.shape[0]
    values, errors, status = np.empty(count), np.zeros(count), np.zeros(count, dtype=np.int64)
    gradients = np.empty((count if gradient else 0, 5))
    rows = np.arange(count)
    if method is not None:
        strike, barrier, volatility, maturity, _ = points.T
        live = (strike > barrier) & (barrier > 0.0) & (barrier < oracle.spot) & (volatility > 0.0) & (maturity > 0.0)
        if live.any():
            values[live], live_gradients, errors[live] = method(points[live], gradient)
            if gradient:
                gradients[live] = live_gradients
        rows = np.flatnonzero(~live)

    def work(start: int, stop: int) -> None:
        _price(oracle.spot, points, rows[start:stop], values, gradients, status)

    in_chunks(work, len(rows), _CHUNK)
    return Evaluation(
        torch.from_numpy(values).to(x.device),
        torch.from_numpy(gradients).to(x.device) if gradient else None,
        torch.from_numpy(errors).to(x.device),
        torch.from_numpy(status).to(x.device),
        oracle.cost(count, gradient),
    )


def to_scaled(points: np.ndarray, spot: float) -> np.ndarray:
    """Rows (log(spot / barrier), log(strike / barrier), sigma^2 T, r T) [n, 4]: all that exp(r T) price / barrier depends on."""
    strike, barrier, volatility, maturity, rate = points.T
    return np.stack([-np.log1p((barrier - spot) / spot), np.log1p((strike - barrier) / barrier), volatility**2 * maturity, rate * maturity], axis=1)


def from_scaled(points: np.ndarray, scaled: np.ndarray, results: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [n], gradients [n, 5] (or [0, 5]) and standard errors [n] of prices.

    results [n, 5]: u = exp(r T) price / barrier and its derivatives in the columns of `scaled`, or [n, 1] without; errors [n]: standard errors of u.
    """
    strike, barrier, volatility, maturity, rate = points.T
    factor = barrier * np.exp(-scaled[:, 3])
    values, errors = factor * results[:, 0], factor * errors
    if results.shape[1] == 1:
        return values, np.empty((0, 5)), errors
    u, by_spot, by_strike, by_variance, by_growth = results.T
    by_growth = by_growth - u  # of exp(-r T) u
    gradients = np.stack(
        [
            by_strike / strike,
            (u - by_spot - by_strike) / barrier,
            2.0 * volatility * maturity * by_variance,
            volatility**2 * by_variance + rate * by_growth,
            maturity * by_growth,
        ],
        axis=1,
    )
    return values, factor[:, None] * gradients, errors


@kernel
def _price(spot, points, rows, values, gradients, status):  # type: ignore[no-untyped-def]
    """Fills the given rows of values [n], status [n] and, unless it is empty, gradients [n, 5] from points [n, 5]."""
    for row in rows:
        code, value, strike, barrier, volatility, maturity, rate = down_and_out_put(
            spot, points[row, 0], points[row, 1], points[row, 2], points[row, 3], points[row, 4]
        )
        status[row] = code
        values[row] = value
        if gradients.shape[0] > 0:
            gradients[row, 0] = strike
            gradients[row, 1] = barrier
            gradients[row, 2] = volatility
            gradients[row, 3] = maturity
            gradients[row, 4] = rate
