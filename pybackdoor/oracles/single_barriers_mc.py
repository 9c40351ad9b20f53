"""The eight European options with a single barrier and a rebate by Monte Carlo, watched continuously, whose truth is known (single_barriers.py)."""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.oracles.barrier_paths import ALIVE, BY_DRIFT, BY_START, DISTANCE, ROWS, Z, payoff_shift, survive, survivor_shift
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.importance import FARTHEST
from pybackdoor.oracles.scalar.single_barrier import NEAR_REPEATED
from pybackdoor.oracles.scalar.vmath import exp, log_ratio
from pybackdoor.oracles.single_barriers import KINDS, SingleBarrier

_SUMS = ROWS * BLOCK  # five rows of sums behind those of the paths
_TURN = 4.0  # distance beyond which the mirror image of the touch's weight takes over


class SingleBarrierMonteCarlo(MonteCarloOracle):
    """Price of one of the eight `KINDS`, in currency units, with its standard error and all eight derivatives, unbiased for any paths and steps.

    A path has `steps` equal steps, between which the barrier is watched by the exact touching chance of a Brownian bridge (barrier_paths.py): steps
    are needed for nothing but comparison. Payoff and rebate are each drawn around the terminal value that matters most to them. The rebate at the
    touch, E[exp(-r tau); tau < T], is a chance of touching under a zero drift, by Girsanov's theorem on the path up to the touch; no time is drawn.
    Derivatives are pathwise: survival makes the payoff continuous. A spot on the barrier or beyond has touched. draws: "sobol" or "philox"; see
    `Draws` and `MonteCarloOracle`; refusals are those of `SingleBarrier`. Raises InputError on an unknown kind.

    >>> SingleBarrierMonteCarlo("down_out_call").values([[100.0, 90.0, 95.0, 3.0, 0.25, 0.5, 0.08, 0.04]])
    tensor([9.0246], dtype=torch.float64)
    """

    gradient_cost = 0.5

    def __init__(self, kind: str, *, paths: int = 65536, steps: int = 1, seed: int = 0, draws: str = "sobol") -> None:
        if kind not in KINDS:
            raise InputError(f"single barrier: kind is {kind!r}; one of {', '.join(KINDS)} is needed")
        closed = SingleBarrier(kind)
        self.name = f"{closed.name}_mc"
        self.domain, self.conditions = closed.domain, closed.conditions
        if steps < 1:
            raise InputError(f"{self.name}: {steps} steps; at least 1 is needed")
        direction, action, right = kind.split("_")
        self._kind = (1.0 if right == "call" else -1.0, 1.0 if direction == "down" else -1.0, 1.0 if action == "in" else 0.0)
        super().__init__(paths=paths, dimensions=steps, seed=seed, draws=draws, bridged=True)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, *self._kind)


DOWN_IN_CALL, DOWN_IN_PUT, DOWN_OUT_CALL, DOWN_OUT_PUT, UP_IN_CALL, UP_IN_PUT, UP_OUT_CALL, UP_OUT_PUT = map(SingleBarrierMonteCarlo, KINDS)


@kernel
def _price(points, walk, answers, sign, side, knocked_in):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: walk [steps, paths], answers [n, 1 or 9]."""
    w = cache_lines((ROWS + 5) * BLOCK)
    slopes = answers.shape[1] > 1
    payoff, touch = np.empty(7), np.empty(5)
    for row in range(points.shape[0]):
        spot, strike, barrier, rebate, volatility, maturity, rate, dividend = points[row]
        touched = (spot - barrier) * side <= 0.0
        time = max(maturity, INSTANT)
        root = math.sqrt(time)
        s = volatility * root
        carry = rate - dividend - 0.5 * volatility * volatility
        start, drift = 0.0 if touched else side * log_ratio(spot, barrier) / s, carry * time / s
        discount = math.exp(-rate * time)
        payoff[:], touch[:] = 0.0, 0.0
        if not touched or knocked_in > 0.0:
            _payoff(w, walk, sign, side, knocked_in, log_ratio(spot, strike), s, start, drift, payoff, slopes)
        if touched:
            payoff[3] = payoff[4] = 0.0
            touch[0] = 1.0 - knocked_in
        elif rebate > 0.0 or slopes:
            _rebate(w, walk, side, knocked_in, start, drift, rate * time, touch, slopes and rebate > 0.0)
        paid = strike * discount
        value, early = paid * (payoff[0] - payoff[1]) * sign, touch[0] * (discount if knocked_in > 0.0 else 1.0)
        answers[row, 0] = value + rebate * early
        if slopes:
            late = knocked_in * rebate * early
            asset, cash = sign * paid * payoff[0], sign * paid * payoff[1]
            unit = rebate * (discount if knocked_in > 0.0 else 1.0)
            by_start = paid * payoff[3] + unit * touch[1]
            by_drift = paid * payoff[4] + unit * touch[2]
            by_growth = asset + by_drift / s  # with d((r - q - sigma^2 / 2) T)
            by_discount = cash - late + unit * touch[3]  # with d(r T)
            by_s = (sign * paid * payoff[2] - (by_start * start + by_drift * drift) / s) if maturity > INSTANT else 0.0
            by_log = side * by_start / s
            answers[row, 1] = (asset + by_log) / spot
            answers[row, 2] = -cash / strike
            answers[row, 3] = -by_log / barrier
            answers[row, 4] = early
            answers[row, 5] = by_s * root - by_growth * volatility * time
            answers[row, 6] = 0.5 * by_s * volatility / root + by_growth * carry + (by_discount - asset) * rate
            answers[row, 7] = time * (by_growth + by_discount - asset)
            answers[row, 8] = -time * by_growth


@scalar
def _payoff(w, walk, sign, side, knocked_in, moneyness, s, start, drift, answer, slopes):  # type: ignore[no-untyped-def]
    """Means of survival g (or its complement) times S / K, 1 and S / K Z where the option pays, and of the payoff over K times dg/dD, dg/d drift."""
    at_strike = -moneyness / s - drift
    shift = payoff_shift(sign, s, at_strike, side, start, drift, knocked_in)
    if not abs(shift) < 1e300:
        return
    turn = 1.0 - 2.0 * knocked_in
    w[_SUMS:] = 0.0
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, drift, shift, slopes)
        for i in range(BLOCK):
            z = w[Z + i] + shift
            x = s * (z - at_strike)
            weight = exp(-shift * w[Z + i])
            weight = weight if sign * x > 0.0 else 0.0
            share = weight * (knocked_in + turn * w[ALIVE + i])
            grown = exp(x)
            w[_SUMS + i] += share * grown
            w[_SUMS + BLOCK + i] += share
            if slopes:
                paid = turn * weight * sign * (grown - 1.0)
                w[_SUMS + 2 * BLOCK + i] += share * grown * z
                w[_SUMS + 3 * BLOCK + i] += paid * w[BY_START + i]
                w[_SUMS + 4 * BLOCK + i] += paid * w[BY_DRIFT + i]
    _take(w, 5, math.exp(-0.5 * shift * shift) / walk.shape[1], answer)


@scalar
def _take(w, count, scale, answer):  # type: ignore[no-untyped-def]
    for part in range(count):
        answer[part] = scale * w[_SUMS + part * BLOCK : _SUMS + (part + 1) * BLOCK].sum()


@scalar
def _rebate(w, walk, side, knocked_in, start, drift, interest, answer, slopes):  # type: ignore[no-untyped-def]
    """A rebate of 1 and its derivatives in D, drift and, at the touch, r T."""
    if knocked_in > 0.0:
        _untouched(w, walk, side, start, drift, answer, slopes)
    else:
        _touching(w, walk, side, start, drift, interest, answer, slopes)


@scalar
def _untouched(w, walk, side, start, drift, answer, slopes):  # type: ignore[no-untyped-def]
    """The chance of survival, undiscounted: of survival or of the touch, whichever is the rarer."""
    away = side * drift
    safe = start > 1.0 and start + away > 1.0
    shift = -side * min(max(start, 0.5 * (start - away)), FARTHEST) if safe else survivor_shift(side, start, drift)
    if not abs(shift) < 1e300:
        return
    w[_SUMS:] = 0.0
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, drift, shift, slopes)
        for i in range(BLOCK):
            weight = exp(-shift * w[Z + i])
            w[_SUMS + i] += weight * (1.0 - w[ALIVE + i] if safe else w[ALIVE + i])
            w[_SUMS + BLOCK + i] += weight * w[BY_START + i]
            w[_SUMS + 2 * BLOCK + i] += weight * w[BY_DRIFT + i]
    _take(w, 3, math.exp(-0.5 * shift * shift) / walk.shape[1], answer)
    answer[0] = 1.0 - answer[0] if safe else answer[0]


@scalar
def _touching(w, walk, side, start, drift, interest, answer, slopes):  # type: ignore[no-untyped-def]
    """E[exp(-r tau); tau < T]: with p^2 = drift^2 + 2 r T and no drift, exp(-drift D - p^2 / 2) E[(1 - q) cosh(p (c - d)) / cosh(p c)].

    d is the distance at T. Reflection makes E[(1 - q) exp(p d)] = E[(1 - q) exp(-p d)], so that any c serves: this one takes exp(-p d), which is
    the smoother, unless p is small, where the whole must depend on p^2 alone.
    """
    away = side * drift
    p = math.sqrt(max(drift * drift + 2.0 * interest, NEAR_REPEATED * NEAR_REPEATED))
    shift = -side * min(max(p, start), FARTHEST)
    base = -0.5 * shift * shift - 0.5 * p * p - away * start
    w[_SUMS:] = 0.0
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, 0.0, shift, slopes)
        for i in range(BLOCK):
            d = w[DISTANCE + i]
            level, alive = base - shift * w[Z + i], w[ALIVE + i]
            near, mirrored = exp(level - p * d), exp(level + p * (d - 2.0 * _TURN))
            w[_SUMS + i] += (1.0 - alive) * (near + mirrored)
            if slopes:
                w[_SUMS + BLOCK + i] += w[BY_START + i] * (near + mirrored)
                w[_SUMS + 2 * BLOCK + i] += (1.0 - alive) * (near - mirrored)
                w[_SUMS + 3 * BLOCK + i] += (1.0 - alive) * (_TURN - d) * (near - mirrored)
    far = math.exp(-2.0 * p * _TURN)
    _take(w, 4, 1.0 / ((1.0 + far) * walk.shape[1]), answer)
    total, alive, odd, turned = answer[0], answer[1], answer[2], answer[3]
    by_square = 0.5 * (turned - _TURN * (1.0 - far) / (1.0 + far) * total) / p - 0.5 * total  # with d(p^2)
    answer[1] = -away * total - alive - p * odd
    answer[2] = 2.0 * drift * by_square - side * start * total
    answer[3] = 2.0 * by_square
