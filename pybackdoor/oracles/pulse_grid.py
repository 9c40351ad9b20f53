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
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    for block in range(blocks):
        _lay_out(frames, block, workspace)
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
            _collect(frames, block, workspace, nodal, bars)


@part
def _lay_out(frames, block, workspace):  # type: ignore[no-untyped-def]
    """Fills the workspace; the boundary values and the mesh's motion stay 0."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    spread, strain, reach = load(frames, SPREAD * blocks + block), load(frames, STRAIN * blocks + block), load(frames, REACH * blocks + block)
    half = nodes // 2
    for row in range(nodes):
        p = (row - half) / half
        z = 0.5 * (exp(p * reach) - exp(-p * reach))
        store(workspace.mesh, row, z)
        store(workspace.a, row, spread)
        store(workspace.c, row, 0.0 - strain * z)
        store(workspace.u, row, exp(-0.5 * z * z) if 0 < row < nodes - 1 else broadcast(0.0))


@part
def _collect(frames, block, workspace, nodal, bars):  # type: ignore[no-untyped-def]
    """The derivatives in the frame from those in the mesh, the coefficients and the first values."""
    blocks, nodes = frames.shape[1], workspace.mesh.shape[0]
    strain, reach = load(frames, STRAIN * blocks + block), load(frames, REACH * blocks + block)
    half = nodes // 2
    spread_bar, strain_bar, reach_bar = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for row in range(nodes):
        p, z = (row - half) / half, load(workspace.mesh, row)
        z_bar = load(workspace.bars, row) + load(nodal, row)
        if 0 < row < nodes - 1:
            c_bar = load(workspace.bars, 3 * nodes + row)
            spread_bar = spread_bar + load(workspace.bars, 2 * nodes + row)
            strain_bar = strain_bar - z * c_bar
            z_bar = z_bar - strain * c_bar - z * exp(-0.5 * z * z) * load(workspace.u_bar, row)
        reach_bar = fma(0.5 * p * (exp(p * reach) + exp(-p * reach)), z_bar, reach_bar)
    store(bars, SPREAD * blocks + block, spread_bar)
    store(bars, STRAIN * blocks + block, strain_bar)
    store(bars, REACH * blocks + block, reach_bar)
