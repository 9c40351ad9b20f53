"""Many one-dimensional parabolic problems side by side: u_t = a u_xx + c u_x on 0 < t < 1 between two given boundary values, and the adjoint.

Space: three-point differences on each problem's own mesh, with a(x) f(t) and c(x) g(t) given by their parts at the nodes and at the solves; the
nodes may move along lines, x_i(t) = x_i + r(t) s_i. Second order on meshes that are smooth images of a uniform one. Time: Crank-Nicolson steps, of
which the first STARTS / 2 are replaced by STARTS implicit Euler steps of half the length, so that jumps and kinks in the data are smoothed and the
order stays two (R. Rannacher, Numerische Mathematik 43 (1984), 309-327). Half an Euler step and half a Crank-Nicolson step have the same matrix: on
a resting mesh with steady coefficients it is factored once.

With h_0 and h_1 the cells left and right of node i, and v_i = c_i g + s_i r', the discrete equations are u_i' = lo_i (u_{i-1} - u_i) + up_i
(u_{i+1} - u_i),

    lo_i = (2 a_i f / h_0 - v_i) / (h_0 + h_1),    up_i = (2 a_i f / h_1 + v_i) / (h_0 + h_1),

and every step solves y - k y' = u, k = dt / 2, and goes on with y (Euler) or 2 y - u (Crank-Nicolson). Its matrix is that of the step's end (Euler)
or middle, and r' the step's mean. The adjoint is that of these operations.

Arrays are [nodes, LANES], a problem a lane (see lanes.py). All memory belongs to the caller. Cost: 5 multiply-adds a node and solve and 9 more for
the adjoint; where the matrix varies about 2 divisions a node and solve besides, and 3 for the adjoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
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
    where no adjoint is wanted. left_bar and right_bar [solves + 1, LANES] receive the derivatives in the boundary values, bars [4, nodes, LANES]
    those in x, s, a and c. Where something varies, the caller fills rest (r) [solves + 1, LANES] and rates (f, then g) [2, solves, LANES], ones to
    begin with, and rest_bar and rates_bar receive the derivatives in them.
    """

    mesh: np.ndarray
    shift: np.ndarray
    a: np.ndarray
    c: np.ndarray
    u: np.ndarray
    left: np.ndarray
    right: np.ndarray
    u_bar: np.ndarray
    left_bar: np.ndarray
    right_bar: np.ndarray
    bars: np.ndarray
    history: np.ndarray
    lu: np.ndarray
    work: np.ndarray
    rest: np.ndarray
    rest_bar: np.ndarray
    rates: np.ndarray
    rates_bar: np.ndarray


def workspace(nodes: int, steps: int, *, adjoint: bool) -> Workspace:
    """Memory for one block of problems."""
    levels = solves(steps) + 1
    made = Workspace(
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(levels),
        aligned(levels),
        aligned(nodes),
        aligned(levels),
        aligned(levels),
        aligned(4, nodes),
        aligned(levels if adjoint else 1, nodes),
        aligned(3, nodes),
        aligned(3, nodes),
        aligned(levels),
        aligned(levels),
        aligned(2, levels - 1),
        aligned(2, levels - 1),
    )
    made.rates[:] = 1.0
    return made


@part
def motion(here, ahead, index, k):  # type: ignore[no-untyped-def]
    """(r, r') of solve `index` from r at the levels before and after it."""
    if index < STARTS:
        return ahead, (ahead - here) * (1.0 / k)
    return 0.5 * (here + ahead), (ahead - here) * (0.5 / k)


@part
def _cell(mesh, shift, row, r):  # type: ignore[no-untyped-def]
    """The length of the cell right of node `row` on the mesh x + r s."""
    return fma(r, load(shift, row + 1) - load(shift, row), load(mesh, row + 1) - load(mesh, row))


@part
def pulls(k, h0, h1, twice, speed):  # type: ignore[no-untyped-def]
    """(k lo, k up) of a node between cells of length h0 and h1: twice is 2 a f, speed c g + s r'. Of lanes or of numbers."""
    scale = k / ((h0 + h1) * (h0 * h1))
    return scale * h1 * (twice - h0 * speed), scale * h0 * (twice + h1 * speed)


@part
def push_pulls(k, h0, h1, twice, speed, lo_bar, up_bar):  # type: ignore[no-untyped-def]
    """`pulls` backwards: from the derivatives in k lo and k up to those in (h0, h1, twice, speed)."""
    over = 1.0 / ((h0 + h1) * (h0 * h1))
    over0, over1, over2 = over * h1 * (h0 + h1), over * h0 * (h0 + h1), over * h0 * h1
    scale = k * over2
    both = (lo_bar * (twice * over0 - speed) + up_bar * (twice * over1 + speed)) * scale * over2
    h0_bar = 0.0 - both - lo_bar * scale * twice * over0 * over0
    h1_bar = 0.0 - both - up_bar * scale * twice * over1 * over1
    return h0_bar, h1_bar, scale * (lo_bar * over0 + up_bar * over1), scale * (up_bar - lo_bar)


@part
def _factor(workspace, index, k):  # type: ignore[no-untyped-def]
    """Factors 1 - k A of solve `index` into lu [3, nodes, LANES]: 1 / p, k lo / p and k up / p, with the pivot p of each row."""
    mesh, shift, a, c, lu, rates = workspace.mesh, workspace.shift, workspace.a, workspace.c, workspace.lu, workspace.rates
    nodes = mesh.shape[0]
    r, speed_of = motion(load(workspace.rest, index), load(workspace.rest, index + 1), index, k)
    f, g = 2.0 * load(rates, index), load(rates, rates.shape[1] + index)
    ahead, h0 = broadcast(0.0), _cell(mesh, shift, 0, r)
    for row in range(1, nodes - 1):
        h1 = _cell(mesh, shift, row, r)
        twice, speed = f * load(a, row), fma(g, load(c, row), speed_of * load(shift, row))
        lo, up = pulls(k, h0, h1, twice, speed)
        inverse = 1.0 / (1.0 + lo + up - lo * ahead)
        ahead = up * inverse
        store(lu, row, inverse)
        store(lu, nodes + row, lo * inverse)
        store(lu, 2 * nodes + row, ahead)
        h0 = h1


@kernel
def solve(workspace, varying):  # type: ignore[no-untyped-def]
    """Carries u from t = 0 to 1; varying: whether nodes move or coefficients change with time."""
    u, left, right, history, lu = workspace.u, workspace.left, workspace.right, workspace.history, workspace.lu
    nodes = u.shape[0]
    last, count = nodes - 1, left.shape[0] - 1
    k = 0.5 / (count - STARTS // 2)
    keep = history.shape[0] > 1
    if keep:
        for row in range(nodes):
            store(history, row, load(u, row))
    for index in range(count):
        if varying or index == 0:
            _factor(workspace, index, k)
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


@part
def _pull_back(workspace, index):  # type: ignore[no-untyped-def]
    """One solve backwards: u_bar from after it to before it; adds what it gives to the derivatives in k lo and k up (work[1] and work[2])."""
    u_bar, history, lu, work = workspace.u_bar, workspace.history, workspace.lu, workspace.work
    nodes = u_bar.shape[0]
    at, weight, share = nodes * (index + 1), 1.0 if index < STARTS else 2.0, 1.0 if index < STARTS else 0.5
    total = broadcast(0.0)
    for row in range(1, nodes - 1):  # the transposed upper factor
        total = weight * load(u_bar, row) if row == 1 else fma(load(lu, 2 * nodes + row - 1), total, weight * load(u_bar, row))
        store(work, row, total)
    _share_out(workspace.right_bar, index, share, load(lu, 3 * nodes - 2) * total)
    scaled, y_next, y_here = broadcast(0.0), load(history, at + nodes - 1), load(history, at + nodes - 2)
    for row in range(nodes - 2, 0, -1):  # the transposed lower factor
        scaled = load(work, row) if row == nodes - 2 else fma(load(lu, nodes + row + 1), scaled, load(work, row))
        mu = load(lu, row) * scaled
        y_last = load(history, at + row - 1)
        store(u_bar, row, fma(1.0 - weight, load(u_bar, row), mu))
        store(work, nodes + row, fma(mu, y_last - y_here, load(work, nodes + row)))
        store(work, 2 * nodes + row, fma(mu, y_next - y_here, load(work, 2 * nodes + row)))
        y_next, y_here = y_here, y_last
    _share_out(workspace.left_bar, index, share, load(lu, nodes + 1) * scaled)


@part
def _share_out(side_bar, index, share, bar):  # type: ignore[no-untyped-def]
    """Adds what a boundary value of solve `index` gives to the derivatives in those of the two levels that it was taken from."""
    store(side_bar, index + 1, fma(share, bar, load(side_bar, index + 1)))
    store(side_bar, index, fma(1.0 - share, bar, load(side_bar, index)))


@part
def _collect(workspace, index, k):  # type: ignore[no-untyped-def]
    """Carries the derivatives in k lo and k up of solve `index` on to x, s, a and c, r, r', f and g, and clears them."""
    mesh, shift, a, c, bars, work = workspace.mesh, workspace.shift, workspace.a, workspace.c, workspace.bars, workspace.work
    rates, rates_bar, count = workspace.rates, workspace.rates_bar, workspace.rates.shape[1]
    nodes = mesh.shape[0]
    r, speed_of = motion(load(workspace.rest, index), load(workspace.rest, index + 1), index, k)
    f, g = load(rates, index), load(rates, count + index)
    r_bar, speed_of_bar, f_bar, g_bar = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    h0 = _cell(mesh, shift, 0, r)
    for row in range(1, nodes - 1):
        h1 = _cell(mesh, shift, row, r)
        a_here, c_here, s_here = load(a, row), load(c, row), load(shift, row)
        twice, speed = 2.0 * f * a_here, fma(g, c_here, speed_of * s_here)
        lo_bar, up_bar = load(work, nodes + row), load(work, 2 * nodes + row)
        h0_bar, h1_bar, twice_bar, speed_bar = push_pulls(k, h0, h1, twice, speed, lo_bar, up_bar)
        twice_bar = 2.0 * twice_bar
        here_bar = h0_bar - h1_bar
        store(bars, row - 1, load(bars, row - 1) - h0_bar)
        store(bars, row, load(bars, row) + here_bar)
        store(bars, row + 1, load(bars, row + 1) + h1_bar)
        store(bars, nodes + row - 1, fma(0.0 - r, h0_bar, load(bars, nodes + row - 1)))
        store(bars, nodes + row, fma(speed_of, speed_bar, fma(r, here_bar, load(bars, nodes + row))))
        store(bars, nodes + row + 1, fma(r, h1_bar, load(bars, nodes + row + 1)))
        store(bars, 2 * nodes + row, fma(f, twice_bar, load(bars, 2 * nodes + row)))
        store(bars, 3 * nodes + row, fma(g, speed_bar, load(bars, 3 * nodes + row)))
        r_bar = fma(h1_bar, load(shift, row + 1) - s_here, fma(h0_bar, s_here - load(shift, row - 1), r_bar))
        speed_of_bar, f_bar, g_bar = fma(speed_bar, s_here, speed_of_bar), fma(twice_bar, a_here, f_bar), fma(speed_bar, c_here, g_bar)
        store(work, nodes + row, broadcast(0.0))
        store(work, 2 * nodes + row, broadcast(0.0))
        h0 = h1
    _move_back(workspace.rest_bar, index, k, r_bar, speed_of_bar)
    store(rates_bar, index, f_bar)
    store(rates_bar, count + index, g_bar)


@part
def _move_back(rest_bar, index, k, r_bar, speed_of_bar):  # type: ignore[no-untyped-def]
    """`motion` backwards."""
    weight, share = (1.0 / k, 1.0) if index < STARTS else (0.5 / k, 0.5)
    store(rest_bar, index + 1, load(rest_bar, index + 1) + fma(share, r_bar, weight * speed_of_bar))
    store(rest_bar, index, load(rest_bar, index) + fma(1.0 - share, r_bar, (0.0 - weight) * speed_of_bar))


@kernel
def solve_adjoint(workspace, varying):  # type: ignore[no-untyped-def]
    """Carries the derivative of a number in the final u, u_bar, back to all that `solve` started from: u_bar in the first u, and the other bars.

    Takes history and lu as `solve` left them. The entries of the first and last node mean nothing in u_bar and in bars[2:]. Without
    `varying`, rest_bar and rates_bar are left as they are.
    """
    nodes, last = workspace.mesh.shape[0], workspace.left.shape[0] - 1
    k = 0.5 / (last - STARTS // 2)
    for level in range(last + 1):
        store(workspace.left_bar, level, broadcast(0.0))
        store(workspace.right_bar, level, broadcast(0.0))
        store(workspace.rest_bar, level, broadcast(0.0))
    store(workspace.left_bar, last, load(workspace.u_bar, 0))  # the final u has the boundary values at its ends
    store(workspace.right_bar, last, load(workspace.u_bar, nodes - 1))
    for row in range(3 * nodes):
        store(workspace.work, row, broadcast(0.0))
    for row in range(4 * nodes):
        store(workspace.bars, row, broadcast(0.0))
    for index in range(last - 1, -1, -1):
        if varying:
            _factor(workspace, index, k)
        _pull_back(workspace, index)
        if varying or index == 0:
            _collect(workspace, index, k)
