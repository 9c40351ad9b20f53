"""One grid of a pulse in a flow: mesh, solution, reading at a place, and the derivatives of that reading.

About the pulse's centre, in units of its first width, and without the reaction's factor:

    u_t = spread u_zz - strain z u_z,    u(z, 0) = exp(-z^2 / 2),    0 < t < 1,

on nodes z = sinh(reach p), -1 <= p <= 1, which resolve the first width and, ten to each factor e, all greater ones; u = 0 at the ends.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import LANES, broadcast, fma, load, store
from pybackdoor.oracles.parabolic import solve, solve_adjoint

COLUMNS = ("spread", "strain", "reach", "place")
SPREAD, STRAIN, REACH, PLACE = range(len(COLUMNS))


@kernel
def solve_grid(frames, workspace, nodal, values, bars):  # type: ignore[no-untyped-def]
    """Values u [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS, blocks, LANES]; 0 beyond the mesh.

    nodal [nodes, LANES]: memory.
    """
    nodes = workspace.mesh.shape[0]
    for block in range(frames.shape[1]):
        frame = frames[:, block]
        _lay_out(frame, workspace)
        solve(workspace, False)
        for lane in range(LANES):
            place = frames[PLACE, block, lane]
            inside = 1.0 if abs(place) < workspace.mesh[nodes - 1, lane] else 0.0
            value, slope = read_at(place * inside, lane, workspace.mesh, workspace.u, workspace.u_bar, nodal)
            values[block, lane] = value * inside
            if bars.shape[1] > 0:
                bars[PLACE, block, lane] = slope * inside
                for row in range(nodes):
                    workspace.u_bar[row, lane] *= inside
                    nodal[row, lane] *= inside
        if bars.shape[1] > 0:
            solve_adjoint(workspace, False)
            _collect(frame, workspace, nodal, bars[:, block])


@part
def node(frame, row, half):  # type: ignore[no-untyped-def]
    """(z, c, first value) of a node; its a is the spread."""
    p, reach = (row - half) / half, load(frame, REACH)
    z = 0.5 * (exp(p * reach) - exp(-p * reach))
    return z, 0.0 - load(frame, STRAIN) * z, exp(-0.5 * z * z)


@part
def push_node(frame, bars, row, half, z, x_bar, a_bar, c_bar, first_bar):  # type: ignore[no-untyped-def]
    """A node backwards, into bars: from the derivatives in its place, a, c and first value."""
    p, strain, reach = (row - half) / half, load(frame, STRAIN), load(frame, REACH)
    z_bar = x_bar - strain * c_bar - z * exp(-0.5 * z * z) * first_bar
    store(bars, SPREAD, load(bars, SPREAD) + a_bar)
    store(bars, STRAIN, load(bars, STRAIN) - z * c_bar)
    store(bars, REACH, fma(0.5 * p * (exp(p * reach) + exp(-p * reach)), z_bar, load(bars, REACH)))


@part
def _lay_out(frame, workspace):  # type: ignore[no-untyped-def]
    """Fills the workspace; the boundary values and the mesh's motion stay 0."""
    nodes = workspace.mesh.shape[0]
    for row in range(nodes):
        z, c, first = node(frame, row, nodes // 2)
        store(workspace.mesh, row, z)
        store(workspace.a, row, load(frame, SPREAD))
        store(workspace.c, row, c)
        store(workspace.u, row, first if 0 < row < nodes - 1 else broadcast(0.0))


@part
def _collect(frame, workspace, nodal, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, the coefficients and the first values."""
    nodes = workspace.mesh.shape[0]
    for column in range(PLACE):
        store(bars, column, broadcast(0.0))
    for row in range(nodes):
        inner = 1.0 if 0 < row < nodes - 1 else 0.0
        a_bar, c_bar = inner * load(workspace.bars, 2 * nodes + row), inner * load(workspace.bars, 3 * nodes + row)
        x_bar, first_bar = load(workspace.bars, row) + load(nodal, row), inner * load(workspace.u_bar, row)
        push_node(frame, bars, row, nodes // 2, load(workspace.mesh, row), x_bar, a_bar, c_bar, first_bar)
