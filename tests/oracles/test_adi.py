"""The batched two-dimensional solver on a Gaussian that spreads along both axes and across, and its adjoint against differences."""

from __future__ import annotations

import numpy as np
import pytest

from pybackdoor.oracles.adi import Plane, plane, solve
from pybackdoor.oracles.adi_adjoint import bars, solve_adjoint
from pybackdoor.oracles.adi_plan import graded
from pybackdoor.oracles.quads import QUAD, quads

START = np.array([[0.09, 0.02], [0.02, 0.06]])  # covariance of the bump at t = 0
SPREAD = np.array([[0.08, -0.06], [-0.06, 0.06]])  # what time adds to it


def bump(x: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
    """A normal density of covariance START + t SPREAD: it solves u_t = (S_xx u_xx + 2 S_xy u_xy + S_yy u_yy) / 2."""
    covariance = START + t * SPREAD
    inverse = np.linalg.inv(covariance)
    power = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    return np.exp(-0.5 * power) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))


def stretched(nodes: int, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes on -3 ... 3, a smooth image of equal steps, and 1 / (2 dx/dstep) there."""
    s = np.linspace(-1, 1, nodes)
    return 3 * (s + bend * s**3) / (1 + bend), (1 + bend) / (2 * 3 * (1 + 3 * bend * s**2) * (s[1] - s[0]))


def second_difference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.diff(x)[:-1], np.diff(x)[1:]
    return 2 / (left * (left + right)), 2 / (right * (left + right))


def solution(nx: int, ny: int, plan: np.ndarray, skew: float = 0.0) -> np.ndarray:
    p = plane(nx, ny)
    p.skew[:] = skew
    y, y_mix = stretched(ny, 0.4)
    p.f[:], p.y_mix[1:-1] = 0.5 * SPREAD[0, 0], y_mix[1:-1, None]
    p.y_lo[1:-1], p.y_up[1:-1] = (0.5 * SPREAD[1, 1] * side[:, None] for side in second_difference(y))
    for lane in range(QUAD):
        x, x_mix = stretched(nx, 0.1 * lane)
        p.x_lo[1:-1, lane], p.x_up[1:-1, lane] = second_difference(x)
        p.x_mix[1:-1, lane] = SPREAD[0, 1] * x_mix[1:-1]
        p.u[1:-1, :, lane] = bump(x[1:-1, None], y, 0.0)
    solve(p, plan)
    return p.u


def error(nx: int, ny: int, plan: np.ndarray, skew: float = 0.0) -> float:
    y = stretched(ny, 0.4)[0]
    exact = np.stack([bump(stretched(nx, 0.1 * lane)[0][:, None], y, 1.0) for lane in range(QUAD)], axis=-1)
    return float(np.abs(solution(nx, ny, plan, skew) - exact).max())


def steps(count: int) -> np.ndarray:
    return graded(count, 1, damped=0)


@pytest.mark.parametrize("skew", [0.0, -0.87])
def test_second_order_in_space(skew: float) -> None:
    coarse, fine = error(41, 36, steps(200), skew), error(81, 71, steps(200), skew)
    assert coarse > 1e-3
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.15)


def test_second_order_in_time() -> None:
    """The Gaussian's fourth derivatives are large: at first the error falls more slowly."""
    exact = solution(81, 81, steps(400))
    errors = [np.abs(solution(81, 81, steps(count)) - exact).max() for count in (8, 16, 32)]
    assert errors[0] > 3e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.35)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.25)


def test_a_plan_covers_the_time() -> None:
    fine, coarse = graded(12, 4, damped=2), graded(6, 4, damped=1)
    assert fine[:, 0].sum() == pytest.approx(1, abs=1e-15)
    assert fine[:, 2].tolist() == [1.0] * 4 + [0.0] * 46
    assert np.allclose(np.cumsum(coarse[:, 0]), np.cumsum(fine[:, 0])[1::2])  # half as many are twice as long
    assert np.array_equal(fine[:, 1], np.where(fine[:, 2] > 0, fine[:, 0], fine[:, 0] / 2))


PLAN = np.array([[0.05, 0.05, 1.0]] * 2 + [[0.1, 0.05, 0.0]] * 2 + [[0.2, 0.1, 0.0]] * 2)


def scattered(nx: int, ny: int, kept: int = 0) -> Plane:
    """Positive rates of any size, and any start."""
    rng, p = np.random.default_rng(5), plane(nx, ny, kept)
    for array in (p.x_lo, p.x_up, p.x_mix, p.source):
        array[1:-1] = rng.uniform(0.3, 1.5, array[1:-1].shape)
    for array in (p.y_lo[1:], p.y_up[:-1], p.y_mix[1:-1], p.f):
        array[:] = rng.uniform(0.2, 1.5, array.shape)
    p.u[1:-1] = rng.normal(size=p.u[1:-1].shape)
    p.skew[:] = rng.uniform(-0.9, 0.9, p.skew.shape)
    return p


def weighted(p: Plane, weights: np.ndarray) -> np.ndarray:
    solve(p, PLAN)
    return (p.u * weights).sum(axis=(0, 1))


@pytest.mark.parametrize(("nx", "ny"), [(9, 7), (11, 6), (13, 3), (6, 8)])
def test_adjoint_is_the_derivative_of_the_discrete_solution(nx: int, ny: int) -> None:
    """Every coefficient and start against central differences of the solver, in every lane."""
    weights = quads(nx, ny)
    weights[1:-1] = np.random.default_rng(6).normal(size=weights[1:-1].shape)
    p, back = scattered(nx, ny, len(PLAN)), bars(nx, ny)
    for array in back:
        array[:] = np.nan
    back.rows[:] = 0.0
    back.u_bar[:] = weights
    value = weighted(p, weights)
    assert np.array_equal(value, weighted(scattered(nx, ny), weights))  # keeping every step changes nothing
    solve_adjoint(p, back, PLAN)
    by_f = 0.0
    for name, derivative in (("u", back.u_bar), ("f", None), *((name, getattr(back, name)) for name in back._fields[1:8])):
        shape = (1,) if name == "skew" else (ny,) if name[0] in "yf" else (nx, ny) if name == "u" else (nx,)
        for node in np.ndindex(shape):
            if (name[0] in "xsu" and name != "skew" and node[0] in (0, nx - 1)) or (name, *node) in (("y_lo", 0), ("y_up", ny - 1)):
                continue
            ends = []
            for step in (1e-5, -1e-5):
                moved = scattered(nx, ny)
                getattr(moved, name)[node] += step
                ends.append(weighted(moved, weights))
            slope = (ends[0] - ends[1]) / 2e-5
            if derivative is None:
                by_f = by_f + p.f[node] * slope
            else:
                assert derivative[node] == pytest.approx(slope, rel=1e-6, abs=1e-7), (name, node)
    assert by_f == pytest.approx((p.x_lo * back.x_lo + p.x_up * back.x_up + p.source * back.source).sum(axis=0), rel=1e-6, abs=1e-7)


def test_lanes_do_not_see_each_other() -> None:
    """A lane's neighbours may be anything, NaN included, and so may what the memory was used for before."""
    alone, beside = scattered(12, 9), scattered(12, 9)
    for array in beside:
        array[..., ::2] = np.nan
    solve(alone, PLAN)
    solve(beside, PLAN)
    assert np.array_equal(alone.u[..., 1::2], beside.u[..., 1::2])
    assert np.isfinite(alone.u).all()
