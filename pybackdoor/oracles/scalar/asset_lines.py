"""Options on several assets whose common factor xi is integrated, lines log(S_i / K) = level_i + slope_i xi: what a path adds, and the price of it.

The numbers are drawn more widely than the standard normal, so that the integrand, which grows like exp(spread Y), times its weight falls off.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import exp, log_ratio, normal

WIDER = 0.75  # of the integrand's exponent squared, what the variance of the draws grows by
NEWTON = 6  # steps to a basket's threshold
NEVER, PARALLEL = 1e300, 1e-14  # a crossing that is not, and the least difference of slopes, relative


@scalar
def prepare(point, constants, frame):  # type: ignore[no-untyped-def]
    """constants: (share,). frame [3 d + 1]: of log(share S_i / K) = centre_i + spread_i Y_i + slope_i xi all centres, spreads and slopes, and `wide`.

    wide: how widely to draw, in deviations.
    """
    d = (point.shape[0] - 4) // 3
    rho, time, rate = point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3]
    widest = 0.0
    for i in range(d):
        sigma = point[d + 1 + i]
        frame[i] = log_ratio(constants[0] * point[i], point[d]) + (rate - point[2 * d + 4 + i] - 0.5 * sigma * sigma) * time
        frame[d + i] = sigma * math.sqrt(time * (1.0 - rho))
        frame[2 * d + i] = sigma * math.sqrt(time * (1.0 + (d - 1) * rho) / d)
        widest = max(widest, frame[d + i])
    frame[3 * d] = math.sqrt(1.0 + WIDER * widest * widest * (d - 1) / d)


@inlined
def weight(radius, wide, scale):  # type: ignore[no-untyped-def]
    """Of a path whose draws squared sum to `radius`; scale: wide to the power of their number."""
    return scale * exp(-0.5 * (wide * wide - 1.0) * radius)


@inlined
def above(level, slope, start, share):  # type: ignore[no-untyped-def]
    """(share E[exp(level + slope xi); xi > start], its derivative in slope)."""
    tail, there = normal(slope - start)
    size = share * exp(level + 0.5 * slope * slope)
    part = size * tail
    return part, slope * part + size * there


@inlined
def between(level, slope, low, high, share):  # type: ignore[no-untyped-def]
    """(share E[exp(level + slope xi); low < xi < high], its derivative in slope); 0 where high is not above low."""
    start = low - slope
    stop = max(high - slope, start)
    over, there = normal(-start)
    beyond, here = normal(-stop)
    size = share * exp(level + 0.5 * slope * slope)
    part = size * (over - beyond)
    return part, slope * part + size * (there - here)


@inlined
def chance(start, share):  # type: ignore[no-untyped-def]
    """Share P[xi > start]."""
    return share * normal(-start)[0]


@scalar
def finish(point, constants, frame, sums, paths, answer):  # type: ignore[no-untyped-def]
    """Price and derivatives from the sums over the paths: [d + 1] what asset i pays over K and the chance of exercise; for derivatives 2 d + 1 more.

    These are the first times Y_i, their derivatives in slope_i, and what the draws' width changes: its expectation is 0, but with it derivatives
    are exactly those of the drawn price.
    """
    d = (point.shape[0] - 4) // 3
    strike, rho, time, rate = point[d], point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3]
    scale, wide = strike * math.exp(-rate * time) / paths, frame[3 * d]
    cash, held = scale * sums[d], 0.0
    for i in range(d):
        held += scale * sums[i]
    answer[0] = held - cash
    if answer.shape[0] == 1:
        return
    root, common, own = math.sqrt(time), math.sqrt((1.0 + (d - 1) * rho) / d), math.sqrt(1.0 - rho)
    by_rho, by_time = 0.0, rate * cash
    by_wide = ((d - 1) * answer[0] - wide * wide * scale * sums[3 * d + 1]) / wide
    widest = 0
    for i in range(d):
        by_wide += scale * frame[d + i] * sums[d + 1 + i] / wide
        widest = i if frame[d + i] > frame[d + widest] else widest
    for i in range(d):
        sigma, dividend = point[d + 1 + i], point[2 * d + 4 + i]
        asset, by_spread, by_slope = scale * sums[i], scale * sums[d + 1 + i], scale * sums[2 * d + 1 + i]
        if i == widest:
            by_spread += by_wide * WIDER * (d - 1) / d * frame[d + i] / wide
        by_deviation = by_spread * own + by_slope * common - sigma * root * asset if point[2 * d + 2] > INSTANT else 0.0  # with d(sigma sqrt T)
        answer[1 + i] = asset / point[i]
        answer[2 + d + i] = by_deviation * root
        by_rho += sigma * root * (by_slope * (d - 1) / (2.0 * d * common) - by_spread / (2.0 * own))
        by_time += 0.5 * by_deviation * sigma / root - dividend * asset
        answer[5 + 2 * d + i] = -time * asset
    answer[1 + d] = -cash / strike
    answer[2 + 2 * d], answer[3 + 2 * d], answer[4 + 2 * d] = by_rho, by_time, time * cash
