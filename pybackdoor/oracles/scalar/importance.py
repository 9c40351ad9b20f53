"""Where to draw the terminal value of a Brownian motion for a payoff: the likeliest place weighted with what it pays.

Drawing z around a shift mu instead of 0, with the weight exp(-mu z - mu^2 / 2), leaves means unchanged whatever mu is. With mu where the logarithm of
payoff times density is largest (P. Glasserman, P. Heidelberger and P. Shahabuddin, Mathematical Finance 9 (1999), 117-152) what is rarely paid is
drawn as often as what is always paid, and the heavy tail of a call disappears.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar

HALVINGS = 24
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
