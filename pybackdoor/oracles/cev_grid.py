"""One grid of the CEV put's finite-difference solver: mesh, solution, reading at the forward, and the derivatives of that reading.

In units of the strike the forward z is a martingale, and with the variance spent as the clock the undiscounted put solves

    u_t = (w / 2) z^(2 - 2 e) u_zz,    u(z, 0) = max(1 - z, 0),    0 < t < 1,

e = 1 - elasticity, with u = 1 at z = 0, where z is absorbed. Three-point differences in z are exact for 1 and z. Nodes are laid out in y = (z^e - 1)
/ e (log z for e = 0), in which the variance is w everywhere: y = middle - p (left1 + p^2 left3), p = 1 ... 0, then middle + p (right1 + p^2 right3),
the middle one on the strike if that is in reach. The first node is z = first.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp, log
from pybackdoor.oracles.lanes import LANES, broadcast, fma, larger, load, store, where_above
from pybackdoor.oracles.parabolic import solve, solve_adjoint

COLUMNS = ("first", "middle", "left1", "left3", "right1", "right3", "variance", "away", "distance")
FIRST, MIDDLE, LEFT1, LEFT3, RIGHT1, RIGHT3, VARIANCE, AWAY, DISTANCE = range(len(COLUMNS))
_AT_STRIKE = 1e-12  # how near to the strike a node counts as on it
_SMALL = 0.02  # of e y, below which `_slope_in_away` is summed as a series


@kernel
def solve_grid(frames, workspace, nodal, values, bars):  # type: ignore[no-untyped-def]
    """Values u [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS, blocks, LANES].

    nodal [2, nodes, LANES]: memory.
    """
    blocks = frames.shape[1]
    for block in range(blocks):
        _lay_out(frames, block, workspace, nodal)
        solve(workspace, False)
        spot = exp(load(frames, DISTANCE * blocks + block))
        store(values, block, spot)
        for lane in range(LANES):
            value, slope = read_at(values[block, lane], lane, workspace.mesh, workspace.u, workspace.u_bar, nodal[0])
            values[block, lane] = value
            if bars.shape[1] > 0:
                bars[DISTANCE, block, lane] = slope
        if bars.shape[1] > 0:
            store(bars, DISTANCE * blocks + block, spot * load(bars, DISTANCE * blocks + block))
            solve_adjoint(workspace, False)
            _collect(frames, block, workspace, nodal, bars)


@part
def _log_node(frames, block, row, half):  # type: ignore[no-untyped-def]
    """(log z of node `row` > 0, y, 1 + e y)."""
    blocks = frames.shape[1]
    away, part = load(frames, AWAY * blocks + block), abs(row - half) / half
    side, column = (-part, LEFT1) if row < half else (part, RIGHT1)
    cubic = fma(part * part, load(frames, (column + 1) * blocks + block), load(frames, column * blocks + block))
    y = fma(side, cubic, load(frames, MIDDLE * blocks + block))
    x = away * y
    power = 1.0 + x
    return (log(power) + (x - (power - 1.0)) / power) / away, y, power  # log1p(x) / e


@part
def _slope_in_away(y, x, power, logarithm, away):  # type: ignore[no-untyped-def]
    """The derivative of log z = log(1 + e y) / e in e, y held."""
    total = broadcast(1.0 / 9.0 - 1.0)
    for degree in range(8, 1, -1):
        total = fma(0.0 - x, total, 1.0 / degree - 1.0)
    near = where_above(x, 0.0, x, 0.0 - x)
    return where_above(near, _SMALL, (y / power - logarithm) / away, y * y * total)


@part
def _lay_out(frames, block, workspace, nodal):  # type: ignore[no-untyped-def]
    """Fills the workspace: mesh, coefficients, payoff, and at the ends the payoff, which a martingale keeps there; nodal[1] with log z."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    half, elasticity = nodes // 2, 1.0 - load(frames, AWAY * blocks + block)
    for row in range(nodes):
        if row == 0:
            z = load(frames, FIRST * blocks + block)
            store(workspace.a, row, broadcast(0.0))
        else:
            logarithm = _log_node(frames, block, row, half)[0]
            z = exp(logarithm)
            store(nodal, nodes + row, logarithm)
            store(workspace.a, row, 0.5 * load(frames, VARIANCE * blocks + block) * exp(2.0 * elasticity * logarithm))
        store(workspace.mesh, row, z)
        store(workspace.u, row, larger(1.0 - z, 0.0))
    for level in range(workspace.left.shape[0]):
        store(workspace.left, level, load(workspace.u, 0))
        store(workspace.right, level, load(workspace.u, nodes - 1))


@part
def _collect(frames, block, workspace, nodal, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, the coefficients, the payoff and the values at the ends."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    half, away = nodes // 2, load(frames, AWAY * blocks + block)
    left_bar, right_bar = broadcast(0.0), broadcast(0.0)
    for level in range(workspace.left.shape[0]):
        left_bar, right_bar = left_bar + load(workspace.left_bar, level), right_bar + load(workspace.right_bar, level)
    for column in range(DISTANCE):
        store(bars, column * blocks + block, broadcast(0.0))
    for row in range(nodes):
        z = load(workspace.mesh, row)
        inner = 1.0 if 0 < row < nodes - 1 else 0.0
        paid_bar = left_bar if row == 0 else (right_bar if row == nodes - 1 else load(workspace.u_bar, row))
        z_bar = load(workspace.bars, row) + load(nodal, row) - where_above(1.0 - z, _AT_STRIKE, paid_bar, 0.0)
        if row == 0:
            _add(bars, FIRST * blocks + block, z_bar)
        else:
            _, y, power = _log_node(frames, block, row, half)
            a, a_bar, logarithm = load(workspace.a, row), inner * load(workspace.bars, 2 * nodes + row), load(nodal, nodes + row)
            log_bar = fma(2.0 * (1.0 - away), a * a_bar, z * z_bar)
            slope = _slope_in_away(y, away * y, power, logarithm, away)
            _add(bars, VARIANCE * blocks + block, a * a_bar / load(frames, VARIANCE * blocks + block))
            _add(bars, AWAY * blocks + block, fma(slope, log_bar, 0.0 - 2.0 * logarithm * a * a_bar))
            _add_node(bars, block, row, half, log_bar / power)


@part
def _add_node(bars, block, row, half, y_bar):  # type: ignore[no-untyped-def]
    """Adds what node `row` gives to the derivatives in the numbers that it is made of."""
    blocks, part = bars.shape[1], abs(row - half) / half
    side, column = (-part, LEFT1) if row < half else (part, RIGHT1)
    _add(bars, MIDDLE * blocks + block, y_bar)
    _add(bars, column * blocks + block, side * y_bar)
    _add(bars, (column + 1) * blocks + block, side * part * part * y_bar)


@part
def _add(bars, at, bar):  # type: ignore[no-untyped-def]
    store(bars, at, load(bars, at) + bar)
