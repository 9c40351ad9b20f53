"""European call on the average of several assets by quasi-Monte Carlo, Black-Scholes-Merton with one correlation."""

from __future__ import annotations

from typing import Any

import numpy as np

from pybackdoor.oracles.asset_paths import (
    BENT,
    CHANCE,
    FACTOR,
    GAIN,
    HIGH,
    LEVEL,
    MOVED,
    PAID,
    RADIUS,
    ROWS,
    START,
    WEIGHT,
    WIDENED,
    levels,
    take,
)
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.scalar.asset_lines import NEWTON, above, chance, finish, prepare
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.threshold import threshold
from pybackdoor.oracles.several_assets import SeveralAssets


class BasketCall(SeveralAssets):
    """max((S_1 + .. + S_d) / d - K, 0) at maturity, d = 2 .. 5: its price in currency units, with standard error and all 3 d + 4 derivatives.

    The basket rises with the common factor xi (assets.py): it is exercised beyond one threshold, found by Newton's method on every path, and the
    integral over xi is one normal tail an asset. What is left are d - 1 dimensions and smooth; at the threshold nothing is paid, so that its own
    derivative does not matter. draws: "sobol" or "philox"; see `Draws` and `MonteCarloOracle`. Maturity 0 is the payoff. Raises InputError
    when `assets` is not 2 .. 5.

    >>> BasketCall(2).values([[100.0, 100.0, 100.0, 0.2, 0.2, 0.9999, 1.0, 0.0, 0.0, 0.0]], strict=False)  # nearly one asset: 7.9656
    tensor([7.9654], dtype=torch.float64)
    """

    payoff = "basket_call"
    gradient_cost = 0.1

    def _kernel(self) -> Any:
        return _price


BASKET_CALL_TWO, BASKET_CALL_THREE, BASKET_CALL_FIVE = (BasketCall(assets) for assets in (2, 3, 5))


@kernel
def _price(points, normals, answers, plane):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: normals [d - 1, paths], answers [n, 1 or 3 d + 5], plane [d - 1, d]."""
    w = cache_lines(ROWS * BLOCK)
    d = plane.shape[1]
    constants, frame, sums = (1.0 / d,), np.empty(3 * d + 1), np.empty(3 * d + 2)
    slope = frame[2 * d : 3 * d]
    for row in range(points.shape[0]):
        prepare(points[row], constants, frame)
        w[:] = 0.0
        for first in range(0, normals.shape[1], BLOCK):
            levels(w, normals, plane, first, frame)
            threshold(w, LEVEL, START, HIGH, slope, NEWTON)
            _add(w, d, slope, answers.shape[1] > 1)
        take(w, d, sums)
        finish(points[row], constants, frame, sums, normals.shape[1], answers[row])


@scalar
def _add(w, d, slope, slopes):  # type: ignore[no-untyped-def]
    """Adds what every asset pays over K, that times Y_i and its derivative in slope_i, and the chance of exercise."""
    for asset in range(d):
        c = slope[asset]
        level, y = LEVEL + asset * BLOCK, FACTOR + asset * BLOCK
        paid, moved, bent = PAID + asset * BLOCK, MOVED + asset * BLOCK, BENT + asset * BLOCK
        for i in range(BLOCK):
            part, by_slope = above(w[level + i], c, w[START + i], w[WEIGHT + i])
            w[paid + i] += part
            w[GAIN + i] += part
            if slopes:
                w[moved + i] += part * w[y + i]
                w[bent + i] += by_slope
    for i in range(BLOCK):
        paid = chance(w[START + i], w[WEIGHT + i])
        w[CHANCE + i] += paid
        w[WIDENED + i] += w[RADIUS + i] * (w[GAIN + i] - paid)
