"""One grid of the single barriers' finite-difference solver: mesh, solution, reading at the spot, and the derivatives of that reading.

Frames [COLUMNS + PAYOFF, blocks, LANES] hold the numbers of barrier_frame.py, and then the payoff's constant and slope, the rebate and its waiting.
Meshes that rest are solved in the coordinate -z, in which three-point differences are exact for all payoffs away from the strike; those that move,
in y.
"""

from __future__ import annotations

from pybackdoor.oracles.barrier_frame import (
    COLUMNS,
    DECAY,
    DISTANCE,
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
from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import LANES, broadcast, fma, larger, load, root, store, where_above
from pybackdoor.oracles.parabolic import solve, solve_adjoint

PAYOFF = ("constant", "slope", "rebate", "waiting")
CONSTANT, SLOPE, REBATE, WAITING = range(len(COLUMNS), len(COLUMNS) + len(PAYOFF))
_AT_STRIKE = 1e-12  # how near to the strike, of it, a node counts as on it


@kernel
def solve_grid(frames, side, times, pace, moving, workspace, asset, values, bars):  # type: ignore[no-untyped-def]
    """Values [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS + PAYOFF, blocks, LANES].

    side: 1 if the payoff lies between barrier and strike, -1 if beyond; times [solves + 1]: t at the solver's levels, pace [solves] its growth
    between them over that of the solver's own time (1 on meshes that rest); asset [2, nodes, LANES]: memory.
    """
    blocks = frames.shape[1]
    x_bar = asset[1]
    for index in range(pace.shape[0] if moving else 0):
        store(workspace.rates, index, broadcast(pace[index]))
        store(workspace.rates, pace.shape[0] + index, broadcast(pace[index]))
    for block in range(blocks):
        _lay_out(frames, block, side, times, moving, workspace, asset)
        solve(workspace, moving)
        distance = load(frames, DISTANCE * blocks + block)
        store(values, block, distance if moving else 0.0 - exp(0.0 - distance))
        for lane in range(LANES):
            value, slope = read_at(values[block, lane], lane, workspace.mesh, workspace.u, workspace.u_bar, x_bar)
            values[block, lane] = value
            if bars.shape[1] > 0:
                bars[DISTANCE, block, lane] = slope
        if bars.shape[1] > 0:
            solve_adjoint(workspace, moving)
            _collect(frames, block, side, times, moving, workspace, asset, bars)


@part
def _node(frames, block, row, half):  # type: ignore[no-untyped-def]
    """Node `row` of 2 half + 1."""
    blocks = frames.shape[1]
    part = abs(row - half) / half
    if row == 0:
        return load(frames, FIRST * blocks + block)
    if row < half:
        cubic = fma(part, fma(part, load(frames, LEFT3 * blocks + block), load(frames, LEFT2 * blocks + block)), load(frames, LEFT1 * blocks + block))
        return fma(-part, cubic, load(frames, MIDDLE * blocks + block))
    cubic = fma(part * part, load(frames, RIGHT3 * blocks + block), load(frames, RIGHT1 * blocks + block))
    return fma(part, cubic, load(frames, MIDDLE * blocks + block))


@part
def _way(frames, block, node):  # type: ignore[no-untyped-def]
    """How far node v moves, and the derivatives of that in v (less offset), shift and near."""
    blocks = frames.shape[1]
    towards, shift, near = load(frames, TOWARDS * blocks + block), load(frames, SHIFT * blocks + block), load(frames, NEAR * blocks + block)
    d = node - load(frames, OFFSET * blocks + block)
    arm = root(fma(d, d, 4.0 * near))
    over = 1.0 / fma(node, node, near)
    share = node * node * over
    way = where_above(towards, 0.0, 0.5 * (arm - d) - load(frames, LIFT * blocks + block), shift * share)
    by_node = where_above(towards, 0.0, 0.5 * (d / arm - 1.0), 2.0 * shift * node * over * (1.0 - share))
    by_near = where_above(towards, 0.0, 1.0 / arm, 0.0 - shift * share * over)
    return way, by_node, where_above(towards, 0.0, 0.0, share), by_near


@part
def _lay_out(frames, block, side, times, moving, workspace, asset):  # type: ignore[no-untyped-def]
    """Fills the workspace: the mesh and its motion, the coefficients, the payoff, and at the ends the rebate or the payoff's own growth."""
    mesh, shift, a, c, u = workspace.mesh, workspace.shift, workspace.a, workspace.c, workspace.u
    blocks, nodes = frames.shape[1], mesh.shape[0]
    variance, growth = load(frames, VARIANCE * blocks + block), load(frames, GROWTH * blocks + block)
    strike = exp(0.0 - load(frames, STRIKE * blocks + block))
    for row in range(nodes):
        node = _node(frames, block, row, nodes // 2)
        if moving:
            way = _way(frames, block, node)[0]
            store(mesh, row, node)
            store(shift, row, way)
            store(a, row, 0.5 * variance)
            store(c, row, load(frames, SPEED * blocks + block))
            z = exp(0.0 - (node + way))
        else:
            z = exp(0.0 - node)
            store(mesh, row, 0.0 - z)
            store(shift, row, broadcast(0.0))
            store(a, row, 0.5 * variance * z * z)
            store(c, row, growth * z)
        store(asset, row, z)
        gain = side * (z - strike)
        paid = where_above(gain, _AT_STRIKE * strike, gain, 0.0)
        store(u, row, paid + fma(load(frames, SLOPE * blocks + block), z, load(frames, CONSTANT * blocks + block)))
    _bound(frames, block, side, times, moving, workspace, strike)


@part
def _bound(frames, block, side, times, moving, workspace, strike):  # type: ignore[no-untyped-def]
    """The values at the ends, and how far the nodes have moved."""
    mesh, shift, left, right = workspace.mesh, workspace.shift, workspace.left, workspace.right
    blocks, last = frames.shape[1], mesh.shape[0] - 1
    offset, pace = load(frames, OFFSET * blocks + block), load(frames, PACE * blocks + block)
    towards, distance = load(frames, TOWARDS * blocks + block), load(frames, SHIFT * blocks + block)
    for level in range(times.shape[0]):
        time = times[level]
        rest = larger(1.0 - pace * time, 0.0)
        if moving:
            store(workspace.rest, level, rest)
            behind = towards * distance * pace * time  # y - x
            low = _payoff_ahead(frames, block, side, time, exp(0.0 - (fma(rest, load(shift, 0), load(mesh, 0)) + behind)), strike)
            high = _payoff_ahead(frames, block, side, time, exp(0.0 - (fma(rest, load(shift, last), load(mesh, last)) + behind)), strike)
        else:
            low = _payoff_ahead(frames, block, side, time, 0.0 - load(mesh, 0), strike)
            high = _payoff_ahead(frames, block, side, time, 0.0 - load(mesh, last), strike)
        store(left, level, where_above(offset, 0.0, low, load(frames, REBATE * blocks + block) * _waited(frames, block, time, rest)))
        store(right, level, high)


@part
def _payoff_ahead(frames, block, side, time, z, strike):  # type: ignore[no-untyped-def]
    """The payoff's own growth from z, far from strike and barrier."""
    blocks = frames.shape[1]
    forward = z * exp(0.0 - load(frames, GROWTH * blocks + block) * time)
    linear = fma(load(frames, SLOPE * blocks + block), forward, load(frames, CONSTANT * blocks + block))
    return larger(side * (forward - strike), 0.0) + linear


@part
def _waited(frames, block, time, rest):  # type: ignore[no-untyped-def]
    """What a rebate of 1 is worth at the left end: on the barrier, or behind the front, at y = towards shift (pace t - (1 - r))."""
    blocks = frames.shape[1]
    behind = load(frames, TOWARDS * blocks + block) * load(frames, SHIFT * blocks + block)
    y = behind * (fma(load(frames, PACE * blocks + block), time, rest) - 1.0)
    return exp(load(frames, WAITING * blocks + block) * time - load(frames, DECAY * blocks + block) * y)


@part
def _collect(frames, block, side, times, moving, workspace, asset, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, its motion, the coefficients, the payoff and the values at the ends."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    variance, growth = load(frames, VARIANCE * blocks + block), load(frames, GROWTH * blocks + block)
    strike = exp(0.0 - load(frames, STRIKE * blocks + block))
    slope = load(frames, SLOPE * blocks + block)
    for column in range(bars.shape[0]):
        if column != DISTANCE:
            store(bars, column * blocks + block, broadcast(0.0))
    _collect_ends(frames, block, side, times, moving, workspace, strike, bars)
    strike_bar, constant_bar, slope_bar = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for row in range(nodes):
        z = load(asset, row)
        x_bar = load(workspace.bars, row) + load(asset, nodes + row)
        a_bar, c_bar = load(workspace.bars, 2 * nodes + row), load(workspace.bars, 3 * nodes + row)
        u_bar = load(workspace.u_bar, row) if 0 < row < nodes - 1 else broadcast(0.0)
        inside = where_above(side * (z - strike), _AT_STRIKE * strike, side, 0.0) * u_bar
        strike_bar = strike_bar - inside
        constant_bar = constant_bar + u_bar
        slope_bar = fma(z, u_bar, slope_bar)
        z_bar = fma(slope, u_bar, inside)
        if moving:
            pull = 0.0 - z * z_bar
            s_bar = load(workspace.bars, nodes + row) + pull
            _add(bars, VARIANCE * blocks + block, 0.5 * a_bar)
            _add(bars, SPEED * blocks + block, c_bar)
            _add_moving_node(frames, bars, block, row, nodes // 2, x_bar + pull, s_bar)
        else:
            z_bar = fma(variance * z, a_bar, fma(growth, c_bar, z_bar - x_bar))
            _add(bars, VARIANCE * blocks + block, 0.5 * z * z * a_bar)
            _add(bars, GROWTH * blocks + block, z * c_bar)
            _add_node(bars, block, row, nodes // 2, 0.0 - z * z_bar)
    _add(bars, STRIKE * blocks + block, 0.0 - strike * strike_bar)
    _add(bars, CONSTANT * blocks + block, constant_bar)
    _add(bars, SLOPE * blocks + block, slope_bar)
    at = DISTANCE * blocks + block
    if not moving:
        store(bars, at, load(bars, at) * exp(0.0 - load(frames, at)))


@part
def _add(bars, at, bar):  # type: ignore[no-untyped-def]
    store(bars, at, load(bars, at) + bar)


@part
def _add_moving_node(frames, bars, block, row, half, x_bar, s_bar):  # type: ignore[no-untyped-def]
    """Adds what node `row` and its motion give to the derivatives in the numbers that they are made of."""
    blocks = frames.shape[1]
    _, by_node, by_shift, by_near = _way(frames, block, _node(frames, block, row, half))
    by_node = by_node * s_bar
    towards = load(frames, TOWARDS * blocks + block)
    _add_node(bars, block, row, half, x_bar + by_node)
    _add(bars, SHIFT * blocks + block, by_shift * s_bar)
    _add(bars, NEAR * blocks + block, by_near * s_bar)
    _add(bars, LIFT * blocks + block, 0.0 - towards * s_bar)
    _add(bars, OFFSET * blocks + block, 0.0 - towards * by_node)


@part
def _add_node(bars, block, row, half, node_bar):  # type: ignore[no-untyped-def]
    """Adds what node `row` gives to the derivatives in the numbers that it is made of."""
    blocks = bars.shape[1]
    part = abs(row - half) / half
    if row == 0:
        _add(bars, FIRST * blocks + block, node_bar)
    else:
        _add(bars, MIDDLE * blocks + block, node_bar)
    if 0 < row < half:
        for power in range(3):
            at = (LEFT1 + power) * blocks + block
            store(bars, at, fma(-(part ** (power + 1)), node_bar, load(bars, at)))
    if row >= half:
        for power in range(2):
            at = (RIGHT1 + power) * blocks + block
            store(bars, at, fma(part ** (2 * power + 1), node_bar, load(bars, at)))


@part
def _collect_ends(frames, block, side, times, moving, workspace, strike, bars):  # type: ignore[no-untyped-def]
    """What the values at the ends and the motion of the nodes give, to the frame and to the end nodes' entries of workspace.bars."""
    blocks, last = frames.shape[1], workspace.mesh.shape[0] - 1
    offset, pace, distance = load(frames, OFFSET * blocks + block), load(frames, PACE * blocks + block), load(frames, SHIFT * blocks + block)
    behind = load(frames, TOWARDS * blocks + block) * distance
    for level in range(times.shape[0]):
        time = times[level]
        moved = 1.0 - pace * time
        rest = larger(moved, 0.0)
        left_bar = load(workspace.left_bar, level)
        rest_bar, ahead_bar = broadcast(0.0), broadcast(0.0)  # of r and of y - x
        for end in range(2):
            row = end * last
            free = load(workspace.right_bar, level) if end == 1 else where_above(offset, 0.0, left_bar, 0.0)
            z = 0.0 - load(workspace.mesh, row)
            if moving:
                z = exp(z - fma(rest, load(workspace.shift, row), behind * pace * time))
            z_bar = _pull_payoff_ahead(frames, block, side, time, z, strike, free, bars)
            if moving:
                z_bar = z * z_bar
                _add(workspace.bars, last + 1 + row, 0.0 - rest * z_bar)
                rest_bar = rest_bar - load(workspace.shift, row) * z_bar
                ahead_bar = ahead_bar - z_bar
            _add(workspace.bars, row, 0.0 - z_bar)
        reached = where_above(offset, 0.0, 0.0, left_bar * _waited(frames, block, time, rest))
        _add(bars, REBATE * blocks + block, reached)
        reached = reached * load(frames, REBATE * blocks + block)
        _add(bars, WAITING * blocks + block, time * reached)
        if moving:
            far, decay = fma(pace, time, rest) - 1.0, load(frames, DECAY * blocks + block)
            _add(bars, DECAY * blocks + block, 0.0 - behind * far * reached)
            rest_bar = rest_bar + load(workspace.rest_bar, level) - decay * behind * reached
            behind_bar = pace * time * ahead_bar - decay * far * reached
            _add(bars, SHIFT * blocks + block, load(frames, TOWARDS * blocks + block) * behind_bar)
            pace_bar = behind * (ahead_bar - decay * reached) - where_above(moved, 0.0, rest_bar, 0.0)
            _add(bars, PACE * blocks + block, time * pace_bar)


@part
def _pull_payoff_ahead(frames, block, side, time, z, strike, bar, bars):  # type: ignore[no-untyped-def]
    """`_payoff_ahead` backwards: adds to the frame's derivatives, and returns the one in z."""
    blocks = frames.shape[1]
    growth = exp(0.0 - load(frames, GROWTH * blocks + block) * time)
    forward = z * growth
    inside = where_above(side * (forward - strike), 0.0, side, 0.0) * bar
    forward_bar = fma(load(frames, SLOPE * blocks + block), bar, inside)
    _add(bars, STRIKE * blocks + block, strike * inside)
    _add(bars, CONSTANT * blocks + block, bar)
    _add(bars, SLOPE * blocks + block, forward * bar)
    _add(bars, GROWTH * blocks + block, 0.0 - time * forward * forward_bar)
    return growth * forward_bar
