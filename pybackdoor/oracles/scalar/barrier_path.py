"""An option with a single barrier and a rebate as means over Brownian paths: what they share, what a step and a path add, and the price made of it.

A price has two parts, each drawn around the terminal value that matters most to it: the payoff, and the rebate, which is paid at maturity to those
that never touched (knocked in) or at the touch. Steps, distances and survival are those of barrier_paths.py.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.importance import FARTHEST, payoff_shift, survivor_shift
from pybackdoor.oracles.scalar.single_barrier import NEAR_REPEATED
from pybackdoor.oracles.scalar.vmath import exp, log_ratio

# frame; the shifts are NaN where a part is not drawn
S, AT_STRIKE, START, DRIFT, P, PAYOFF_SHIFT, REBATE_SHIFT, REPAID, SIGN, SIDE, KNOCKED_IN = range(11)
FRAME = 11

# sums; of the rebate's three derivatives those of an untouched path are in D and drift, and for a touch those `touched_parts` names
ASSET, CASH, UNIT, TILTED, BY_START, BY_DRIFT, UNIT_FIRST, UNIT_SECOND, UNIT_THIRD = range(9)
SUMS, VALUE_SUMS = 9, 3

_TURN = 4.0  # distance beyond which the mirror image of the touch's weight takes over


@scalar
def prepare(point, constants, frame):  # type: ignore[no-untyped-def]
    """constants: sign (1 call, -1 put), side (1 down, -1 up), knocked_in (1 or 0), and 1 if derivatives are wanted."""
    spot, strike, barrier, rebate, volatility, maturity, rate, dividend = point
    sign, side, knocked_in, slopes = constants
    touched = (spot - barrier) * side <= 0.0
    time = max(maturity, INSTANT)
    s = volatility * math.sqrt(time)
    start = 0.0 if touched else side * log_ratio(spot, barrier) / s
    drift = (rate - dividend - 0.5 * volatility * volatility) * time / s
    at_strike = -log_ratio(spot, strike) / s - drift
    p = math.sqrt(max(drift * drift + 2.0 * rate * time, NEAR_REPEATED * NEAR_REPEATED))
    payoff, repaid = 0.0, 0.0
    if maturity > INSTANT:
        payoff = payoff_shift(sign, s, at_strike, side, start, drift, knocked_in)
        repaid = _untouched_shift(side, start, drift) if knocked_in > 0.0 else _touched_shift(side, start, p)
    elif knocked_in == 0.0:
        repaid = math.nan
    if touched and knocked_in == 0.0:
        payoff = math.nan
    if touched or not (rebate > 0.0 or slopes > 0.0):
        repaid = math.nan
    frame[S], frame[AT_STRIKE], frame[START], frame[DRIFT], frame[P] = s, at_strike, start, drift, p
    frame[PAYOFF_SHIFT], frame[REBATE_SHIFT] = payoff, repaid
    frame[REPAID] = 1.0 if rebate > 0.0 else 0.0
    frame[SIGN], frame[SIDE], frame[KNOCKED_IN] = sign, side, knocked_in


@inlined
def safe(side, start, drift):  # type: ignore[no-untyped-def]
    """Whether a touch is the exception."""
    return start > 1.0 and start + side * drift > 1.0


@scalar
def _untouched_shift(side, start, drift):  # type: ignore[no-untyped-def]
    away = side * drift
    return -side * min(start + min(away, start), FARTHEST) if safe(side, start, drift) else survivor_shift(side, start, drift)


@scalar
def _touched_shift(side, start, p):  # type: ignore[no-untyped-def]
    return -side * max(p, start) if start < p + FARTHEST else math.nan


@inlined
def survived(alive, before, here, rate):  # type: ignore[no-untyped-def]
    """The chance of survival after a step from distance `before` to `here`; rate: 2 over the step's length."""
    return alive * (1.0 - exp(-rate * max(before, 0.0) * max(here, 0.0)))


@inlined
def survived_with_slopes(alive, by_start, by_drift, before, here, rate, left, right):  # type: ignore[no-untyped-def]
    """(survival, its derivatives in D and drift); left, right: the derivatives of both distances in the drift, times rate."""
    a, b = max(before, 0.0), max(here, 0.0)
    touched = exp(-rate * a * b)
    hit = alive * touched if here > 0.0 else 0.0
    stays = 1.0 - touched
    return alive * stays, by_start * stays + hit * rate * (a + b), by_drift * stays + hit * (left * b + right * a)


@inlined
def payoff_parts(w, alive, by_start, by_drift, s, at_strike, shift, sign, knocked_in):  # type: ignore[no-untyped-def]
    """Survival (or its complement) times S / K, 1 and S / K Z where the option pays, and the payoff over K times the derivatives in D and drift."""
    turn = 1.0 - 2.0 * knocked_in
    z = w + shift
    x = s * (z - at_strike)
    weight = exp(-shift * w)
    weight = weight if sign * x > 0.0 else 0.0
    share, grown = weight * (knocked_in + turn * alive), exp(x)
    paid = turn * weight * sign * (grown - 1.0)
    return share * grown, share, share * grown * z, paid * by_start, paid * by_drift


@inlined
def untouched_parts(w, alive, by_start, by_drift, shift, rarer):  # type: ignore[no-untyped-def]
    """Survival (rarer = 1), or the touch if that is the exception (-1), and survival's two derivatives."""
    weight = exp(-shift * w)
    return weight * (0.5 - rarer * (0.5 - alive)), weight * by_start, weight * by_drift


@inlined
def touched_parts(w, alive, by_start, distance, shift, p, base):  # type: ignore[no-untyped-def]
    """E[exp(-r tau); tau < T]: the total, and what its derivatives are made of (by survival's in D, odd in d, and times d).

    With p^2 = drift^2 + 2 r T it is exp(-drift D - p^2 / 2) E[(1 - q) cosh(p (c - d)) / cosh(p c)] without a drift, d the distance at T.
    Reflection makes E[(1 - q) exp(p d)] = E[(1 - q) exp(-p d)], so that any c serves: this one takes exp(-p d), which is the smoother, unless p is
    small, where the whole must depend on p^2 alone.
    """
    hit, level = 1.0 - alive, base - shift * w
    near, mirrored = exp(level - p * distance), exp(level + p * (distance - 2.0 * _TURN))
    return hit * (near + mirrored), by_start * (near + mirrored), hit * (near - mirrored), hit * (_TURN - distance) * (near - mirrored)


@inlined
def touched_base(side, start, drift, shift, p):  # type: ignore[no-untyped-def]
    """The constant of `touched_parts` in the exponent."""
    return -0.5 * (shift * shift + p * p) - side * drift * start


@scalar
def _unit(frame, sums, paths):  # type: ignore[no-untyped-def]
    """The mean of what a rebate of 1 pays, undiscounted if at maturity, and its derivatives in D, drift and r T."""
    side, start, drift, shift, p = frame[SIDE], frame[START], frame[DRIFT], frame[REBATE_SHIFT], frame[P]
    if frame[KNOCKED_IN] > 0.0:
        scale = math.exp(-0.5 * shift * shift) / paths
        unit = scale * sums[UNIT]
        return 1.0 - unit if safe(side, start, drift) else unit, scale
    far = math.exp(-2.0 * p * _TURN)
    scale = 1.0 / (1.0 + far) / paths
    return scale * sums[UNIT], scale


@scalar
def _unit_slopes(frame, sums, unit, scale):  # type: ignore[no-untyped-def]
    side, start, drift, p = frame[SIDE], frame[START], frame[DRIFT], frame[P]
    first, second = scale * sums[UNIT_FIRST], scale * sums[UNIT_SECOND]
    if frame[KNOCKED_IN] > 0.0:
        return first, second, 0.0
    far = math.exp(-2.0 * p * _TURN)
    by_square = 0.5 * (scale * sums[UNIT_THIRD] - _TURN * (1.0 - far) / (1.0 + far) * unit) / p - 0.5 * unit  # with d(p^2)
    return -side * drift * unit - first - p * second, 2.0 * drift * by_square - side * start * unit, 2.0 * by_square


@scalar
def finish(point, constants, frame, sums, paths, answer):  # type: ignore[no-untyped-def]
    """Price and, where answer [1 or 9] has room, the eight derivatives; a spot on the barrier or beyond has touched."""
    spot, strike, barrier, rebate, volatility, maturity, rate, dividend = point
    sign, side, knocked_in = frame[SIGN], frame[SIDE], frame[KNOCKED_IN]
    touched = (spot - barrier) * side <= 0.0
    time = max(maturity, INSTANT)
    discount = math.exp(-rate * time)
    shift = frame[PAYOFF_SHIFT]
    paying, repaying = abs(shift) < 1e300, abs(frame[REBATE_SHIFT]) < 1e300
    scale = sign * strike * discount * math.exp(-0.5 * shift * shift) / paths if paying else 0.0
    late = discount if knocked_in > 0.0 else 1.0
    asset, cash = scale * sums[ASSET], scale * sums[CASH]
    unit, unit_scale = _unit(frame, sums, paths) if repaying else (0.0, 0.0)
    unit = 1.0 - knocked_in if touched else unit
    answer[0] = asset - cash + rebate * late * unit
    if answer.shape[0] == 1:
        return
    first, second, third = _unit_slopes(frame, sums, unit, unit_scale) if repaying else (0.0, 0.0, 0.0)
    root = math.sqrt(time)
    s, start, drift = volatility * root, frame[START], frame[DRIFT]
    bent = sign * scale if not touched else 0.0
    by_start, by_drift = bent * sums[BY_START] + rebate * late * first, bent * sums[BY_DRIFT] + rebate * late * second
    by_growth = asset + by_drift / s  # with d((r - q - sigma^2 / 2) T)
    by_interest = cash - asset + rebate * late * (third - knocked_in * unit)  # with d(r T)
    by_s = scale * sums[TILTED] - (by_start * start + by_drift * drift) / s if maturity > INSTANT else 0.0
    by_log = side * by_start / s
    answer[1] = (asset + by_log) / spot
    answer[2] = -cash / strike
    answer[3] = -by_log / barrier
    answer[4] = late * unit
    answer[5] = by_s * root - by_growth * volatility * time
    answer[6] = 0.5 * by_s * volatility / root + by_growth * (rate - dividend - 0.5 * volatility * volatility) + by_interest * rate
    answer[7] = time * (by_growth + by_interest)
    answer[8] = -time * by_growth
