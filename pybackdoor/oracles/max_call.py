"""European call on the largest of several assets by quasi-Monte Carlo, Black-Scholes-Merton with one correlation.

Known prices: for two assets the closed form, max_call_two.py.
"""

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
    LOW,
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
from pybackdoor.oracles.scalar.asset_lines import NEVER, PARALLEL, between, chance, finish, prepare
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.several_assets import SeveralAssets


class MaxCall(SeveralAssets):
    """max(max(S_1 .. S_d) - K, 0) at maturity, d = 2 .. 5: its price in currency units, with its standard error and all 3 d + 4 derivatives.

    The common factor xi is integrated exactly (assets.py): along it every log S_i is a line, asset i is the largest between two crossings, and the
    integral is a sum of normal tails. What is left are d - 1 dimensions, in which pathwise derivatives are unbiased. draws: "sobol" or "philox"; see
    `Draws` and `MonteCarloOracle`. Maturity 0 is the payoff. Raises InputError when `assets` is not 2 .. 5.

    >>> MaxCall(2).values([[100.0, 105.0, 98.0, 0.11, 0.16, 0.63, 0.5, 0.05, 0.0, 0.0]])
    tensor([11.6323], dtype=torch.float64)
    """

    payoff = "max_call"
    gradient_cost = 0.3

    def _kernel(self) -> Any:
        return _price


MAX_CALL_TWO, MAX_CALL_THREE, MAX_CALL_FIVE = (MaxCall(assets) for assets in (2, 3, 5))


@kernel
def _price(points, normals, answers, plane):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: normals [d - 1, paths], answers [n, 1 or 3 d + 5], plane [d - 1, d]."""
    w = cache_lines(ROWS * BLOCK)
    d = plane.shape[1]
    constants, frame, sums = (1.0,), np.empty(3 * d + 1), np.empty(3 * d + 2)
    slope = frame[2 * d : 3 * d]
    for row in range(points.shape[0]):
        prepare(points[row], constants, frame)
        w[:] = 0.0
        for first in range(0, normals.shape[1], BLOCK):
            levels(w, normals, plane, first, frame)
            _largest(w, d, slope)
            _add(w, d, slope, answers.shape[1] > 1)
        take(w, d, sums)
        finish(points[row], constants, frame, sums, normals.shape[1], answers[row])


@scalar
def _largest(w, d, slope):  # type: ignore[no-untyped-def]
    """The rows LOW, HIGH: where asset i is the largest and above the strike; START: where any is above it. Of parallel lines the upper one counts."""
    for asset in range(d):
        level, low, high = LEVEL + asset * BLOCK, LOW + asset * BLOCK, HIGH + asset * BLOCK
        inverse = -1.0 / slope[asset]
        for i in range(BLOCK):
            w[low + i] = w[level + i] * inverse
            w[high + i] = NEVER
            w[START + i] = w[low + i] if asset == 0 else min(w[START + i], w[low + i])
    for one in range(d):
        for two in range(d):
            if slope[one] > slope[two] or (slope[one] == slope[two] and one > two):
                level, other, low, high = LEVEL + one * BLOCK, LEVEL + two * BLOCK, LOW + one * BLOCK, HIGH + two * BLOCK
                inverse = 1.0 / max(slope[one] - slope[two], PARALLEL * slope[one])
                for i in range(BLOCK):
                    crossing = (w[other + i] - w[level + i]) * inverse
                    w[low + i] = max(w[low + i], crossing)
                    w[high + i] = min(w[high + i], crossing)


@scalar
def _add(w, d, slope, slopes):  # type: ignore[no-untyped-def]
    """Adds what every asset pays over K, that times Y_i and its derivative in slope_i, and the chance that anything is paid."""
    for asset in range(d):
        c = slope[asset]
        level, low, high = LEVEL + asset * BLOCK, LOW + asset * BLOCK, HIGH + asset * BLOCK
        y, paid, moved, bent = FACTOR + asset * BLOCK, PAID + asset * BLOCK, MOVED + asset * BLOCK, BENT + asset * BLOCK
        for i in range(BLOCK):
            part, by_slope = between(w[level + i], c, w[low + i], w[high + i], w[WEIGHT + i])
            w[paid + i] += part
            w[GAIN + i] += part
            if slopes:
                w[moved + i] += part * w[y + i]
                w[bent + i] += by_slope
    for i in range(BLOCK):
        paid = chance(w[START + i], w[WEIGHT + i])
        w[CHANCE + i] += paid
        w[WIDENED + i] += w[RADIUS + i] * (w[GAIN + i] - paid)
