"""One grid of the single barriers' finite-difference solver: mesh, solution, reading at the spot, and the derivatives of that reading.

Frames [COLUMNS + PAYOFF, blocks, LANES] are those of barrier_formulas.py.
"""

from __future__ import annotations

from pybackdoor.oracles.barrier_formulas import end_values, equation, payoff, place, push_all_of_node, push_level, push_payoff, resting, strike_of
from pybackdoor.oracles.barrier_frame import DISTANCE
from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import LANES, broadcast, load, store
from pybackdoor.oracles.parabolic import solve, solve_adjoint


@kernel
def solve_grid(frames, side, times, pace, moving, workspace, asset, values, bars):  # type: ignore[no-untyped-def]
    """Values [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS + PAYOFF, blocks, LANES].

    side: 1 if the payoff lies between barrier and strike, -1 if beyond; times [solves + 1]: t at the solver's levels, pace [solves] its growth
    between them over that of the solver's own time (1 on meshes that rest); asset [2, nodes, LANES]: memory.
    """
    x_bar = asset[1]
    for index in range(pace.shape[0] if moving else 0):
        store(workspace.rates, index, broadcast(pace[index]))
        store(workspace.rates, pace.shape[0] + index, broadcast(pace[index]))
    for block in range(frames.shape[1]):
        frame = frames[:, block]
        _lay_out(frame, side, times, moving, workspace, asset)
        solve(workspace, moving)
        distance = load(frame, DISTANCE)
        store(values, block, distance if moving else 0.0 - exp(0.0 - distance))
        for lane in range(LANES):
            value, slope = read_at(values[block, lane], lane, workspace.mesh, workspace.u, workspace.u_bar, x_bar)
            values[block, lane] = value
            if bars.shape[1] > 0:
                bars[DISTANCE, block, lane] = slope
        if bars.shape[1] > 0:
            solve_adjoint(workspace, moving)
            _collect(frame, side, times, moving, workspace, asset, bars[:, block])


@part
def _lay_out(frame, side, times, moving, workspace, asset):  # type: ignore[no-untyped-def]
    """Fills the workspace: the mesh and its motion, the coefficients, the payoff, and the values at the ends."""
    mesh, shift = workspace.mesh, workspace.shift
    nodes = mesh.shape[0]
    strike = strike_of(frame)
    for row in range(nodes):
        x, s, z = place(frame, row, nodes // 2, moving)
        a, c = equation(frame, z, moving)
        store(mesh, row, x)
        store(shift, row, s)
        store(workspace.a, row, a)
        store(workspace.c, row, c)
        store(asset, row, z)
        store(workspace.u, row, payoff(frame, side, z, strike))
    last = nodes - 1
    for level in range(times.shape[0]):
        time = times[level]
        if moving:
            store(workspace.rest, level, resting(frame, time)[0])
        low, high = end_values(frame, side, strike, moving, time, load(mesh, 0), load(shift, 0), load(mesh, last), load(shift, last))
        store(workspace.left, level, low)
        store(workspace.right, level, high)


@part
def _collect(frame, side, times, moving, workspace, asset, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, its motion, the coefficients, the payoff and the values at the ends."""
    nodes, given = workspace.mesh.shape[0], workspace.bars
    strike = strike_of(frame)
    for column in range(bars.shape[0]):
        if column != DISTANCE:
            store(bars, column, broadcast(0.0))
    _collect_ends(frame, side, strike, times, moving, workspace, bars)
    for row in range(nodes):
        z = load(asset, row)
        u_bar = load(workspace.u_bar, row) if 0 < row < nodes - 1 else broadcast(0.0)
        z_bar = push_payoff(frame, bars, side, z, strike, u_bar)
        x_bar = load(given, row) + load(asset, nodes + row)
        s_bar, a_bar, c_bar = load(given, nodes + row), load(given, 2 * nodes + row), load(given, 3 * nodes + row)
        push_all_of_node(frame, bars, row, nodes // 2, moving, z, z_bar, x_bar, s_bar, a_bar, c_bar)
    if not moving:
        store(bars, DISTANCE, load(bars, DISTANCE) * exp(0.0 - load(frame, DISTANCE)))


@part
def _collect_ends(frame, side, strike, times, moving, workspace, bars):  # type: ignore[no-untyped-def]
    """What the values at the ends and the motion of the nodes give, to the frame and to the end nodes' entries of workspace.bars."""
    last, given = workspace.mesh.shape[0] - 1, workspace.bars
    x0, s0, x1, s1 = load(workspace.mesh, 0), load(workspace.shift, 0), load(workspace.mesh, last), load(workspace.shift, last)
    for level in range(times.shape[0]):
        left_bar, right_bar, rest_bar = load(workspace.left_bar, level), load(workspace.right_bar, level), load(workspace.rest_bar, level)
        to_x0, to_s0, to_x1, to_s1 = push_level(frame, bars, side, strike, moving, times[level], x0, s0, x1, s1, left_bar, right_bar, rest_bar)
        store(given, 0, load(given, 0) + to_x0)
        store(given, last, load(given, last) + to_x1)
        store(given, last + 1, load(given, last + 1) + to_s0)
        store(given, last + 1 + last, load(given, last + 1 + last) + to_s1)
