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
    for block in range(frames.shape[1]):
        frame = frames[:, block]
        _lay_out(frame, workspace, nodal)
        solve(workspace, False)
        spot = exp(load(frame, DISTANCE))
        store(values, block, spot)
        for lane in range(LANES):
            value, slope = read_at(values[block, lane], lane, workspace.mesh, workspace.u, workspace.u_bar, nodal[0])
            values[block, lane] = value
            if bars.shape[1] > 0:
                bars[DISTANCE, block, lane] = slope
        if bars.shape[1] > 0:
            solve_adjoint(workspace, False)
            _collect(frame, workspace, nodal, bars[:, block])
            store(bars[:, block], DISTANCE, spot * load(bars[:, block], DISTANCE))


@part
def _log_node(frame, row, half):  # type: ignore[no-untyped-def]
    """(log z of node `row` > 0, y, 1 + e y)."""
    away, part = load(frame, AWAY), abs(row - half) / half
    side, column = (-part, LEFT1) if row < half else (part, RIGHT1)
    cubic = fma(part * part, load(frame, column + 1), load(frame, column))
    y = fma(side, cubic, load(frame, MIDDLE))
    x = away * y
    power = 1.0 + x
    return (log(power) + (x - (power - 1.0)) / power) / away, y, power  # log1p(x) / e


@part
def node(frame, row, half):  # type: ignore[no-untyped-def]
    """(z, a, log z) of a node, the last two 0 at the first, where nothing reads them."""
    if row == 0:
        z = load(frame, FIRST)
        return z, 0.0 * z, 0.0 * z
    logarithm = _log_node(frame, row, half)[0]
    return exp(logarithm), 0.5 * load(frame, VARIANCE) * exp(2.0 * (1.0 - load(frame, AWAY)) * logarithm), logarithm


@part
def payoff(z):  # type: ignore[no-untyped-def]
    """What is paid at z, and, as z is a martingale, the value at the ends at all times."""
    return larger(1.0 - z, 0.0)


@part
def push_node(frame, bars, row, half, known, x_bar, a_bar, paid_bar):  # type: ignore[no-untyped-def]
    """A node backwards, into bars: from the derivatives in its place, its a and what is paid there; known: what `node` gave."""
    z, a, logarithm = known
    z_bar = x_bar - where_above(1.0 - z, _AT_STRIKE, paid_bar, 0.0)
    if row == 0:
        _add(bars, FIRST, z_bar)
    else:
        away = load(frame, AWAY)
        _, y, power = _log_node(frame, row, half)
        log_bar = fma(2.0 * (1.0 - away), a * a_bar, z * z_bar)
        slope = _slope_in_away(y, away * y, power, logarithm, away)
        _add(bars, VARIANCE, a * a_bar / load(frame, VARIANCE))
        _add(bars, AWAY, fma(slope, log_bar, 0.0 - 2.0 * logarithm * a * a_bar))
        _add_node(bars, row, half, log_bar / power)


@part
def _slope_in_away(y, x, power, logarithm, away):  # type: ignore[no-untyped-def]
    """The derivative of log z = log(1 + e y) / e in e, y held."""
    total = 0.0 * x + (1.0 / 9.0 - 1.0)
    for degree in range(8, 1, -1):
        total = fma(0.0 - x, total, 1.0 / degree - 1.0)
    near = where_above(x, 0.0, x, 0.0 - x)
    return where_above(near, _SMALL, (y / power - logarithm) / away, y * y * total)


@part
def _lay_out(frame, workspace, nodal):  # type: ignore[no-untyped-def]
    """Fills the workspace: mesh, coefficients, payoff, values at the ends; nodal[1] with log z."""
    nodes = workspace.mesh.shape[0]
    for row in range(nodes):
        z, a, logarithm = node(frame, row, nodes // 2)
        store(workspace.mesh, row, z)
        store(workspace.a, row, a)
        store(nodal, nodes + row, logarithm)
        store(workspace.u, row, payoff(z))
    for level in range(workspace.left.shape[0]):
        store(workspace.left, level, load(workspace.u, 0))
        store(workspace.right, level, load(workspace.u, nodes - 1))


@part
def _collect(frame, workspace, nodal, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, the coefficients, the payoff and the values at the ends."""
    nodes = workspace.mesh.shape[0]
    left_bar, right_bar = broadcast(0.0), broadcast(0.0)
    for level in range(workspace.left.shape[0]):
        left_bar, right_bar = left_bar + load(workspace.left_bar, level), right_bar + load(workspace.right_bar, level)
    for column in range(DISTANCE):
        store(bars, column, broadcast(0.0))
    for row in range(nodes):
        inner = 1.0 if 0 < row < nodes - 1 else 0.0
        paid_bar = left_bar if row == 0 else (right_bar if row == nodes - 1 else load(workspace.u_bar, row))
        known = load(workspace.mesh, row), load(workspace.a, row), load(nodal, nodes + row)
        x_bar, a_bar = load(workspace.bars, row) + load(nodal, row), inner * load(workspace.bars, 2 * nodes + row)
        push_node(frame, bars, row, nodes // 2, known, x_bar, a_bar, paid_bar)


@part
def _add_node(bars, row, half, y_bar):  # type: ignore[no-untyped-def]
    """Adds what node `row` gives to the derivatives in the numbers that it is made of."""
    part = abs(row - half) / half
    side, column = (-part, LEFT1) if row < half else (part, RIGHT1)
    _add(bars, MIDDLE, y_bar)
    _add(bars, column, side * y_bar)
    _add(bars, column + 1, side * part * part * y_bar)


@part
def _add(bars, at, bar):  # type: ignore[no-untyped-def]
    store(bars, at, load(bars, at) + bar)
