"""Mean exit times: ours by the boundary-value problem and by Monte Carlo, against SciPy's collocation solver, one pinned core.

    python -m pytest benchmarks/bench_oracles_exit.py --benchmark-json=exit.json
    python -m benchmarks.report exit.json

On a crowded machine add --benchmark-timer=time.process_time.

extra_info: `prices_per_second` (values); `median_error` and `largest_error` over the value, at ERRORS points of the domain, against
integrals in 25 digits. SciPy's `solve_bvp` is given the right side and its Jacobian, vectorized, and 1e-3 (its default) or 1e-8 as its tolerance;
it gives no derivatives in the features.
"""

from __future__ import annotations

import os
from functools import cache

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import solve_bvp

from benchmarks import oracle_rates
from benchmarks.oracle_rates import time_ours
from pybackdoor.data import design
from pybackdoor.oracles.mean_exit_time import DOMAIN, MeanExitTime
from pybackdoor.oracles.mean_exit_time_mc import MeanExitTimeMonteCarlo
from pybackdoor.oracles.reference_mean_exit_time import mean_exit_time

ERRORS = 48
OURS = {f"grid-{level}": (MeanExitTime(level), 4096) for level in ("fast", "standard", "high")} | {
    f"paths-{level}": (MeanExitTimeMonteCarlo(level), 64) for level in ("fast", "standard")
}


@cache
def truth() -> torch.Tensor:
    with mpmath.workdps(25):
        return torch.tensor([float(mean_exit_time(*row)) for row in design(DOMAIN, ERRORS, seed=17).tolist()], dtype=torch.float64)


def note(benchmark, count: int, values: torch.Tensor) -> None:
    errors = (values / truth() - 1).abs()
    oracle_rates.note(benchmark, count, errors, most=5e-2)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", OURS)
def test_ours(benchmark, name, gradient):
    benchmark.group = "exit"
    (ours, count), errors = OURS[name], design(DOMAIN, ERRORS, seed=17)
    x = design(DOMAIN, count, seed=17)
    time_ours(benchmark, ours, x, gradient)
    note(benchmark, count, ours.values(errors))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_scipy(benchmark, tolerance):
    benchmark.group = "exit"
    rows = design(DOMAIN, ERRORS, seed=17).tolist()
    values = benchmark.pedantic(lambda: torch.tensor([collocated(row, tolerance) for row in rows]), rounds=3, iterations=1)
    note(benchmark, ERRORS, values)


def collocated(row: list[float], tolerance: float) -> float:
    start, reversion, mean, volatility, lower, upper = row
    pull = 2 * reversion / volatility**2

    def right(x, y):
        return np.vstack([y[1], -2 / volatility**2 - pull * (mean - x) * y[1]])

    def jacobian(x, y):
        slopes = np.zeros((2, 2, x.size))
        slopes[0, 1], slopes[1, 1] = 1, -pull * (mean - x)
        return slopes

    mesh = np.linspace(lower, upper, 11)
    found = solve_bvp(right, lambda a, b: np.array([a[0], b[0]]), mesh, np.zeros((2, 11)), fun_jac=jacobian, tol=tolerance, max_nodes=100_000)
    assert found.success, found.message
    return float(found.sol(start)[0])
