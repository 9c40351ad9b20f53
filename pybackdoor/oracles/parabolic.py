"""Many one-dimensional parabolic problems side by side: u_t = a u_xx + c u_x on 0 < t < 1 between two given boundary values, and the adjoint.

Space: three-point differences on each problem's own mesh, with a and c given at its nodes; the nodes may move along straight lines,
x_i(t) = x_i + (1 - t) s_i. Second order on meshes that are smooth images of a uniform one. Time: Crank-Nicolson steps, of which the first STARTS /
2 are replaced by STARTS implicit Euler steps of half the length, so that jumps and kinks in the data are smoothed and the order stays two (R.
Rannacher, Numerische Mathematik 43 (1984), 309-327). Half an Euler step and half a Crank-Nicolson step have the same matrix: on a resting mesh it
is factored once.

With h_0 and h_1 the cells left and right of node i, the discrete equations are u_i' = lo_i (u_{i-1} - u_i) + up_i (u_{i+1} - u_i),

    lo_i = (2 a_i / h_0 - (c_i - s_i)) / (h_0 + h_1),    up_i = (2 a_i / h_1 + (c_i - s_i)) / (h_0 + h_1),

and every step solves y - k y' = u, k = dt / 2, and goes on with y (Euler) or 2 y - u (Crank-Nicolson). The adjoint is that of these operations,
with the boundary values held fixed.

Arrays are [nodes, LANES], a problem a lane (see lanes.py). All memory belongs to the caller. Cost: 5 multiply-adds a node and solve and 9 more for
the adjoint; on a moving mesh about 5 divisions a node and solve besides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.lanes import aligned, broadcast, fma, load, store

STARTS = 4


def solves(steps: int) -> int:
    """Linear solves that `steps` >= STARTS / 2 time steps need."""
    return steps + STARTS // 2


def level_times(steps: int) -> list[float]:
    """The times between the solves, from 0 to 1: [solves + 1]."""
    return [(index if index <= STARTS else 2 * index - STARTS) / (2 * steps) for index in range(solves(steps) + 1)]


class Workspace(NamedTuple):
    """LANES problems of `nodes` nodes each, their solution, and what the solver needs; zeros to begin with.

    The caller fills mesh (x), shift (s), a, c and u (at t = 0) [nodes, LANES], left and right [solves + 1, LANES] (boundary values at
    `level_times`), and for the adjoint u_bar [nodes, LANES]. history [solves + 1, nodes, LANES] keeps the first u and every y, or has one entry
    where no adjoint is wanted. bars [4, nodes, LANES] receives the derivatives in x, s, a and c.
    """

    mesh: np.ndarray
    shift: np.ndarray
    a: np.ndarray
    c: np.ndarray
    u: np.ndarray
    left: np.ndarray
    right: np.ndarray
    u_bar: np.ndarray
    bars: np.ndarray
    history: np.ndarray
    lu: np.ndarray
    work: np.ndarray


def workspace(nodes: int, steps: int, *, adjoint: bool) -> Workspace:
    """Memory for one block of problems."""
    levels = solves(steps) + 1
    return Workspace(
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(levels),
        aligned(levels),
        aligned(nodes),
        aligned(4, nodes),
        aligned(levels if adjoint else 1, nodes),
        aligned(3, nodes),
        aligned(3, nodes),
    )


@scalar
def _matrix_time(index, k):  # type: ignore[no-untyped-def]
    """When solve `index` takes its matrix: at the end of an Euler step, in the middle of a Crank-Nicolson step."""
    return k * (index + 1) if index < STARTS else k * (2 * index - STARTS + 1)


@scalar
def _cell(mesh, shift, row, rest):  # type: ignore[no-untyped-def]
    """The length of the cell right of node `row` on the mesh x + rest s."""
    return fma(rest, load(shift, row + 1) - load(shift, row), load(mesh, row + 1) - load(mesh, row))


@scalar
def _factor(workspace, rest, k):  # type: ignore[no-untyped-def]
    """Factors 1 - k A on the mesh x + rest s into lu [3, nodes, LANES]: 1 / p, k lo / p and k up / p, with the pivot p of each row."""
    mesh, shift, a, c, lu = workspace.mesh, workspace.shift, workspace.a, workspace.c, workspace.lu
    nodes = mesh.shape[0]
    ahead, h0 = broadcast(0.0), _cell(mesh, shift, 0, rest)
    for row in range(1, nodes - 1):
        h1 = _cell(mesh, shift, row, rest)
        scale, twice, speed = k / (h0 + h1), 2.0 * load(a, row), load(c, row) - load(shift, row)
        lo, up = scale * (twice / h0 - speed), scale * (twice / h1 + speed)
        inverse = 1.0 / (1.0 + lo + up - lo * ahead)
        ahead = up * inverse
        store(lu, row, inverse)
        store(lu, nodes + row, lo * inverse)
        store(lu, 2 * nodes + row, ahead)
        h0 = h1


@kernel
def solve(workspace, steps, moving):  # type: ignore[no-untyped-def]
    """Carries u from t = 0 to 1; `moving`: whether any s is not 0."""
    u, left, right, history, lu = workspace.u, workspace.left, workspace.right, workspace.history, workspace.lu
    nodes = u.shape[0]
    last = nodes - 1
    k = 0.5 / steps
    keep = history.shape[0] > 1
    if keep:
        for row in range(nodes):
            store(history, row, load(u, row))
    if not moving:
        _factor(workspace, 0.0, k)
    for index in range(steps + STARTS // 2):
        if moving:
            _factor(workspace, 1.0 - _matrix_time(index, k), k)
        y = nodes * (index + 1) if keep else 0
        share, weight = (1.0, 1.0) if index < STARTS else (0.5, 2.0)
        value = share * load(left, index + 1) + (1.0 - share) * load(left, index)
        store(history, y, value)
        for row in range(1, last):
            value = fma(load(lu, nodes + row), value, load(lu, row) * load(u, row))
            store(history, y + row, value)
        value = share * load(right, index + 1) + (1.0 - share) * load(right, index)
        store(history, y + last, value)
        for row in range(last - 1, 0, -1):
            value = fma(load(lu, 2 * nodes + row), value, load(history, y + row))
            store(history, y + row, value)
            store(u, row, fma(weight, value, (1.0 - weight) * load(u, row)))
        store(u, 0, load(left, index + 1))
        store(u, last, load(right, index + 1))


@scalar
def _pull_back(workspace, index):  # type: ignore[no-untyped-def]
    """One solve backwards: u and u_bar from after it to before it; adds what it gives to the derivatives in k lo and k up (work[1] and work[2])."""
    u, u_bar, history, lu, work = workspace.u, workspace.u_bar, workspace.history, workspace.lu, workspace.work
    nodes = u.shape[0]
    at, weight = nodes * (index + 1), 1.0 if index < STARTS else 2.0
    total = broadcast(0.0)
    for row in range(1, nodes - 1):  # the transposed upper factor
        total = weight * load(u_bar, row) if row == 1 else fma(load(lu, 2 * nodes + row - 1), total, weight * load(u_bar, row))
        store(work, row, total)
    scaled, y_next, y_here = broadcast(0.0), load(history, at + nodes - 1), load(history, at + nodes - 2)
    for row in range(nodes - 2, 0, -1):  # the transposed lower factor
        scaled = load(work, row) if row == nodes - 2 else fma(load(lu, nodes + row + 1), scaled, load(work, row))
        mu = load(lu, row) * scaled
        y_last = load(history, at + row - 1)
        store(u, row, load(history, at - nodes + row) if weight == 1.0 else fma(2.0, y_here, 0.0 - load(u, row)))
        store(u_bar, row, fma(1.0 - weight, load(u_bar, row), mu))
        store(work, nodes + row, fma(mu, y_last - y_here, load(work, nodes + row)))
        store(work, 2 * nodes + row, fma(mu, y_next - y_here, load(work, 2 * nodes + row)))
        y_next, y_here = y_here, y_last


@scalar
def _collect(workspace, rest, k):  # type: ignore[no-untyped-def]
    """Carries the derivatives in k lo and k up on to x, s, a and c (bars [4, nodes, LANES]), and clears them."""
    mesh, shift, a, c, bars, work = workspace.mesh, workspace.shift, workspace.a, workspace.c, workspace.bars, workspace.work
    nodes = mesh.shape[0]
    h0 = _cell(mesh, shift, 0, rest)
    for row in range(1, nodes - 1):
        h1 = _cell(mesh, shift, row, rest)
        scale, twice, speed = k / (h0 + h1), 2.0 * load(a, row), load(c, row) - load(shift, row)
        lo_bar, up_bar = load(work, nodes + row), load(work, 2 * nodes + row)
        both = (lo_bar * (twice / h0 - speed) + up_bar * (twice / h1 + speed)) * scale / (h0 + h1)
        h0_bar = 0.0 - both - lo_bar * scale * twice / (h0 * h0)
        h1_bar = 0.0 - both - up_bar * scale * twice / (h1 * h1)
        speed_bar = scale * (up_bar - lo_bar)
        here_bar = h0_bar - h1_bar
        store(bars, row - 1, load(bars, row - 1) - h0_bar)
        store(bars, row, load(bars, row) + here_bar)
        store(bars, row + 1, load(bars, row + 1) + h1_bar)
        store(bars, nodes + row - 1, fma(0.0 - rest, h0_bar, load(bars, nodes + row - 1)))
        store(bars, nodes + row, fma(rest, here_bar, load(bars, nodes + row) - speed_bar))
        store(bars, nodes + row + 1, fma(rest, h1_bar, load(bars, nodes + row + 1)))
        store(bars, 2 * nodes + row, fma(2.0 * scale, lo_bar / h0 + up_bar / h1, load(bars, 2 * nodes + row)))
        store(bars, 3 * nodes + row, load(bars, 3 * nodes + row) + speed_bar)
        store(work, nodes + row, broadcast(0.0))
        store(work, 2 * nodes + row, broadcast(0.0))
        h0 = h1


@kernel
def solve_adjoint(workspace, steps, moving):  # type: ignore[no-untyped-def]
    """Carries the derivative of a number in the final u, u_bar, back to all that `solve` started from: u_bar in the first u, and bars.

    Takes u, history and lu as `solve` left them, and changes u. The entries of the first and last node mean nothing in u_bar and in bars[2:].
    """
    nodes = workspace.mesh.shape[0]
    k = 0.5 / steps
    for row in range(3 * nodes):
        store(workspace.work, row, broadcast(0.0))
    for row in range(4 * nodes):
        store(workspace.bars, row, broadcast(0.0))
    for index in range(steps + STARTS // 2 - 1, -1, -1):
        rest = 1.0 - _matrix_time(index, k)
        if moving:
            _factor(workspace, rest, k)
        _pull_back(workspace, index)
        if moving:
            _collect(workspace, rest, k)
    if not moving:
        _collect(workspace, 0.0, k)
