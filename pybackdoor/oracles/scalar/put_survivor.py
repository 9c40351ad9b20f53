"""One draw of the down-and-out put's payoff among terminal values that can pay, weighted with the survival of a Brownian bridge.

In the coordinates of `down_and_out_put.to_scaled` the terminal value is x = log_spot + c + s z, z normal, and pays exp k - exp x for 0 < x < k,
times the probability 1 - exp(-2 log_spot x / w) that the bridge from log_spot to x stays above 0 (exact for constant coefficients; J. Beaglehole,
P. Dybvig and G. Zhou, Financial Analysts Journal 53 (1997), 62-68). z is drawn from its distribution between a and b, where x is 0 and k, by
inversion of a uniform number u, so that no draw is lost. Both factors vanish at their end: for fixed u the draw is a smooth function of all
parameters, and its derivative is unbiased.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.normal import distribution, interval, inverse_distribution


@scalar
def window(log_spot, log_strike, variance, growth):  # type: ignore[no-untyped-def]
    """(a, b, probability of a < z < b, N(a) of the interval or of its mirror image): what the draws of one point share."""
    deviation = math.sqrt(variance)
    drift = growth - 0.5 * variance
    low, high = -(log_spot + drift) / deviation, (log_strike - log_spot - drift) / deviation
    return low, high, interval(low, high, log_strike / deviation, 0.0), distribution(-high if low > 0.0 else low)


@scalar
def conditional_normal(u, low, high, mass, below):  # type: ignore[no-untyped-def]
    """The z in [low, high] below which the share u of the interval's mass lies; drawn in the mirror image where both ends are positive."""
    mirrored = low > 0.0
    z = inverse_distribution(max(below + (1.0 - u if mirrored else u) * mass, 1e-300))
    return min(max(-z if mirrored else z, low), high)


@scalar
def survivor(u, log_spot, log_strike, variance, growth, frame):  # type: ignore[no-untyped-def]
    """The weighted payoff of one draw, and four sums that its derivatives are made of (see `assemble`); frame: what `window` returned."""
    low, high, mass, below = frame
    deviation = math.sqrt(variance)
    z = conditional_normal(u, low, high, mass, below)
    x = log_spot + growth - 0.5 * variance + deviation * z
    asset = math.exp(x)
    rate = 2.0 * log_spot / variance
    touched = math.exp(-rate * x)
    survived = -math.expm1(-rate * x)
    paid = asset * math.expm1(log_strike - x)
    slope = paid * touched * rate - asset * survived  # d(weighted payoff)/dx
    from_low = (1.0 - u) * math.exp(min(0.5 * (z - low) * (z + low), 700.0))  # dz/da and dz/db at fixed u; 700: times u = 0 it is 0
    from_high = u * math.exp(min(0.5 * (z - high) * (z + high), 700.0))
    return (
        paid * survived,
        slope * (1.0 - from_low - from_high),
        (asset + paid) * survived + slope * from_high,
        slope * (z - from_low * low - from_high * high),
        paid * touched * x,
    )


@scalar
def assemble(value, by_centre, by_strike, by_deviation, by_bridge, point, frame):  # type: ignore[no-untyped-def]
    """Price u and its derivatives in the four parameters from the means of what `survivor` returns."""
    log_spot, _, variance, _ = point
    low, high, mass, _ = frame
    deviation = math.sqrt(variance)
    at_low, at_high = math.exp(-0.5 * low * low) / math.sqrt(2.0 * math.pi), math.exp(-0.5 * high * high) / math.sqrt(2.0 * math.pi)
    # d mass = phi(b) db - phi(a) da, with da = -(d centre + a ds) / s and db = (dk - d centre - b ds) / s
    centre = mass * by_centre + value * (at_low - at_high) / deviation
    spread = mass * by_deviation + value * (at_low * low - at_high * high) / deviation
    bridge = 2.0 * mass * by_bridge / variance
    return (
        mass * value,
        centre + bridge,
        mass * by_strike + value * at_high / deviation,
        0.5 * spread / deviation - 0.5 * centre - bridge * log_spot / variance,
        centre,
    )
