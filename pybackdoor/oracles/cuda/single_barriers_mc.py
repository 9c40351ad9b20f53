"""The eight single barriers by Monte Carlo: a path walks its steps in registers, once for the payoff and once for the rebate where there is one."""

from __future__ import annotations

import torch

from pybackdoor.oracles.cuda.launch import device
from pybackdoor.oracles.cuda.path_engine import Solution
from pybackdoor.oracles.cuda.path_engine import estimate as over_paths
from pybackdoor.oracles.cuda.path_sums import PathProblem
from pybackdoor.oracles.draws import Draws
from pybackdoor.oracles.scalar import barrier_path as one
from pybackdoor.oracles.scalar.barrier_path import (
    ASSET,
    AT_STRIKE,
    BY_DRIFT,
    BY_START,
    CASH,
    DRIFT,
    KNOCKED_IN,
    PAYOFF_SHIFT,
    REBATE_SHIFT,
    REPAID,
    SIDE,
    SIGN,
    START,
    TILTED,
    UNIT,
    UNIT_FIRST,
    UNIT_SECOND,
    UNIT_THIRD,
    P,
    S,
)


@device
def _survive(numbers, place, side, start, drift, shift):  # type: ignore[no-untyped-def]
    """(survival, distance at the end) of a path."""
    steps = numbers.shape[0]
    rate, tilt = 2.0 * steps, side * (drift + shift) / steps
    centre, before, alive = start, start, 1.0
    for step in range(steps):
        centre += tilt
        here = centre + side * numbers[step, place]
        alive = one.survived(alive, before, here, rate)
        before = here
    return alive, before


@device
def _survive_with_slopes(numbers, place, side, start, drift, shift):  # type: ignore[no-untyped-def]
    """(survival, its derivatives in D and drift, distance at the end) of a path."""
    steps = numbers.shape[0]
    rate, tilt = 2.0 * steps, side * (drift + shift) / steps
    centre, before, alive, by_start, by_drift, left = start, start, 1.0, 0.0, 0.0, 0.0
    for step in range(steps):
        centre += tilt
        here = centre + side * numbers[step, place]
        right = left + 2.0 * side
        alive, by_start, by_drift = one.survived_with_slopes(alive, by_start, by_drift, before, here, rate, left, right)
        before, left = here, right
    return alive, by_start, by_drift, before


@device
def _value(frames, point, numbers, table, place, sums):  # type: ignore[no-untyped-def]
    """Adds to the three sums of a value."""
    side, start, drift, knocked_in = frames[SIDE, point], frames[START, point], frames[DRIFT, point], frames[KNOCKED_IN, point]
    w, shift, s, at_strike = numbers[numbers.shape[0] - 1, place], frames[PAYOFF_SHIFT, point], frames[S, point], frames[AT_STRIKE, point]
    if abs(shift) < 1e300:
        alive, _ = _survive(numbers, place, side, start, drift, shift)
        asset, cash, _, _, _ = one.payoff_parts(w, alive, 0.0, 0.0, s, at_strike, shift, frames[SIGN, point], knocked_in)
        sums[ASSET] += asset
        sums[CASH] += cash
    shift = frames[REBATE_SHIFT, point]
    if abs(shift) < 1e300:
        if knocked_in > 0.0:
            alive, _ = _survive(numbers, place, side, start, drift, shift)
            unit, _, _ = one.untouched_parts(w, alive, 0.0, 0.0, shift, -1.0 if one.safe(side, start, drift) else 1.0)
        else:
            p = frames[P, point]
            alive, distance = _survive(numbers, place, side, start, 0.0, shift)
            unit, _, _, _ = one.touched_parts(w, alive, 0.0, distance, shift, p, one.touched_base(side, start, drift, shift, p))
        sums[UNIT] += unit


@device
def _value_and_slopes(frames, point, numbers, table, place, sums):  # type: ignore[no-untyped-def]
    """Adds to all nine sums."""
    side, start, drift, knocked_in = frames[SIDE, point], frames[START, point], frames[DRIFT, point], frames[KNOCKED_IN, point]
    w, shift, s, at_strike = numbers[numbers.shape[0] - 1, place], frames[PAYOFF_SHIFT, point], frames[S, point], frames[AT_STRIKE, point]
    if abs(shift) < 1e300:
        alive, own_start, own_drift, _ = _survive_with_slopes(numbers, place, side, start, drift, shift)
        parts = one.payoff_parts(w, alive, own_start, own_drift, s, at_strike, shift, frames[SIGN, point], knocked_in)
        sums[ASSET] += parts[0]
        sums[CASH] += parts[1]
        sums[TILTED] += parts[2]
        sums[BY_START] += parts[3]
        sums[BY_DRIFT] += parts[4]
    shift = frames[REBATE_SHIFT, point]
    if abs(shift) < 1e300:
        own_start, own_drift = 0.0, 0.0
        drawn = drift if knocked_in > 0.0 else 0.0
        if frames[REPAID, point] > 0.0:
            alive, own_start, own_drift, distance = _survive_with_slopes(numbers, place, side, start, drawn, shift)
        else:
            alive, distance = _survive(numbers, place, side, start, drawn, shift)
        if knocked_in > 0.0:
            unit, first, second = one.untouched_parts(w, alive, own_start, own_drift, shift, -1.0 if one.safe(side, start, drift) else 1.0)
        else:
            p = frames[P, point]
            unit, first, second, third = one.touched_parts(w, alive, own_start, distance, shift, p, one.touched_base(side, start, drift, shift, p))
            sums[UNIT_THIRD] += third
        sums[UNIT] += unit
        sums[UNIT_FIRST] += first
        sums[UNIT_SECOND] += second


_PROBLEM = PathProblem("barrier", one.prepare, _value, _value_and_slopes, one.finish, 8, one.FRAME, one.VALUE_SUMS, one.SUMS)


def estimate(draws: Draws, points: torch.Tensor, gradient: bool, signs: tuple[float, float, float]) -> Solution:
    """Value, gradient, status and standard error at points [n, 8]; signs: call or put, down or up (1 or -1), knocked in (1 or 0)."""
    return over_paths(_PROBLEM, draws, points, gradient, (*signs, 1.0 if gradient else 0.0), walk=draws.dimensions)
