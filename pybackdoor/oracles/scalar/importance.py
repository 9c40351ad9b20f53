"""Where to draw the terminal value of a Brownian motion for a payoff: the likeliest place weighted with what it pays.

Drawing z around a shift mu instead of 0, with the weight exp(-mu z - mu^2 / 2), leaves means unchanged whatever mu is. With mu where the logarithm of
payoff times density is largest (P. Glasserman, P. Heidelberger and P. Shahabuddin, Mathematical Finance 9 (1999), 117-152) what is rarely paid is
drawn as often as what is always paid, and the heavy tail of a call disappears.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar

HALVINGS, BARRIER_HALVINGS = 24, 30
FARTHEST = 38.0  # deviations: beyond, a price is less than 1e-300 of its currency


@scalar
def payoff_slope(sign, deviation, beyond):  # type: ignore[no-untyped-def]
    """The derivative of log of the payoff sign (S - K) in the terminal value, `beyond` > 0 being its distance in the money, both outwards."""
    x = deviation * beyond
    put = deviation / math.expm1(x) if x < 700.0 else 0.0
    return put + deviation if sign > 0.0 else put


@scalar
def vanilla_shift(sign, log_forward_moneyness, deviation):  # type: ignore[no-untyped-def]
    """The shift for a call (sign 1) or put (-1) whose terminal value is log(S / K) = log_forward_moneyness - deviation^2 / 2 + deviation z."""
    start = sign * (0.5 * deviation - log_forward_moneyness / deviation)
    low = max(start, deviation if sign > 0.0 else 0.0)
    high = max(start, 0.0) + deviation + 3.0
    if low > FARTHEST:
        return sign * FARTHEST
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if payoff_slope(sign, deviation, middle - start) > middle:
            low = middle
        else:
            high = middle
    return sign * 0.5 * (low + high)


@scalar
def survivor_shift(side, start, drift):  # type: ignore[no-untyped-def]
    """Where to draw W(1) for the chance of not touching a barrier: the largest density times survival, in one step."""
    return _peak(0.0, 1.0, 0.0, side, start, drift, 0.0, -FARTHEST, FARTHEST)


@scalar
def payoff_shift(sign, deviation, at_strike, side, start, drift, knocked_in):  # type: ignore[no-untyped-def]
    """The same times what a call or put (sign) pays whose strike lies at W(1) = at_strike; with knocked_in = 1 of having touched.

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
    for _ in range(BARRIER_HALVINGS):
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
