"""Many one-dimensional boundary-value problems side by side: a u'' + b u' + c u = f between two ends, and the adjoint.

Each problem has its own mesh, and a > 0, b, c and f at its nodes; at each end either u or u' is given. With h_0 and h_1 the cells left and right of
node i the discrete equations are lo_i (u_{i-1} - u_i) + up_i (u_{i+1} - u_i) + c_i u_i = f_i,

    lo_i = 2 a_i B(b_i h_0 / a_i) / (h_0 (h_0 + h_1)),    up_i = 2 a_i B(-b_i h_1 / a_i) / (h_1 (h_0 + h_1)),    B(x) = x / (e^x - 1)

(exponential fitting: D. N. de G. Allen and R. V. Southwell, Quarterly Journal of Mechanics and Applied Mathematics 8 (1955), 129-145). lo and up are
positive, so there is no oscillation whatever the cell Peclet number, and log(up_i / lo_i) adds up to the integral of b / a by the trapezoidal rule,
so that what grows like its exponential is right whatever its size. Second order on meshes that are smooth images of uniform ones, piece by piece,
and the error has an expansion in even powers of the cells, so that two meshes may be extrapolated. A given slope is met by a node beyond the end,
eliminated with the equation at the end, to the same order (and with the same expansion where the mesh is uniform next to that end).

Where c <= 0 the elimination subtracts nothing (1 - up / pivot is carried in place of up / pivot; W. K. Grassmann, M. I. Taksar and D. P. Heyman,
Operations Research 33 (1985), 1107-1116), so that solutions over many orders of magnitude keep their relative accuracy.

Arrays are [nodes, LANES], a problem a lane (see lanes.py). All memory belongs to the caller. Cost: per node two exponentials and 9 divisions,
twice that with the adjoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import aligned, broadcast, fma, larger, load, store, where_above


class BoundaryProblem(NamedTuple):
    """LANES problems of `nodes` >= 3 nodes each, their solution, and what the solver needs; zeros to begin with.

    The caller fills mesh (increasing), a, b, c, f [nodes, LANES] and ends [2, LANES] (u or u' at the left and the right end), and for the adjoint
    u_bar [nodes, LANES]. u receives the solution, bars [5, nodes, LANES] the derivatives in mesh, a, b, c and f, ends_bar [2, LANES] those in ends.
    """

    mesh: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    f: np.ndarray
    ends: np.ndarray
    u: np.ndarray
    u_bar: np.ndarray
    bars: np.ndarray
    ends_bar: np.ndarray
    lu: np.ndarray


def boundary_problem(nodes: int) -> BoundaryProblem:
    """Memory for one block of problems."""
    mesh, a, b, c, f, u, u_bar = (aligned(nodes) for _ in range(7))
    return BoundaryProblem(mesh, a, b, c, f, aligned(2), u, u_bar, aligned(5, nodes), aligned(2), aligned(4, nodes))


@scalar
def _fitting(z):  # type: ignore[no-untyped-def]
    """(B(2z), B(-2z)): z coth z less and plus z, both to rounding; below |z| = 1/4 by the fourth diagonal Pade approximant of e^2z."""
    square, size = z * z, larger(z, 0.0 - z)
    even, odd = fma(square, square + 45.0, 105.0), fma(square, 10.0, 105.0)
    grown = exp(-2.0 * size)
    most = where_above(0.25, size, even / odd + size, 2.0 * size / (1.0 - grown))
    least = where_above(0.25, size, even / odd - size, most * grown)
    return where_above(z, 0.0, least, most), where_above(z, 0.0, most, least)


@scalar
def _fitting_slopes(z, below, above):  # type: ignore[no-untyped-def]
    """The derivatives of `_fitting` in z: below (1 - above) / z and above (1 - below) / z."""
    square, size = z * z, larger(z, 0.0 - z)
    even = z * (square + 35.0) / fma(square, 10.0, 105.0)
    by_below = where_above(0.25, size, -1.0 - even, (1.0 - above) / z)
    by_above = where_above(0.25, size, 1.0 - even, (1.0 - below) / z)
    return below * by_below, above * by_above


@scalar
def _rows(problem, left_slope, right_slope):  # type: ignore[no-untyped-def]
    """The rows' lo and up into lu[0] and lu[1], the right side into lu[2]; rows of ends where the value is given are not used."""
    mesh, a, b, f, lu, ends = problem.mesh, problem.a, problem.b, problem.f, problem.lu, problem.ends
    nodes = mesh.shape[0]
    last = nodes - 1
    h0 = load(mesh, 1) - load(mesh, 0)
    if left_slope:
        stiffness = load(a, 0) / h0
        below, above = _fitting(0.5 * load(b, 0) / stiffness)
        store(lu, nodes, stiffness * (below + above) / h0)
        store(lu, 2 * nodes, fma(2.0 * stiffness * below, load(ends, 0), load(f, 0)))
    for row in range(1, last):
        h1 = load(mesh, row + 1) - load(mesh, row)
        twice, inverse = 2.0 * load(a, row), 1.0 / (h0 + h1)
        speed = load(b, row) / twice
        store(lu, row, twice * _fitting(speed * h0)[0] / h0 * inverse)
        store(lu, nodes + row, twice * _fitting(speed * h1)[1] / h1 * inverse)
        store(lu, 2 * nodes + row, load(f, row))
        h0 = h1
    if right_slope:
        stiffness = load(a, last) / h0
        below, above = _fitting(0.5 * load(b, last) / stiffness)
        store(lu, last, stiffness * (below + above) / h0)
        store(lu, nodes + last, broadcast(0.0))
        store(lu, 2 * nodes + last, load(f, last) - 2.0 * stiffness * above * load(ends, 1))


@kernel
def solve_boundary_value(problem, left_slope, right_slope):  # type: ignore[no-untyped-def]
    """Fills u; `left_slope`, `right_slope`: whether ends holds u' there, and not u. Slopes at both ends need c < 0 somewhere."""
    c, u, lu, ends = problem.c, problem.u, problem.lu, problem.ends
    nodes = u.shape[0]
    last = nodes - 1
    _rows(problem, left_slope, right_slope)
    gap, rest = broadcast(1.0), load(ends, 0)  # u_i = (1 - gap_i) u_{i+1} + rest_i
    if left_slope:
        inverse = 1.0 / (load(lu, nodes) - load(c, 0))
        gap, rest = (0.0 - load(c, 0)) * inverse, (0.0 - load(lu, 2 * nodes)) * inverse
        store(lu, 3 * nodes, inverse)
        store(lu, nodes, load(lu, nodes) * inverse)
    store(u, 0, rest)
    for row in range(1, last + 1 if right_slope else last):
        lo, up = load(lu, row), load(lu, nodes + row)
        kept = lo * gap - load(c, row)
        inverse = 1.0 / (up + kept)
        gap = kept * inverse
        rest = fma(lo, rest, 0.0 - load(lu, 2 * nodes + row)) * inverse
        store(u, row, rest)
        store(lu, nodes + row, up * inverse)
        store(lu, 3 * nodes + row, inverse)
    value = load(u, last) if right_slope else load(ends, 1)
    store(u, last, value)
    for row in range(last - 1, 0 if not left_slope else -1, -1):
        value = fma(load(lu, nodes + row), value, load(u, row))
        store(u, row, value)


@kernel
def solve_boundary_value_adjoint(problem, left_slope, right_slope):  # type: ignore[no-untyped-def]
    """Carries the derivative of a number in u, u_bar, back to all that `solve_boundary_value` started from: bars and ends_bar.

    Takes u and lu as that left them, and changes both u_bar (into minus bars[4]) and lu.
    """
    u, u_bar, lu, bars, ends_bar = problem.u, problem.u_bar, problem.lu, problem.bars, problem.ends_bar
    nodes = u.shape[0]
    first, last = 0 if left_slope else 1, nodes - 1 if right_slope else nodes - 2
    for row in range(5 * nodes):
        store(bars, row, broadcast(0.0))
    ahead = broadcast(0.0)
    for row in range(first, last + 1):  # the transposed upper factor
        ahead = load(u_bar, row) + ahead
        store(u_bar, row, ahead)
        ahead = ahead * load(lu, nodes + row)
    store(ends_bar, 1, load(u_bar, nodes - 1) + ahead)  # replaced below where the slope is given
    back = broadcast(0.0)
    for row in range(last, first - 1, -1):  # the transposed lower factor
        multiplier = (load(u_bar, row) + back) * load(lu, 3 * nodes + row)
        store(u_bar, row, multiplier)
        back = multiplier * load(lu, row)
    store(ends_bar, 0, load(u_bar, 0) + back)
    _inner_bars(problem)
    if left_slope:
        _end_bars(problem, 0, 1, -1.0)
    if right_slope:
        _end_bars(problem, nodes - 1, nodes - 2, 1.0)


@scalar
def _inner_bars(problem):  # type: ignore[no-untyped-def]
    """What rows 1 .. nodes - 2 give, u_bar holding their multipliers."""
    mesh, a, b, u, bars = problem.mesh, problem.a, problem.b, problem.u, problem.bars
    nodes = mesh.shape[0]
    h0 = load(mesh, 1) - load(mesh, 0)
    for row in range(1, nodes - 1):
        h1 = load(mesh, row + 1) - load(mesh, row)
        twice, inverse, multiplier, here = 2.0 * load(a, row), 1.0 / (h0 + h1), load(problem.u_bar, row), load(u, row)
        z0, z1 = load(b, row) / twice * h0, load(b, row) / twice * h1
        below0, above0 = _fitting(z0)
        below1, above1 = _fitting(z1)
        lo_bar, up_bar = multiplier * (load(u, row - 1) - here) * inverse, multiplier * (load(u, row + 1) - here) * inverse
        both = twice * (lo_bar * below0 / h0 + up_bar * above1 / h1) * inverse
        flat0, flat1 = below0 * above0 / h0 * lo_bar, below1 * above1 / h1 * up_bar  # below - z below' = below above, and above - z above'
        h0_bar, h1_bar = 0.0 - both - twice * flat0 / h0, 0.0 - both - twice * flat1 / h1
        store(bars, row - 1, load(bars, row - 1) - h0_bar)
        store(bars, row, load(bars, row) + h0_bar - h1_bar)
        store(bars, row + 1, load(bars, row + 1) + h1_bar)
        store(bars, nodes + row, 2.0 * (flat0 + flat1))
        store(bars, 2 * nodes + row, lo_bar * _fitting_slopes(z0, below0, above0)[0] + up_bar * _fitting_slopes(z1, below1, above1)[1])
        store(bars, 3 * nodes + row, multiplier * here)
        store(bars, 4 * nodes + row, 0.0 - multiplier)
        h0 = h1


@scalar
def _end_bars(problem, row, inside, side):  # type: ignore[no-untyped-def]
    """What the row of an end with a given slope gives; side: -1 at the left, 1 at the right."""
    mesh, a, b, u, bars, ends_bar = problem.mesh, problem.a, problem.b, problem.u, problem.bars, problem.ends_bar
    nodes = mesh.shape[0]
    end = 1 if side > 0.0 else 0
    h = (load(mesh, row) - load(mesh, inside)) * side
    multiplier, slope = load(problem.u_bar, row), load(problem.ends, end)
    z = 0.5 * load(b, row) * h / load(a, row)
    below, above = _fitting(z)
    by_below, by_above = _fitting_slopes(z, below, above)
    push = multiplier * (load(u, inside) - load(u, row)) / (h * h)
    pull, given = side * slope * multiplier / h, above if side > 0.0 else below
    flat = below * above
    h_bar = 0.0 - 2.0 * load(a, row) / h * (push * (0.5 * (below + above) + flat) + pull * flat)
    store(bars, row, load(bars, row) + side * h_bar)
    store(bars, inside, load(bars, inside) - side * h_bar)
    store(bars, nodes + row, 2.0 * flat * (push + pull))
    store(bars, 2 * nodes + row, h * (0.5 * push * (by_below + by_above) + pull * (by_above if side > 0.0 else by_below)))
    store(bars, 3 * nodes + row, multiplier * load(u, row))
    store(bars, 4 * nodes + row, 0.0 - multiplier)
    store(ends_bar, end, 2.0 * side * load(a, row) / h * given * multiplier)
