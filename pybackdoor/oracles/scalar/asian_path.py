"""An option on the mean of M dates as a mean over paths: what all paths of a point share, what a date adds on a path, and the price made of it.

Given the rest of a path, log(S_k / (M K)) = level_k + slope_k xi at date k, xi being the normal number that drives the geometric mean.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import exp, log_ratio, normal

SIGN, START, DRIFT, S = range(4)
FRAME = 4
ASSET, CASH, TIMED, MOVED = range(4)
SUMS = 4
NEWTON = 4  # steps to the threshold


@scalar
def prepare(point, constants, frame):  # type: ignore[no-untyped-def]
    """constants: sign (1 call, -1 put) and the number of dates; the drift is that of one date."""
    time, dates = max(point[3], INSTANT), constants[1]
    frame[SIGN], frame[START] = constants[0], log_ratio(point[0], point[1]) - math.log(dates)
    frame[DRIFT] = (point[4] - point[5] - 0.5 * point[2] * point[2]) * time / dates
    frame[S] = point[2] * math.sqrt(time)


@inlined
def date_parts(level, rest, threshold, sign, slope, share):  # type: ignore[no-untyped-def]
    """(what is paid for S_k / (M K), its derivative in sigma sqrt(T) but for -sigma sqrt(T) times the date)."""
    tail, there = normal(sign * (slope - threshold))
    size = exp(level + 0.5 * slope * slope)
    part = size * tail
    return part, part * (rest + slope * share) + sign * size * there * share


@inlined
def chance(threshold, sign):  # type: ignore[no-untyped-def]
    """Of exercise, given the rest of the path."""
    return normal(-sign * threshold)[0]


@scalar
def finish(point, constants, frame, sums, paths, answer):  # type: ignore[no-untyped-def]
    """Price and, where answer [1 or 7] has room, the six derivatives. TIMED: the dates' parts times the date in shares of the maturity."""
    spot, strike, volatility, maturity, rate, dividend = point
    time = max(maturity, INSTANT)
    scale = frame[SIGN] * strike * math.exp(-rate * time) / paths
    asset, cash = scale * sums[ASSET], scale * sums[CASH]
    answer[0] = asset - cash
    if answer.shape[0] > 1:
        timed, moved = scale * sums[TIMED], scale * sums[MOVED]
        by_s = moved - frame[S] * timed if maturity > INSTANT else 0.0
        answer[1] = asset / spot
        answer[2] = -cash / strike
        answer[3] = by_s * math.sqrt(time)
        answer[4] = 0.5 * by_s * volatility / math.sqrt(time) + (rate - dividend) * timed - rate * (asset - cash)
        answer[5] = time * (timed - asset + cash)
        answer[6] = -time * timed
