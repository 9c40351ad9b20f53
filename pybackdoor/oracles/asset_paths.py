"""A block of paths of several assets apart from their common factor: lines log(S_i / K) = level + slope_i xi, and what is summed over the paths.

The numbers are drawn more widely than the standard normal, so that the integrand, which grows like exp(spread Y), times its weight falls off.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.block import BLOCK
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import exp, log_ratio

MOST = 5  # assets
LEVEL, FACTOR, LOW, HIGH, PAID, MOVED, BENT = range(0, 7 * MOST * BLOCK, MOST * BLOCK)  # rows of a block, MOST each
START, CHANCE, WEIGHT, RADIUS, GAIN, WIDENED = range(7 * MOST * BLOCK, (7 * MOST + 6) * BLOCK, BLOCK)
ROWS = 7 * MOST + 6

WIDER = 0.75  # of the integrand's exponent squared, what the variance of the draws grows by


@scalar
def lines(point, share, centre, spread, slope):  # type: ignore[no-untyped-def]
    """Of log(share S_i / K) = centre_i + spread_i Y_i + slope_i xi; returns how widely to draw, in deviations."""
    d = centre.shape[0]
    rho, time, rate = point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3]
    widest = 0.0
    for i in range(d):
        sigma = point[d + 1 + i]
        centre[i] = log_ratio(share * point[i], point[d]) + (rate - point[2 * d + 4 + i] - 0.5 * sigma * sigma) * time
        spread[i] = sigma * math.sqrt(time * (1.0 - rho))
        slope[i] = sigma * math.sqrt(time * (1.0 + (d - 1) * rho) / d)
        widest = max(widest, spread[i])
    return math.sqrt(1.0 + WIDER * widest * widest * (d - 1) / d)


@scalar
def levels(w, normals, plane, first, centre, spread, wide):  # type: ignore[no-untyped-def]
    """The rows FACTOR (Y_i), LEVEL (log(S_i / K) at xi = 0), WEIGHT and RADIUS (the draws squared) for paths first .. first + BLOCK - 1."""
    for i in range(BLOCK):
        w[RADIUS + i] = 0.0
        w[GAIN + i] = 0.0
    for k in range(plane.shape[0]):
        block = normals[k, first : first + BLOCK]
        for i in range(BLOCK):
            w[RADIUS + i] += block[i] * block[i]
    scale = wide ** plane.shape[0]
    for i in range(BLOCK):
        w[WEIGHT + i] = scale * exp(-0.5 * (wide * wide - 1.0) * w[RADIUS + i])
    for asset in range(plane.shape[1]):
        y, level = FACTOR + asset * BLOCK, LEVEL + asset * BLOCK
        for i in range(BLOCK):
            w[y + i] = 0.0
        for k in range(max(asset - 1, 0), plane.shape[0]):
            block, share = normals[k, first : first + BLOCK], wide * plane[k, asset]
            for i in range(BLOCK):
                w[y + i] += share * block[i]
        for i in range(BLOCK):
            w[level + i] = centre[asset] + spread[asset] * w[y + i]


@scalar
def assemble(point, w, spread, wide, paths, answer):  # type: ignore[no-untyped-def]
    """Price and derivatives from the sums in the rows PAID, MOVED, BENT (what asset i pays over K, that times Y_i, its xi) and CHANCE.

    WIDENED is what the draws' width changes: its expectation is 0, but with it derivatives are exactly those of the drawn price.
    """
    d = (point.shape[0] - 4) // 3
    strike, rho, time, rate = point[d], point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3]
    scale = strike * math.exp(-rate * time) / paths
    cash, held = scale * w[CHANCE : CHANCE + BLOCK].sum(), 0.0
    for i in range(d):
        held += scale * w[PAID + i * BLOCK : PAID + (i + 1) * BLOCK].sum()
    answer[0] = held - cash
    if answer.shape[0] == 1:
        return
    root, common, own = math.sqrt(time), math.sqrt((1.0 + (d - 1) * rho) / d), math.sqrt(1.0 - rho)
    by_rho, by_time = 0.0, rate * cash
    by_wide = ((d - 1) * answer[0] - wide * wide * scale * w[WIDENED : WIDENED + BLOCK].sum()) / wide
    for i in range(d):
        by_wide += scale * spread[i] * w[MOVED + i * BLOCK : MOVED + (i + 1) * BLOCK].sum() / wide
    widest = spread.argmax()
    for i in range(d):
        sigma, dividend = point[d + 1 + i], point[2 * d + 4 + i]
        asset = scale * w[PAID + i * BLOCK : PAID + (i + 1) * BLOCK].sum()
        by_spread = scale * w[MOVED + i * BLOCK : MOVED + (i + 1) * BLOCK].sum()
        if i == widest:
            by_spread += by_wide * WIDER * (d - 1) / d * spread[i] / wide
        by_slope = scale * w[BENT + i * BLOCK : BENT + (i + 1) * BLOCK].sum()
        by_deviation = by_spread * own + by_slope * common - sigma * root * asset if point[2 * d + 2] > INSTANT else 0.0  # with d(sigma sqrt T)
        answer[1 + i] = asset / point[i]
        answer[2 + d + i] = by_deviation * root
        by_rho += sigma * root * (by_slope * (d - 1) / (2.0 * d * common) - by_spread / (2.0 * own))
        by_time += 0.5 * by_deviation * sigma / root - dividend * asset
        answer[5 + 2 * d + i] = -time * asset
    answer[1 + d] = -cash / strike
    answer[2 + 2 * d], answer[3 + 2 * d], answer[4 + 2 * d] = by_rho, by_time, time * cash
