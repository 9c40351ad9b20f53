"""One grid of the down-and-out put's finite-difference solver: mesh, solution, reading at the spot, and the derivatives of that reading.

Points are rows (log(spot/barrier), log(strike/barrier), sigma^2 T, r T), see scalar/put_mesh.py. Results are rows (u, and its derivatives in the
four), u being the undiscounted price over the barrier.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lanes import LANES
from pybackdoor.oracles.parabolic import solve, solve_adjoint
from pybackdoor.oracles.scalar.put_mesh import fitted_drift, mesh_frame, mesh_node


@kernel
def solve_grid(points, times, steps, moving, workspace, results):  # type: ignore[no-untyped-def]
    """Points [n, 4] -> results [n, 5] (gradient and value) or [n, 1] (value), n a multiple of LANES; `moving`: whether these points' meshes move."""
    gradient = results.shape[1] > 1
    for start in range(0, points.shape[0], LANES):
        for lane in range(LANES):
            _lay_out(points[start + lane], lane, times, workspace)
        solve(workspace, steps, moving)
        x_bar = workspace.work[0]  # not in use between the two
        for lane in range(LANES):
            value, slope = read_at(points[start + lane, 0], lane, workspace.mesh, workspace.u, workspace.u_bar, x_bar)
            results[start + lane, 0] = value
            if gradient:
                results[start + lane, 1] = slope
        if gradient:
            node_bar = x_bar.copy()
            solve_adjoint(workspace, steps, moving)
            for lane in range(LANES):
                for row in range(node_bar.shape[0]):
                    workspace.bars[0, row, lane] += node_bar[row, lane]
                _collect(points[start + lane], lane, workspace, results[start + lane])


@scalar
def _lay_out(point, lane, times, workspace):  # type: ignore[no-untyped-def]
    """Fills one lane: the mesh and its motion, the coefficients, the payoff, and at the ends the barrier or the payoff's own growth."""
    log_spot, log_strike, variance, growth = point
    mesh, shift, a, c, u, left, right = workspace[:7]
    nodes = mesh.shape[0]
    frame = mesh_frame(log_spot, log_strike, variance, growth)
    strike, drift, resting = math.exp(log_strike), growth - 0.5 * variance, 1.0 - frame[6]
    for row in range(nodes):
        mesh[row, lane], shift[row, lane] = mesh_node(row, nodes // 2, frame)
        a[row, lane] = 0.5 * variance
        u[row, lane] = max(strike - math.exp(mesh[row, lane] + shift[row, lane]), 0.0)
    for row in range(1, nodes - 1):
        fitted = fitted_drift(mesh[row, lane] - mesh[row - 1, lane], mesh[row + 1, lane] - mesh[row, lane], variance, growth)[0]
        c[row, lane] = drift + resting * (fitted - drift)
    barrier = mesh[0, lane] == 0.0
    if barrier:
        u[0, lane] = 0.0
    for level in range(times.shape[0]):
        time = times[level]
        end = mesh[nodes - 1, lane] + (1.0 - time) * shift[nodes - 1, lane]
        right[level, lane] = max(strike - math.exp(end + growth * time), 0.0)
        start = mesh[0, lane] + (1.0 - time) * shift[0, lane]
        left[level, lane] = 0.0 if barrier else max(strike - math.exp(start + growth * time), 0.0)


@scalar
def _collect(point, lane, workspace, result):  # type: ignore[no-untyped-def]
    """The derivatives in the four numbers from those in the mesh, its motion, the coefficients and the payoff.

    The values at an end that is not the barrier are taken as fixed: they reach the spot with a probability of 1e-9.
    """
    log_spot, log_strike, variance, growth = point
    mesh, shift, u_bar, bars = workspace.mesh, workspace.shift, workspace.u_bar, workspace.bars
    nodes = mesh.shape[0]
    strike, drift = math.exp(log_strike), growth - 0.5 * variance
    resting = 1.0 - mesh_frame(log_spot, log_strike, variance, growth)[6]
    strike_bar, variance_bar, growth_bar, resting_bar = 0.0, 0.0, 0.0, 0.0
    for row in range(1, nodes - 1):
        asset = math.exp(mesh[row, lane] + shift[row, lane])
        if asset < strike * (1.0 - 1e-12):  # the node on the strike has payoff 0 wherever it goes
            strike_bar += u_bar[row, lane] * strike
            bars[0, row, lane] -= u_bar[row, lane] * asset
            bars[1, row, lane] -= u_bar[row, lane] * asset
        fitted, by_h0, by_h1, by_variance, by_growth = fitted_drift(
            mesh[row, lane] - mesh[row - 1, lane], mesh[row + 1, lane] - mesh[row, lane], variance, growth
        )
        c_bar = bars[3, row, lane]
        pull = resting * c_bar
        bars[0, row - 1, lane] -= pull * by_h0
        bars[0, row, lane] += pull * (by_h0 - by_h1)
        bars[0, row + 1, lane] += pull * by_h1
        variance_bar += 0.5 * bars[2, row, lane] + pull * by_variance - 0.5 * (c_bar - pull)
        growth_bar += pull * by_growth + (c_bar - pull)
        resting_bar += c_bar * (fitted - drift)
    result[2] = strike_bar
    result[3] = variance_bar
    result[4] = growth_bar
    step = 1e-30j
    for direction in range(4):
        frame = mesh_frame(
            log_spot + (step if direction == 0 else 0j),
            log_strike + (step if direction == 1 else 0j),
            variance + (step if direction == 2 else 0j),
            growth + (step if direction == 3 else 0j),
        )
        total = -resting_bar * frame[6].imag
        for row in range(nodes):
            x, ahead = mesh_node(row, nodes // 2, frame)
            total += bars[0, row, lane] * x.imag + bars[1, row, lane] * ahead.imag
        result[1 + direction] += total / step.imag
