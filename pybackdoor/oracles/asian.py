"""Arithmetic Asian call and put, watched at equal dates, by quasi-Monte Carlo with the geometric average as control.

The option is on the mean of S at the dates T / M, 2 T / M .. T. At one date it is European; truth for more is the one-dimensional recursion in the
tests (L. C. G. Rogers and Z. Shi, Journal of Applied Probability 32 (1995), 1077-1088: the share is the numeraire).
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles.batched import nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.european_vanilla import DOMAIN
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.asian_path import (
    ASSET,
    CASH,
    DRIFT,
    FRAME,
    MOVED,
    NEWTON,
    START,
    SUMS,
    TIMED,
    S,
    chance,
    date_parts,
    finish,
    prepare,
)
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.threshold import threshold

ROOT, WORK, PARTS, LEVEL = 0, BLOCK, 3 * BLOCK, 7 * BLOCK  # rows; PARTS: the sums; LEVEL and more: one a date


class Asian(OnDevice, MonteCarloOracle):
    """Price of max(+-(mean of S - K), 0) in currency units, with its standard error and all six derivatives, unbiased for any number of paths.

    Along the normal number xi that drives the geometric mean, given the rest of the path, the arithmetic mean rises: the option is exercised on one
    side of a threshold, found by Newton's method, and is integrated over xi in closed form, one normal tail a date. Given the rest, the option on the
    geometric mean is a constant: all that a geometric control variate (A. G. Z. Kemna and A. C. F. Vorst, Journal of Banking and Finance 14
    (1990), 113-129) could remove is removed, and the payoff's kink with it. dates: M >= 1; draws: "sobol" or "philox", see `Draws` and
    `MonteCarloOracle`. Maturity 0 is the payoff.
    """

    domain = DOMAIN
    method = "quasi-Monte Carlo, the geometric mean integrated"
    gradient_cost = 0.1
    conditions = positive("spot", "strike", "volatility") + nonnegative("maturity")
    sign: float

    def __init__(self, *, dates: int = 12, paths: int = 4096, seed: int = 0, draws: str = "sobol") -> None:
        if dates < 1:
            raise InputError(f"{self.name}: {dates} dates; at least 1 is needed")
        self.dates = dates
        super().__init__(paths=paths, dimensions=dates, seed=seed, draws=draws, walk=dates)

    def _with_paths(self, paths: int) -> Asian:
        return type(self)(dates=self.dates, paths=paths, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, self.sign, geometric_share(self.dates))

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import asian

        return asian.estimate(self.draws, x, gradient, self.sign)


class AsianCall(Asian):
    """The call.

    >>> AsianCall(dates=1).values([[42.0, 40.0, 0.2, 0.5, 0.1, 0.0]], strict=False)  # one date: European
    tensor([4.7594], dtype=torch.float64)
    """

    name = "asian_call_mc"
    sign = 1.0


class AsianPut(Asian):
    """The put."""

    name = "asian_put_mc"
    sign = -1.0


def geometric_share(dates: int) -> np.ndarray:
    """The covariance [M] of W at the dates k / M with the mean of them, over that mean's deviation."""
    times = np.arange(1, dates + 1) / dates
    covariance = np.minimum.outer(times, times).mean(axis=1)
    return covariance / np.sqrt(covariance.mean())


@kernel
def _price(points, walk, answers, sign, share):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: walk [M, paths], answers [n, 1 or 7]."""
    dates, paths = walk.shape
    w = cache_lines((7 + dates) * BLOCK)
    rest, slope = np.empty((dates, paths)), np.empty(dates)
    _project(walk, share, rest)
    constants, frame, sums = (sign, float(dates)), np.empty(FRAME), np.empty(SUMS)
    for row in range(points.shape[0]):
        prepare(points[row], constants, frame)
        s = frame[S]
        slope[:] = s * share
        w[: 7 * BLOCK] = 0.0
        for first in range(0, paths, BLOCK):
            for date in range(dates):
                block, level, centre = rest[date, first : first + BLOCK], LEVEL + date * BLOCK, frame[START] + frame[DRIFT] * (date + 1)
                for i in range(BLOCK):
                    w[level + i] = centre + s * block[i]
            threshold(w, LEVEL, ROOT, WORK, slope, NEWTON)
            _add(w, rest, first, sign, slope, share)
        for number in range(SUMS):
            start = PARTS + number * BLOCK
            sums[number] = w[start : start + BLOCK].sum()
        finish(points[row], constants, frame, sums, paths, answers[row])


@scalar
def _project(walk, share, rest):  # type: ignore[no-untyped-def]
    """What is left of the walk [M, paths] without its mean's part."""
    dates, paths = walk.shape
    mean = np.zeros(paths)
    for date in range(dates):
        for path in range(paths):
            mean[path] += walk[date, path]
    deviation = share.sum() / dates
    for date in range(dates):
        part = share[date] / (deviation * dates)
        for path in range(paths):
            rest[date, path] = walk[date, path] - part * mean[path]


@scalar
def _add(w, rest, first, sign, slope, share):  # type: ignore[no-untyped-def]
    """Adds the dates' parts and the chance of exercise to the rows of sums."""
    dates = slope.shape[0]
    asset, cash, timed, moved = PARTS + ASSET * BLOCK, PARTS + CASH * BLOCK, PARTS + TIMED * BLOCK, PARTS + MOVED * BLOCK
    for date in range(dates):
        block, level, c, g, t = rest[date, first : first + BLOCK], LEVEL + date * BLOCK, slope[date], share[date], (date + 1) / dates
        for i in range(BLOCK):
            part, by_s = date_parts(w[level + i], block[i], w[ROOT + i], sign, c, g)
            w[asset + i] += part
            w[timed + i] += t * part
            w[moved + i] += by_s
    for i in range(BLOCK):
        w[cash + i] += chance(w[ROOT + i], sign)
