"""The single barriers' problem at one node and at one level of time, and backwards: what their finite-difference solvers are made of.

A frame [COLUMNS + PAYOFF] holds the numbers of barrier_frame.py, and then the payoff's constant and slope, the rebate and its waiting. Each of them
is a vector of LANES problems, or a number (see lanes.py): the CPU solves blocks of problems, a GPU one problem a warp, by the same formulas. `bars`
is laid out like the frame and gathers the derivatives in it. Meshes that rest are solved in the coordinate -z, in which three-point differences are
exact for all payoffs away from the strike; those that move, in y. side: 1 if the payoff lies between barrier and strike, -1 if beyond.
"""

from __future__ import annotations

from pybackdoor.oracles.barrier_frame import (
    COLUMNS,
    DECAY,
    FIRST,
    GROWTH,
    LEFT1,
    LEFT2,
    LEFT3,
    LIFT,
    MIDDLE,
    NEAR,
    OFFSET,
    PACE,
    RIGHT1,
    RIGHT3,
    SHIFT,
    SPEED,
    STRIKE,
    TOWARDS,
    VARIANCE,
)
from pybackdoor.oracles.compiled import part
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import fma, larger, load, root, store, where_above

PAYOFF = ("constant", "slope", "rebate", "waiting")
CONSTANT, SLOPE, REBATE, WAITING = range(len(COLUMNS), len(COLUMNS) + len(PAYOFF))
_AT_STRIKE = 1e-12  # how near to the strike, of it, a node counts as on it


@part
def node(frame, row, half):  # type: ignore[no-untyped-def]
    """Node `row` of 2 half + 1, before it moves."""
    part = abs(row - half) / half
    if row == 0:
        return load(frame, FIRST)
    if row < half:
        cubic = fma(part, fma(part, load(frame, LEFT3), load(frame, LEFT2)), load(frame, LEFT1))
        return fma(-part, cubic, load(frame, MIDDLE))
    return fma(part, fma(part * part, load(frame, RIGHT3), load(frame, RIGHT1)), load(frame, MIDDLE))


@part
def way(frame, v):  # type: ignore[no-untyped-def]
    """How far node v moves, and the derivatives of that in v (less offset), shift and near."""
    towards, shift, near = load(frame, TOWARDS), load(frame, SHIFT), load(frame, NEAR)
    d = v - load(frame, OFFSET)
    arm = root(fma(d, d, 4.0 * near))
    over = 1.0 / fma(v, v, near)
    share = v * v * over
    moved = where_above(towards, 0.0, 0.5 * (arm - d) - load(frame, LIFT), shift * share)
    by_node = where_above(towards, 0.0, 0.5 * (d / arm - 1.0), 2.0 * shift * v * over * (1.0 - share))
    by_near = where_above(towards, 0.0, 1.0 / arm, 0.0 - shift * share * over)
    return moved, by_node, where_above(towards, 0.0, 0.0, share), by_near


@part
def place(frame, row, half, moving):  # type: ignore[no-untyped-def]
    """(x, s, z) of node `row`: its place, its way, and the asset there at t = 0."""
    v = node(frame, row, half)
    if moving:
        s = way(frame, v)[0]
        return v, s, exp(0.0 - (v + s))
    z = exp(0.0 - v)
    return 0.0 - z, 0.0 * z, z


@part
def equation(frame, z, moving):  # type: ignore[no-untyped-def]
    """(a, c) of u_t = a u_xx + c u_x at a node."""
    variance, growth, speed = load(frame, VARIANCE), load(frame, GROWTH), load(frame, SPEED)
    if moving:
        return 0.5 * variance, speed
    return 0.5 * variance * z * z, growth * z


@part
def strike_of(frame):  # type: ignore[no-untyped-def]
    """The asset at the strike."""
    return exp(0.0 - load(frame, STRIKE))


@part
def payoff(frame, side, z, strike):  # type: ignore[no-untyped-def]
    """What is paid at z."""
    gain = side * (z - strike)
    return where_above(gain, _AT_STRIKE * strike, gain, 0.0) + fma(load(frame, SLOPE), z, load(frame, CONSTANT))


@part
def resting(frame, time):  # type: ignore[no-untyped-def]
    """How much of their way the nodes still have before them, and the same before it is cut off at 0."""
    moved = 1.0 - load(frame, PACE) * time
    return larger(moved, 0.0), moved


@part
def end_asset(frame, time, rest, x, s, moving):  # type: ignore[no-untyped-def]
    """The asset at the first or last node, x + r s."""
    if moving:
        behind = load(frame, TOWARDS) * load(frame, SHIFT) * load(frame, PACE) * time  # y - x
        return exp(0.0 - (fma(rest, s, x) + behind))
    return 0.0 - x


@part
def end_values(frame, side, strike, moving, time, x0, s0, x1, s1):  # type: ignore[no-untyped-def]
    """The values at the ends x0 + r s0 and x1 + r s1: on the left the rebate on the barrier, or else, as on the right, the payoff's own growth."""
    rest, _ = resting(frame, time)
    low = payoff_ahead(frame, side, time, end_asset(frame, time, rest, x0, s0, moving), strike)
    high = payoff_ahead(frame, side, time, end_asset(frame, time, rest, x1, s1, moving), strike)
    return where_above(load(frame, OFFSET), 0.0, low, load(frame, REBATE) * waited(frame, time, rest)), high


@part
def payoff_ahead(frame, side, time, z, strike):  # type: ignore[no-untyped-def]
    """The payoff's own growth from z, far from strike and barrier."""
    forward = z * exp(0.0 - load(frame, GROWTH) * time)
    return larger(side * (forward - strike), 0.0) + fma(load(frame, SLOPE), forward, load(frame, CONSTANT))


@part
def waited(frame, time, rest):  # type: ignore[no-untyped-def]
    """What a rebate of 1 is worth at the left end: on the barrier, or behind the front, at y = towards shift (pace t - (1 - r))."""
    y = load(frame, TOWARDS) * load(frame, SHIFT) * (fma(load(frame, PACE), time, rest) - 1.0)
    return exp(load(frame, WAITING) * time - load(frame, DECAY) * y)


@part
def add(bars, at, bar):  # type: ignore[no-untyped-def]
    """Adds to one of them."""
    store(bars, at, load(bars, at) + bar)


@part
def push_payoff(frame, bars, side, z, strike, u_bar):  # type: ignore[no-untyped-def]
    """`payoff` backwards: adds to bars; the derivative in z."""
    inside = where_above(side * (z - strike), _AT_STRIKE * strike, side, 0.0) * u_bar
    add(bars, STRIKE, strike * inside)
    add(bars, CONSTANT, u_bar)
    add(bars, SLOPE, z * u_bar)
    return fma(load(frame, SLOPE), u_bar, inside)


@part
def push_node(bars, row, half, v_bar):  # type: ignore[no-untyped-def]
    """`node` backwards."""
    part = abs(row - half) / half
    if row == 0:
        add(bars, FIRST, v_bar)
    else:
        add(bars, MIDDLE, v_bar)
    if 0 < row < half:
        for power in range(3):
            store(bars, LEFT1 + power, fma(-(part ** (power + 1)), v_bar, load(bars, LEFT1 + power)))
    if row >= half:
        for power in range(2):
            store(bars, RIGHT1 + power, fma(part ** (2 * power + 1), v_bar, load(bars, RIGHT1 + power)))


@part
def push_moving_node(frame, bars, row, half, x_bar, s_bar):  # type: ignore[no-untyped-def]
    """`node` and `way` backwards."""
    _, by_node, by_shift, by_near = way(frame, node(frame, row, half))
    by_node = by_node * s_bar
    towards = load(frame, TOWARDS)
    push_node(bars, row, half, x_bar + by_node)
    add(bars, SHIFT, by_shift * s_bar)
    add(bars, NEAR, by_near * s_bar)
    add(bars, LIFT, 0.0 - towards * s_bar)
    add(bars, OFFSET, 0.0 - towards * by_node)


@part
def push_all_of_node(frame, bars, row, half, moving, z, z_bar, x_bar, s_bar, a_bar, c_bar):  # type: ignore[no-untyped-def]
    """A node backwards: from the derivatives in its asset z, as the payoff has it, its place x, its way s, a and c."""
    if moving:
        pull = 0.0 - z * z_bar
        add(bars, VARIANCE, 0.5 * a_bar)
        add(bars, SPEED, c_bar)
        push_moving_node(frame, bars, row, half, x_bar + pull, s_bar + pull)
    else:
        variance, growth = load(frame, VARIANCE), load(frame, GROWTH)
        add(bars, VARIANCE, 0.5 * z * z * a_bar)
        add(bars, GROWTH, z * c_bar)
        push_node(bars, row, half, 0.0 - z * fma(variance * z, a_bar, fma(growth, c_bar, z_bar - x_bar)))


@part
def push_payoff_ahead(frame, bars, side, time, z, strike, bar):  # type: ignore[no-untyped-def]
    """`payoff_ahead` backwards: adds to bars; the derivative in z."""
    growth = exp(0.0 - load(frame, GROWTH) * time)
    forward = z * growth
    inside = where_above(side * (forward - strike), 0.0, side, 0.0) * bar
    forward_bar = fma(load(frame, SLOPE), bar, inside)
    add(bars, STRIKE, strike * inside)
    add(bars, CONSTANT, bar)
    add(bars, SLOPE, forward * bar)
    add(bars, GROWTH, 0.0 - time * forward * forward_bar)
    return growth * forward_bar


@part
def _push_end(frame, bars, side, time, rest, x, s, moving, strike, bar):  # type: ignore[no-untyped-def]
    """`payoff_ahead` of `end_asset` backwards: adds to bars; the derivative in x (times r, that in s; times s, that in r)."""
    z = end_asset(frame, time, rest, x, s, moving)
    z_bar = push_payoff_ahead(frame, bars, side, time, z, strike, bar)
    return 0.0 - z * z_bar if moving else 0.0 - z_bar


@part
def _push_rebate(frame, bars, time, rest, left_bar):  # type: ignore[no-untyped-def]
    """The rebate's part of `left_value` backwards: adds to bars; the derivative in the logarithm of what was waited for."""
    reached = where_above(load(frame, OFFSET), 0.0, 0.0, left_bar * waited(frame, time, rest))
    add(bars, REBATE, reached)
    reached = reached * load(frame, REBATE)
    add(bars, WAITING, time * reached)
    return reached


@part
def _push_motion(frame, bars, time, rest, moved, reached, ahead_bar, rest_bar):  # type: ignore[no-untyped-def]
    """What the nodes' motion at one level gives: reached is `_push_rebate`'s, ahead_bar the derivative in y - x, rest_bar that in r."""
    towards, pace, decay = load(frame, TOWARDS), load(frame, PACE), load(frame, DECAY)
    behind, far = towards * load(frame, SHIFT), fma(pace, time, rest) - 1.0
    add(bars, DECAY, 0.0 - behind * far * reached)
    add(bars, SHIFT, towards * (pace * time * ahead_bar - decay * far * reached))
    rest_bar = rest_bar - decay * behind * reached
    add(bars, PACE, time * (behind * (ahead_bar - decay * reached) - where_above(moved, 0.0, rest_bar, 0.0)))


@part
def push_level(frame, bars, side, strike, moving, time, x0, s0, x1, s1, left_bar, right_bar, rest_bar):  # type: ignore[no-untyped-def]
    """One level of time backwards: from the derivatives in the values at the ends and in r; adds to bars; the derivatives in x0, s0, x1 and s1."""
    rest, moved = resting(frame, time)
    free = where_above(load(frame, OFFSET), 0.0, left_bar, 0.0)
    x0_bar = _push_end(frame, bars, side, time, rest, x0, s0, moving, strike, free)
    x1_bar = _push_end(frame, bars, side, time, rest, x1, s1, moving, strike, right_bar)
    reached = _push_rebate(frame, bars, time, rest, left_bar)
    if moving:
        _push_motion(frame, bars, time, rest, moved, reached, x0_bar + x1_bar, fma(s1, x1_bar, fma(s0, x0_bar, rest_bar)))
    return x0_bar, rest * x0_bar, x1_bar, rest * x1_bar
