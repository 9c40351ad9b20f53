"""One grid of the American put's finite-difference solver: mesh, solution, reading at the spot, and the derivatives of that reading.

In units of the strike and with z = spot / strike, w = sigma^2 T, growth = (r - q) T and waiting = r T, the price times e^(waiting t) solves u_t =
(w / 2) z^2 u_zz + growth z u_z with u >= e^(waiting t) max(1 - z, 0), t being the time to maturity over T. Three-point differences in z are exact
for both 1 and z. Nodes z = e^v, v = middle - p (left1 + p^2 left3), p = 1 ... 0, then middle + p (right1 + p^2 right3), the middle one on the
strike if that is in reach.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.exercise import solve_early, solve_early_adjoint
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import LANES, broadcast, fma, larger, load, store, where_above

COLUMNS = ("middle", "left1", "left3", "right1", "right3", "variance", "growth", "waiting", "distance")
MIDDLE, LEFT1, LEFT3, RIGHT1, RIGHT3, VARIANCE, GROWTH, WAITING, DISTANCE = range(len(COLUMNS))


@kernel
def solve_grid(frames, times, pace, workspace, early, nodal, values, bars):  # type: ignore[no-untyped-def]
    """Values u e^-waiting [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS, blocks, LANES].

    times [solves + 1]: t at the solver's levels; pace [solves]: its growth over that of the solver's own time; nodal [nodes, LANES]: memory. A spot
    at or below the last node that exercises is worth the payoff, with all derivatives in COLUMNS but that in distance 0.
    """
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    for block in range(blocks):
        _lay_out(frames, block, times, workspace, early)
        solve_early(workspace, early, pace)
        store(values, block, exp(load(frames, DISTANCE * blocks + block)))
        for lane in range(LANES):
            edge = int(early.edges[pace.shape[0] - 1, lane])
            spot = values[block, lane]
            value, slope = read_at(spot, lane, workspace.mesh, workspace.u, workspace.u_bar, nodal, edge)
            factor = 1.0 / early.factor[pace.shape[0], lane]
            value *= factor
            exercised = (edge > 0 and spot <= workspace.mesh[edge, lane]) or (value <= 1.0 - spot and early.factor[pace.shape[0], lane] > 1.0)
            values[block, lane] = 1.0 - spot if exercised else value
            if bars.shape[1] > 0:
                bars[DISTANCE, block, lane] = -spot if exercised else factor * slope * spot
                for row in range(nodes):
                    workspace.u_bar[row, lane] *= 0.0 if exercised else factor
                    nodal[row, lane] *= 0.0 if exercised else factor
                bars[WAITING, block, lane] = 0.0 if exercised else -value
        if bars.shape[1] > 0:
            solve_early_adjoint(workspace, early, pace)
            _collect(frames, block, times, workspace, early, nodal, bars)


@part
def _lay_out(frames, block, times, workspace, early):  # type: ignore[no-untyped-def]
    """Fills the workspace: mesh, coefficients, payoff, and at the ends the larger of exercise and of waiting until maturity."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    half = nodes // 2
    variance, growth = load(frames, VARIANCE * blocks + block), load(frames, GROWTH * blocks + block)
    waiting = load(frames, WAITING * blocks + block)
    for row in range(nodes):
        part = abs(row - half) / half
        side, first = (-part, LEFT1) if row < half else (part, RIGHT1)
        cubic = fma(part * part, load(frames, (first + 1) * blocks + block), load(frames, first * blocks + block))
        z = exp(fma(side, cubic, load(frames, MIDDLE * blocks + block)))
        store(workspace.mesh, row, z)
        store(workspace.a, row, 0.5 * variance * z * z)
        store(workspace.c, row, growth * z)
        paid = larger(1.0 - z, 0.0)
        store(early.payoff, row, paid)
        store(workspace.u, row, paid)
    low, high = load(workspace.mesh, 0), load(workspace.mesh, nodes - 1)
    for level in range(times.shape[0]):
        factor, forward = exp(waiting * times[level]), exp(growth * times[level])
        store(early.factor, level, factor)
        store(workspace.left, level, larger(larger(factor * (1.0 - low), 1.0 - low * forward), 0.0))
        store(workspace.right, level, larger(larger(factor * (1.0 - high), 1.0 - high * forward), 0.0))


@part
def _collect(frames, block, times, workspace, early, nodal, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, the coefficients, the payoff and the values at the ends."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    half = nodes // 2
    variance, growth = load(frames, VARIANCE * blocks + block), load(frames, GROWTH * blocks + block)
    for column in range(WAITING):
        store(bars, column * blocks + block, broadcast(0.0))
    _pull_ends(frames, block, times, workspace, early, bars)
    for row in range(nodes):
        z = load(workspace.mesh, row)
        inner = 1.0 if 0 < row < nodes - 1 else 0.0
        paid_bar = inner * (load(early.payoff_bar, row) + load(workspace.u_bar, row))
        a_bar, c_bar = load(workspace.bars, 2 * nodes + row), load(workspace.bars, 3 * nodes + row)
        z_bar = load(workspace.bars, row) + load(nodal, row) - where_above(1.0 - z, 1e-12, paid_bar, 0.0)
        z_bar = fma(variance * z, a_bar, fma(growth, c_bar, z_bar))
        _add(bars, VARIANCE * blocks + block, 0.5 * z * z * a_bar)
        _add(bars, GROWTH * blocks + block, z * c_bar)
        part = abs(row - half) / half
        side, first = (-part, LEFT1) if row < half else (part, RIGHT1)
        node_bar = z * z_bar
        _add(bars, MIDDLE * blocks + block, node_bar)
        _add(bars, first * blocks + block, side * node_bar)
        _add(bars, (first + 1) * blocks + block, side * part * part * node_bar)


@part
def _pull_ends(frames, block, times, workspace, early, bars):  # type: ignore[no-untyped-def]
    """What the values at the ends and the payoff's growth give, to the frame and to the end nodes' entries of workspace.bars."""
    blocks, last = frames.shape[1], workspace.mesh.shape[0] - 1
    for level in range(times.shape[0]):
        factor, forward = load(early.factor, level), exp(load(frames, GROWTH * blocks + block) * times[level])
        _add(bars, WAITING * blocks + block, times[level] * factor * load(early.factor_bar, level))
        for end in range(2):
            z = load(workspace.mesh, end * last)
            bar = load(workspace.left_bar, level) if end == 0 else load(workspace.right_bar, level)
            now, later = factor * (1.0 - z), 1.0 - z * forward
            bar = where_above(larger(now, later), 0.0, bar, 0.0)
            now_bar = where_above(later, now, 0.0, bar)
            later_bar = bar - now_bar
            _add(bars, WAITING * blocks + block, times[level] * now * now_bar)
            _add(bars, GROWTH * blocks + block, 0.0 - times[level] * z * forward * later_bar)
            _add(workspace.bars, end * last, 0.0 - fma(factor, now_bar, forward * later_bar))


@part
def _add(bars, at, bar):  # type: ignore[no-untyped-def]
    store(bars, at, load(bars, at) + bar)
