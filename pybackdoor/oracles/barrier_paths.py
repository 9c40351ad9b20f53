"""A block of Brownian paths beside a barrier: the chance that each, watched continuously between its steps, never touched it.

In units where the walk is a standard Brownian motion W on [0, 1], the distance from the barrier at time t is D + drift t + W(t) (counted from the
barrier to the living side, which `side` = -1 turns around). Between two steps 1 / M apart at distances a, b > 0 a Brownian bridge touches with
probability exp(-2 M a b), whatever the drift (J. Beaglehole, P. Dybvig and G. Zhou, Financial Analysts Journal 53 (1997), 62-68): the product q of
the rest is the exact chance of survival given the steps, for any number of steps, and continuous in all parameters.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.block import BLOCK
from pybackdoor.oracles.scalar.importance import FARTHEST, payoff_slope
from pybackdoor.oracles.scalar.vmath import exp

Z, DISTANCE, ALIVE, BY_START, BY_DRIFT = range(0, 5 * BLOCK, BLOCK)  # rows of a block
ROWS = 5

_HALVINGS = 30


@scalar
def survive(w, walk, first, side, start, drift, shift, slopes):  # type: ignore[no-untyped-def]
    """Fills the rows of w for paths first .. first + BLOCK - 1 of walk [steps, n].

    Z: W(1) - shift as drawn, whose weight is exp(-shift Z - shift^2 / 2). DISTANCE at time 1. ALIVE: q, and with `slopes` its derivatives in D and
    drift.
    """
    steps = walk.shape[0]
    rate, tilt = 2.0 * steps, side * (drift + shift) / steps
    for i in range(BLOCK):
        w[DISTANCE + i], w[ALIVE + i], w[BY_START + i], w[BY_DRIFT + i] = start, 1.0, 0.0, 0.0
    for step in range(steps):
        block = walk[step, first : first + BLOCK]
        centre = start + tilt * (step + 1)
        before, after = side * rate * step / steps, side * rate * (step + 1) / steps
        if slopes:
            for i in range(BLOCK):
                here = centre + side * block[i]
                a, b = max(w[DISTANCE + i], 0.0), max(here, 0.0)
                touched = exp(-rate * a * b)
                hit = w[ALIVE + i] * touched if here > 0.0 else 0.0
                w[BY_START + i] = w[BY_START + i] * (1.0 - touched) + hit * rate * (a + b)
                w[BY_DRIFT + i] = w[BY_DRIFT + i] * (1.0 - touched) + hit * (before * b + after * a)
                w[ALIVE + i] *= 1.0 - touched
                w[DISTANCE + i] = here
        else:
            for i in range(BLOCK):
                here = centre + side * block[i]
                w[ALIVE + i] *= 1.0 - exp(-rate * max(w[DISTANCE + i], 0.0) * max(here, 0.0))
                w[DISTANCE + i] = here
    block = walk[steps - 1, first : first + BLOCK]
    for i in range(BLOCK):
        w[Z + i] = block[i]


@scalar
def survivor_shift(side, start, drift):  # type: ignore[no-untyped-def]
    """Where to draw W(1) for the chance of survival: the largest density times survival, in one step."""
    return _peak(0.0, 1.0, 0.0, side, start, drift, 0.0, -FARTHEST, FARTHEST)


@scalar
def payoff_shift(sign, deviation, at_strike, side, start, drift, knocked_in):  # type: ignore[no-untyped-def]
    """The same for a call or put (sign) whose strike lies at W(1) = at_strike, times survival, or with knocked_in = 1 its complement.

    NaN where nothing can be paid.
    """
    low, high = (max(at_strike, -FARTHEST), FARTHEST) if sign > 0.0 else (-FARTHEST, min(at_strike, FARTHEST))
    return _peak(sign, deviation, at_strike, side, start, drift, knocked_in, low, high)


@scalar
def _peak(sign, deviation, at_strike, side, start, drift, knocked_in, low, high):  # type: ignore[no-untyped-def]
    """The zero of a falling function: the derivative of log(density times payoff times survival) in W(1)."""
    wall = -drift - side * start  # W(1) on the barrier
    if knocked_in == 0.0:
        low, high = (max(low, wall), high) if side > 0.0 else (low, min(high, wall))
    if not low < high:
        return math.nan
    for _ in range(_HALVINGS):
        z = 0.5 * (low + high)
        slope = -z
        if sign != 0.0:
            slope += sign * payoff_slope(sign, deviation, max(sign * (z - at_strike), 1e-300))
        distance = side * (z - wall)
        if knocked_in == 0.0:
            fade = 2.0 * start * distance
            slope += side * 2.0 * start / max(math.expm1(fade), 1e-300) if fade < 700.0 else 0.0
        elif distance > 0.0:
            slope -= side * 2.0 * start
        if slope > 0.0:
            low = z
        else:
            high = z
    return 0.5 * (low + high)
