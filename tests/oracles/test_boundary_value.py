"""The batched boundary-value solver and its adjoint on problems with known solutions."""

from __future__ import annotations

import numpy as np
import pytest

from pybackdoor.oracles.boundary_value import BoundaryProblem, boundary_problem, solve_boundary_value, solve_boundary_value_adjoint
from pybackdoor.oracles.lanes import LANES

ENDS = [(False, False), (True, False), (False, True), (True, True)]


def exact(x: np.ndarray) -> np.ndarray:
    return np.exp(0.5 * x) * np.sin(3.0 * x + 0.4)


def slope(x: np.ndarray) -> np.ndarray:
    return np.exp(0.5 * x) * (0.5 * np.sin(3.0 * x + 0.4) + 3.0 * np.cos(3.0 * x + 0.4))


def filled(cells: int, ends: tuple[bool, bool] = (False, False)) -> BoundaryProblem:
    """State-dependent coefficients on meshes stretched in the middle, another in every lane, the right side such that `exact` solves it."""
    p = boundary_problem(cells + 1)
    part = np.linspace(0, 1, cells + 1)[:, None]
    p.mesh[:] = part + 8.0 * np.linspace(-0.5, 0.5, LANES) * (part * (1 - part)) ** 3
    x = p.mesh
    p.a[:], p.b[:], p.c[:] = 0.3 + 0.2 * x * x, np.cos(4.0 * x) * np.linspace(-2, 2, LANES), -1.0 - x
    bend = np.exp(0.5 * x) * ((0.25 - 9.0) * np.sin(3.0 * x + 0.4) + 3.0 * np.cos(3.0 * x + 0.4))
    p.f[:] = p.a * bend + p.b * slope(x) + p.c * exact(x)
    for side, (row, given) in enumerate(zip((0, -1), ends, strict=True)):
        p.ends[side] = slope(x[row]) if given else exact(x[row])
    return p


@pytest.mark.parametrize("ends", ENDS)
def test_second_order_and_fourth_when_extrapolated(ends: tuple[bool, bool]) -> None:
    solved = {cells: filled(cells, ends) for cells in (20, 40, 80, 160)}
    for p in solved.values():
        p.u[:] = np.nan
        solve_boundary_value(p, *ends)
    plain = {cells: np.abs(p.u - exact(p.mesh)).max() for cells, p in solved.items()}
    assert plain[20] > 1e-4
    assert np.log2(plain[40] / plain[80]) == pytest.approx(2, abs=0.1)
    assert np.log2(plain[80] / plain[160]) == pytest.approx(2, abs=0.1)
    both = {2 * n: np.abs((4 * solved[2 * n].u[::2] - solved[n].u) / 3 - exact(solved[n].mesh)).max() for n in (20, 40, 80)}
    assert np.log2(both[40] / both[80]) == pytest.approx(4, abs=0.4)
    assert np.log2(both[80] / both[160]) == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize("ends", ENDS)
def test_adjoint_is_the_derivative_of_the_discrete_solution(ends: tuple[bool, bool]) -> None:
    cells, node, step = 12, 5, 1e-6
    p = filled(cells, ends)
    solve_boundary_value(p, *ends)
    p.bars[:], p.ends_bar[:] = np.nan, np.nan
    p.u_bar[node] = 1.0
    solve_boundary_value_adjoint(p, *ends)
    for field, derivatives in (("mesh", p.bars[0]), ("a", p.bars[1]), ("b", p.bars[2]), ("c", p.bars[3]), ("f", p.bars[4]), ("ends", p.ends_bar)):
        for row in range(len(derivatives)):
            moved = []
            for sign in (1, -1):
                q = filled(cells, ends)
                getattr(q, field)[row] += sign * step
                solve_boundary_value(q, *ends)
                moved.append(q.u[node].copy())
            assert derivatives[row] == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-5, abs=1e-7), (field, row)


@pytest.mark.parametrize("peclet", [1e-3, 1.0, 1e2, 1e6])
def test_no_oscillation_at_any_cell_peclet_number(peclet: float) -> None:
    """u'' + drift u' = 0 between 1 and 0: the solution falls all the way."""
    p = boundary_problem(33)
    p.mesh[:] = np.linspace(0, 1, 33)[:, None]
    p.a[:], p.b[:] = 1.0, np.where(np.arange(LANES) % 2, peclet, -peclet) * 32
    p.ends[0] = 1.0
    solve_boundary_value(p, False, False)
    assert (np.diff(p.u, axis=0) <= 1e-15).all()
    assert p.u.min() == 0
    assert p.u.max() == 1


def test_relative_accuracy_over_two_hundred_orders_of_magnitude() -> None:
    """u'' = k^2 u from 1 to 0, so steep that u at the middle is 1e-108: the discrete solution is known, sinh by sinh."""
    p = boundary_problem(1001)
    p.mesh[:] = np.linspace(0, 1, 1001)[:, None]
    p.a[:], p.c[:] = 1.0, -(500.0**2)
    p.ends[0] = 1.0
    solve_boundary_value(p, False, False)
    rate = 2 * np.arcsinh(0.25)  # a cell: 4 sinh^2(rate / 2) = (500 h)^2
    nodes = np.arange(1, 990)
    assert p.u[nodes, 0] == pytest.approx(np.exp(-rate * nodes) * (1 - np.exp(-2 * rate * (1000 - nodes))), rel=1e-12)


def test_lanes_do_not_see_each_other() -> None:
    alone, beside = filled(30), filled(30)
    beside.mesh[:, ::2], beside.f[:, 4] = 0.0, np.nan
    for p in (alone, beside):
        solve_boundary_value(p, False, False)
    assert np.array_equal(alone.u[:, 1::2], beside.u[:, 1::2])
