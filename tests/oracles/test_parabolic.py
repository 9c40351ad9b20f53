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


def filled(nodes: int, steps: int, moving: bool, *, adjoint: bool = False) -> Workspace:
    """A stretched mesh, another in every lane, from the exact solution at t = 0 and between its values."""
    w = workspace(nodes, steps, adjoint=adjoint)
    part = np.linspace(0, 1, nodes)[:, None]
    w.mesh[:] = part + 0.3 * np.linspace(-0.5, 0.5, LANES) * part * (1 - part)
    w.shift[:] = 0.2 * np.sin(np.pi * part) * part if moving else 0.0
    w.a[:], w.c[:] = A, C
    w.u[:] = exact(w.mesh + w.shift, 0.0)
    for side, row in ((w.left, 0), (w.right, -1)):
        side[:] = [exact(w.mesh[row] + (1 - t) * w.shift[row], t) for t in level_times(steps)]
    return w


def error(cells: int, steps: int, moving: bool) -> float:
    w = filled(cells + 1, steps, moving)
    solve(w, steps, moving)
    return float(np.abs(w.u - exact(w.mesh, 1.0)).max())


@pytest.mark.parametrize("moving", [False, True])
def test_second_order_in_space(moving: bool) -> None:
    coarse, fine = error(40, 2000, moving), error(80, 2000, moving)
    assert coarse > 1e-5
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("moving", [False, True])
def test_second_order_in_time(moving: bool) -> None:
    errors = [error(1000, steps, moving) - error(1000, 640, moving) for steps in (5, 10, 20)]
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
    solve(w, steps, False)
    slopes = np.diff(w.u[:, 0])
    assert (slopes < 1e-12).all()
    assert slopes.min() == pytest.approx(-(8 / 400) / np.sqrt(2 * np.pi), rel=0.01)


@pytest.mark.parametrize("moving", [False, True])
def test_adjoint_is_the_derivative_of_the_discrete_solution(moving: bool) -> None:
    """Every input array against central differences of the solver, in two lanes."""
    nodes, steps, node, step = 25, 6, 11, 1e-5
    w = filled(nodes, steps, moving, adjoint=True)
    solve(w, steps, moving)
    w.u_bar[node] = 1.0
    solve_adjoint(w, steps, moving)
    derivatives = {"u": w.u_bar, "mesh": w.bars[0], "shift": w.bars[1], "a": w.bars[2], "c": w.bars[3]}
    for name, derivative in derivatives.items():
        if name == "shift" and not moving:
            continue
        for row in range(1, nodes - 1):
            ends = []
            for sign in (1, -1):
                moved = filled(nodes, steps, moving)
                getattr(moved, name)[row] += sign * step
                solve(moved, steps, moving)
                ends.append(moved.u[node].copy())
            assert derivative[row, [0, -1]] == pytest.approx(((ends[0] - ends[1]) / (2 * step))[[0, -1]], rel=2e-5, abs=2e-7)


def test_keeping_the_history_changes_nothing() -> None:
    kept, plain = filled(50, 10, False, adjoint=True), filled(50, 10, False)
    solve(kept, 10, False)
    solve(plain, 10, False)
    assert np.array_equal(kept.u, plain.u)


def test_lanes_do_not_see_each_other() -> None:
    """A lane's neighbours may be anything, NaN included."""
    alone, beside = filled(30, 8, True), filled(30, 8, True)
    beside.u[:, ::2] = np.nan
    beside.mesh[:, ::2] = 0.0
    for w in (alone, beside):
        solve(w, 8, True)
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
