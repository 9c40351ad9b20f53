"""The batched solver and its adjoint on problems with known solutions."""

from __future__ import annotations

import numpy as np
import pytest

from pybackdoor.oracles.lanes import LANES, aligned
from pybackdoor.oracles.parabolic import Workspace, level_times, solve, solve_adjoint, solves, workspace

A, C = 0.05, 0.3


def exact(x: np.ndarray, t: float) -> np.ndarray:
    """A solution of u_t = A u_xx + C u_x on 0 < x < 1 that vanishes at neither end: a travelling, decaying wave and a steady slope."""
    return np.exp(-A * 9.0 * t) * np.sin(3.0 * (x + C * t)) + np.exp(-C / A * x)


def filled(nodes: int, steps: int, varying: bool, *, adjoint: bool = False) -> Workspace:
    """A stretched mesh, another in every lane, from the exact solution at t = 0 and between its values; varying: it moves, and time runs unevenly."""
    w = workspace(nodes, steps, adjoint=adjoint)
    part = np.linspace(0, 1, nodes)[:, None]
    w.mesh[:] = part + 0.3 * np.linspace(-0.5, 0.5, LANES) * part * (1 - part)
    w.shift[:] = 0.2 * np.sin(np.pi * part) * part if varying else 0.0
    levels = np.array(level_times(steps))
    times = levels
    if varying:
        times = clock(levels)
        pace = np.diff(times) / np.diff(levels)
        w.rates[0], w.rates[1] = pace[:, None], 2 * pace[:, None]
        w.rest[:] = (1 - times**2)[:, None] * np.linspace(0.5, 1.0, LANES)
    w.a[:], w.c[:] = A, C / 2 if varying else C
    w.u[:] = exact(w.mesh + w.rest[0] * w.shift, 0.0)
    for side, row in ((w.left, 0), (w.right, -1)):
        side[:] = [exact(w.mesh[row] + rest * w.shift[row], t) for rest, t in zip(w.rest, times, strict=True)]
    return w


def clock(levels: np.ndarray) -> np.ndarray:
    """The equation's time at the solver's: coefficients that change with time."""
    return levels * (1 + levels) / 2


def error(cells: int, steps: int, varying: bool) -> float:
    w = filled(cells + 1, steps, varying)
    solve(w, varying)
    return float(np.abs(w.u - exact(w.mesh, 1.0)).max())


@pytest.mark.parametrize("varying", [False, True])
def test_second_order_in_space(varying: bool) -> None:
    coarse, fine = error(40, 2000, varying), error(80, 2000, varying)
    assert coarse > 1e-5
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("varying", [False, True])
def test_second_order_in_time(varying: bool) -> None:
    errors = [error(1000, steps, varying) - error(1000, 640, varying) for steps in (5, 10, 20)]
    assert errors[0] > 1e-5
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.3)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.2)


def test_a_jump_at_the_start_is_smoothed() -> None:
    """Without the Euler steps Crank-Nicolson carries a saw-tooth of a tenth of the jump to the end at this ratio of steps."""
    nodes, steps = 401, 20
    w = workspace(nodes, steps, adjoint=False)
    w.mesh[:] = np.linspace(-4, 4, nodes)[:, None]
    w.a[:] = 0.5
    w.u[:] = np.where(w.mesh < 0, 1.0, np.where(w.mesh == 0, 0.5, 0.0))
    w.left[:] = 1.0
    solve(w, False)
    slopes = np.diff(w.u[:, 0])
    assert (slopes < 1e-12).all()
    assert slopes.min() == pytest.approx(-(8 / 400) / np.sqrt(2 * np.pi), rel=0.01)


@pytest.mark.parametrize("varying", [False, True])
def test_adjoint_is_the_derivative_of_the_discrete_solution(varying: bool) -> None:
    """Every input array against central differences of the solver, in two lanes."""
    nodes, steps, node, step = 25, 6, 11, 1e-5
    w = filled(nodes, steps, varying, adjoint=True)
    solve(w, varying)
    w.u_bar[node] = 1.0
    solve_adjoint(w, varying)
    derivatives = {"u": w.u_bar, "mesh": w.bars[0], "a": w.bars[2], "c": w.bars[3], "left": w.left_bar, "right": w.right_bar}
    if varying:
        derivatives |= {"shift": w.bars[1], "rest": w.rest_bar, "rates": w.rates_bar.reshape(-1, LANES)}
    for name, derivative in derivatives.items():
        inner = name in ("u", "a", "c", "mesh", "shift")
        for row in range(1, nodes - 1) if inner else range(len(derivative)):
            ends = []
            for sign in (1, -1):
                moved = filled(nodes, steps, varying)
                getattr(moved, name).reshape(-1, LANES)[row] += sign * step
                solve(moved, varying)
                ends.append(moved.u[node].copy())
            assert derivative[row, [0, -1]] == pytest.approx(((ends[0] - ends[1]) / (2 * step))[[0, -1]], rel=2e-5, abs=2e-7)


def test_keeping_the_history_changes_nothing() -> None:
    kept, plain = filled(50, 10, False, adjoint=True), filled(50, 10, False)
    solve(kept, False)
    solve(plain, False)
    assert np.array_equal(kept.u, plain.u)


def test_lanes_do_not_see_each_other() -> None:
    """A lane's neighbours may be anything, NaN included."""
    alone, beside = filled(30, 8, True), filled(30, 8, True)
    beside.u[:, ::2] = np.nan
    beside.mesh[:, ::2] = 0.0
    for w in (alone, beside):
        solve(w, True)
    assert np.array_equal(alone.u[:, 1::2], beside.u[:, 1::2])


def test_levels_run_from_start_to_end() -> None:
    times = level_times(7)
    assert len(times) == solves(7) + 1
    assert times[0] == 0
    assert times[-1] == 1
    assert (np.diff(times) > 0).all()


def test_memory_is_aligned() -> None:
    assert aligned(3, 5).ctypes.data % 64 == 0
    assert aligned(3, 5).shape == (3, 5, LANES)
