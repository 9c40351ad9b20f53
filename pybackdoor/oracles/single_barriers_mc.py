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
PAYOFF, UNTOUCHED, TOUCHED = range(3)  # parts of a price
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

    method = "Monte Carlo, bridge-corrected, importance sampling"
    gradient_cost = 0.6

    def __init__(self, kind: str, *, paths: int = 16384, steps: int = 1, seed: int = 0, draws: str = "sobol") -> None:
        if kind not in KINDS:
            raise InputError(f"single barrier: kind is {kind!r}; one of {', '.join(KINDS)} is needed")
        closed = SingleBarrier(kind)
        self.name = f"{closed.name}_mc"
        self.domain, self.conditions = closed.domain, closed.conditions
        if steps < 1:
            raise InputError(f"{self.name}: {steps} steps; at least 1 is needed")
        direction, action, right = kind.split("_")
        self.kind = kind
        self._signs = (1.0 if right == "call" else -1.0, 1.0 if direction == "down" else -1.0, 1.0 if action == "in" else 0.0)
        super().__init__(paths=paths, dimensions=steps, seed=seed, draws=draws, walk=steps)

    def _with_paths(self, paths: int) -> SingleBarrierMonteCarlo:
        return SingleBarrierMonteCarlo(self.kind, paths=paths, steps=self.draws.dimensions, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, *self._signs)


DOWN_IN_CALL, DOWN_IN_PUT, DOWN_OUT_CALL, DOWN_OUT_PUT, UP_IN_CALL, UP_IN_PUT, UP_OUT_CALL, UP_OUT_PUT = map(SingleBarrierMonteCarlo, KINDS)


@kernel
def _price(points, walk, answers, sign, side, knocked_in):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: walk [steps, paths], answers [n, 1 or 9]."""
    w = cache_lines((ROWS + 5) * BLOCK)
    slopes = answers.shape[1] > 1
    sums = np.empty((2, 5))
    for row in range(points.shape[0]):
        spot, strike, barrier, rebate, volatility, maturity, rate, dividend = points[row]
        touched = (spot - barrier) * side <= 0.0
        time = max(maturity, INSTANT)
        s = volatility * math.sqrt(time)
        start = 0.0 if touched else side * log_ratio(spot, barrier) / s
        drift = (rate - dividend - 0.5 * volatility * volatility) * time / s
        at_strike = -log_ratio(spot, strike) / s - drift
        p = math.sqrt(max(drift * drift + 2.0 * rate * time, NEAR_REPEATED * NEAR_REPEATED))
        sums[:, :] = 0.0
        for part in (PAYOFF, UNTOUCHED if knocked_in > 0.0 else TOUCHED):
            if touched and not (part == PAYOFF and knocked_in > 0.0):
                continue
            if (part != PAYOFF and not (rebate > 0.0 or slopes)) or (part == TOUCHED and maturity <= INSTANT):
                continue
            bent = slopes and (part == PAYOFF or rebate > 0.0)
            shift = _shift(part, sign, s, at_strike, side, start, drift, p, knocked_in) if maturity > INSTANT else 0.0
            if abs(shift) < 1e300:
                _sum(w, walk, part, sign, s, at_strike, side, start, drift, shift, p, knocked_in, bent)
                _take(w, part, walk.shape[1], side, start, drift, shift, p, sums[min(part, 1)])
        if touched:
            sums[0, 3:] = 0.0
            sums[1, 0] = 1.0 - knocked_in
        _assemble(points[row], sums, sign, side, start, drift, knocked_in, answers[row])


@scalar
def _assemble(point, sums, sign, side, start, drift, knocked_in, answer):  # type: ignore[no-untyped-def]
    """Value and derivatives from the means of both parts."""
    spot, strike, barrier, rebate, volatility, maturity, rate, dividend = point
    time = max(maturity, INSTANT)
    root = math.sqrt(time)
    s = volatility * root
    discount = math.exp(-rate * time)
    paid, late = strike * discount, discount if knocked_in > 0.0 else 1.0
    asset, cash, unit = sign * paid * sums[0, 0], sign * paid * sums[0, 1], late * sums[1, 0]
    answer[0] = asset - cash + rebate * unit
    if answer.shape[0] == 1:
        return
    by_start = paid * sums[0, 3] + rebate * late * sums[1, 1]
    by_drift = paid * sums[0, 4] + rebate * late * sums[1, 2]
    by_growth = asset + by_drift / s  # with d((r - q - sigma^2 / 2) T)
    by_interest = cash - asset + rebate * (late * sums[1, 3] - knocked_in * unit)  # with d(r T)
    by_s = sign * paid * sums[0, 2] - (by_start * start + by_drift * drift) / s if maturity > INSTANT else 0.0
    by_log = side * by_start / s
    answer[1] = (asset + by_log) / spot
    answer[2] = -cash / strike
    answer[3] = -by_log / barrier
    answer[4] = unit
    answer[5] = by_s * root - by_growth * volatility * time
    answer[6] = 0.5 * by_s * volatility / root + by_growth * (rate - dividend - 0.5 * volatility * volatility) + by_interest * rate
    answer[7] = time * (by_growth + by_interest)
    answer[8] = -time * by_growth


@scalar
def _safe(side, start, drift):  # type: ignore[no-untyped-def]
    """Whether a touch is the exception."""
    return start > 1.0 and start + side * drift > 1.0


@scalar
def _shift(part, sign, s, at_strike, side, start, drift, p, knocked_in):  # type: ignore[no-untyped-def]
    """Where to draw W(1) for a part; NaN where nothing is paid."""
    if part == PAYOFF:
        return payoff_shift(sign, s, at_strike, side, start, drift, knocked_in)
    if part == TOUCHED:
        return -side * max(p, start) if start < p + FARTHEST else math.nan
    away = side * drift
    return -side * min(start + min(away, start), FARTHEST) if _safe(side, start, drift) else survivor_shift(side, start, drift)


@scalar
def _sum(w, walk, part, sign, s, at_strike, side, start, drift, shift, p, knocked_in, slopes):  # type: ignore[no-untyped-def]
    """Sums over the paths, side by side in the last rows of w.

    PAYOFF: survival g (or its complement) times S / K, 1 and S / K Z where the option pays, and the payoff over K times dg/dD and dg/d drift.
    UNTOUCHED: survival, or the touch if that is the exception, and survival's two derivatives.
    TOUCHED: E[exp(-r tau); tau < T]. With p^2 = drift^2 + 2 r T it is exp(-drift D - p^2 / 2) E[(1 - q) cosh(p (c - d)) / cosh(p c)] without a
    drift, d the distance at T. Reflection makes E[(1 - q) exp(p d)] = E[(1 - q) exp(-p d)], so that any c serves: this one takes exp(-p d), which is
    the smoother, unless p is small, where the whole must depend on p^2 alone.
    """
    turn = 1.0 - 2.0 * knocked_in
    base = -0.5 * (shift * shift + p * p) - side * drift * start
    rarer = -1.0 if _safe(side, start, drift) else 1.0
    w[_SUMS:] = 0.0
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, 0.0 if part == TOUCHED else drift, shift, slopes)
        if part == PAYOFF:
            for i in range(BLOCK):
                z = w[Z + i] + shift
                x = s * (z - at_strike)
                weight = exp(-shift * w[Z + i])
                weight = weight if sign * x > 0.0 else 0.0
                share, grown = weight * (knocked_in + turn * w[ALIVE + i]), exp(x)
                paid = turn * weight * sign * (grown - 1.0)
                w[_SUMS + i] += share * grown
                w[_SUMS + BLOCK + i] += share
                w[_SUMS + 2 * BLOCK + i] += share * grown * z
                w[_SUMS + 3 * BLOCK + i] += paid * w[BY_START + i]
                w[_SUMS + 4 * BLOCK + i] += paid * w[BY_DRIFT + i]
        elif part == UNTOUCHED:
            for i in range(BLOCK):
                weight = exp(-shift * w[Z + i])
                w[_SUMS + i] += weight * (0.5 - rarer * (0.5 - w[ALIVE + i]))
                w[_SUMS + BLOCK + i] += weight * w[BY_START + i]
                w[_SUMS + 2 * BLOCK + i] += weight * w[BY_DRIFT + i]
        else:
            for i in range(BLOCK):
                d, hit = w[DISTANCE + i], 1.0 - w[ALIVE + i]
                level = base - shift * w[Z + i]
                near, mirrored = exp(level - p * d), exp(level + p * (d - 2.0 * _TURN))
                w[_SUMS + i] += hit * (near + mirrored)
                w[_SUMS + BLOCK + i] += w[BY_START + i] * (near + mirrored)
                w[_SUMS + 2 * BLOCK + i] += hit * (near - mirrored)
                w[_SUMS + 3 * BLOCK + i] += hit * (_TURN - d) * (near - mirrored)


@scalar
def _take(w, part, paths, side, start, drift, shift, p, answer):  # type: ignore[no-untyped-def]
    """The means of a part; of a rebate: of 1, and its derivatives in D, drift and, at the touch, r T."""
    far = math.exp(-2.0 * p * _TURN)
    scale = 1.0 / (1.0 + far) if part == TOUCHED else math.exp(-0.5 * shift * shift)
    for number in range(5):
        answer[number] = scale / paths * w[_SUMS + number * BLOCK : _SUMS + (number + 1) * BLOCK].sum()
    if part == UNTOUCHED:
        answer[0] = 1.0 - answer[0] if _safe(side, start, drift) else answer[0]
    elif part == TOUCHED:
        total, alive, odd, turned = answer[0], answer[1], answer[2], answer[3]
        by_square = 0.5 * (turned - _TURN * (1.0 - far) / (1.0 + far) * total) / p - 0.5 * total  # with d(p^2)
        answer[1] = -side * drift * total - alive - p * odd
        answer[2] = 2.0 * drift * by_square - side * start * total
        answer[3] = 2.0 * by_square
