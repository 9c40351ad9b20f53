"""A European option as a mean over terminal values of a Brownian motion that are drawn around the place that matters most to its payoff.

frame: the numbers of one point that all its paths share. sums: over the paths, of what `path` gives.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.importance import vanilla_shift
from pybackdoor.oracles.scalar.vmath import exp, log_ratio

FRAME, SUMS = 4, 3


@scalar
def prepare(point, constants, frame):  # type: ignore[no-untyped-def]
    """constants: (sign,). Puts (sign, centre, deviation, shift) into frame: log(S / K) = centre + deviation (W(1) + shift)."""
    time = max(point[3], INSTANT)
    deviation = point[2] * math.sqrt(time)
    log_moneyness = log_ratio(point[0], point[1]) + (point[4] - point[5]) * time
    sign = constants[0]
    frame[0], frame[1], frame[2] = sign, log_moneyness - 0.5 * deviation * deviation, deviation
    frame[3] = vanilla_shift(sign, log_moneyness, deviation) if point[3] > INSTANT else 0.0


@inlined
def path(w, sign, centre, deviation, shift):  # type: ignore[no-untyped-def]
    """(weight S / K, weight, weight S / K Z) of a path whose W(1) was drawn as w + shift = Z; nothing where the option does not pay."""
    weight = exp(-shift * w)
    z = w + shift
    x = centre + deviation * z
    weight = weight if sign * x > 0.0 else 0.0
    asset = weight * exp(x)
    return asset, weight, asset * z


@scalar
def finish(point, constants, frame, sums, paths, answer):  # type: ignore[no-untyped-def]
    """Price and, where answer [1 or 7] has room, the six derivatives."""
    spot, strike, volatility, maturity, rate, dividend = point[0], point[1], point[2], point[3], point[4], point[5]
    time = max(maturity, INSTANT)
    scale = frame[0] * strike * math.exp(-rate * time - 0.5 * frame[3] * frame[3]) / paths
    asset, cash, tilted = scale * sums[0], scale * sums[1], scale * sums[2]
    answer[0] = asset - cash
    if answer.shape[0] > 1:
        by_deviation = tilted - frame[2] * asset if maturity > INSTANT else 0.0
        answer[1] = asset / spot
        answer[2] = -cash / strike
        answer[3] = by_deviation * math.sqrt(time)
        answer[4] = 0.5 * by_deviation * volatility / math.sqrt(time) - dividend * asset + rate * cash
        answer[5] = time * cash
        answer[6] = -time * asset
