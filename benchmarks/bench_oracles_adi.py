"""Two-dimensional solvers: Heston against QuantLib's finite differences, Darcy against SciPy's direct solver and py-pde, one pinned core.

    python -m pytest benchmarks/bench_oracles_adi.py --benchmark-json=adi.json      (on a crowded machine: --benchmark-timer=time.process_time)

Heston: `equal` has QuantLib's default grid, 100 steps (104), 100 prices and 50 variances (101 and 51 nodes, and the half grid on top); the levels are
as documented. extra_info: `prices_per_second` of the best round, and errors in currency units over ERRORS points of the domain (whole days of
maturity) against the semi-closed price, which the tests hold to 20-digit quadrature. QuantLib gives no gradient.

Darcy: `spsolve` is SciPy's sparse direct solver on ours' finer grid, matrix assembled by array operations, value alone; py-pde solves K = 1 only, the
problem it has a function for. Errors are over the value, against 256 cells a side.
"""

from __future__ import annotations

import os
from functools import cache

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from benchmarks import quantlib_prices as peer
from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.oracles.darcy import DarcyFlow
from pybackdoor.oracles.heston import HestonPut
from pybackdoor.oracles.heston_adi import HestonADIPut

ERRORS = 48
GRIDS = ("fast", "standard", "high", "equal")


def ours(name: str) -> HestonADIPut:
    made = HestonADIPut(name if name != "equal" else "standard")
    if name == "equal":
        made.use_grid(101, 51, 34)
    return made


@cache
def heston_points(count: int) -> torch.Tensor:
    x = design(HestonPut.domain, count, seed=17)
    x[:, 7] = (x[:, 7] * peer.DAYS).round().clamp(min=8) / peer.DAYS
    return x


@cache
def heston_truth() -> torch.Tensor:
    return HestonPut("high").values(heston_points(ERRORS))


def note(benchmark, count: int, error: torch.Tensor) -> None:
    quantiles = {"median_error": 0.5, "error_90_percent": 0.9, "largest_error": 1.0}
    benchmark.extra_info.update({name: float(error.quantile(share)) for name, share in quantiles.items()})
    benchmark.extra_info["prices_per_second"] = count / benchmark.stats.stats.min


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", GRIDS)
def test_heston_ours(benchmark, name, gradient):
    benchmark.group = "heston"
    made, count = ours(name), 16 if name == "high" else 128
    x = heston_points(count)
    with settings.use_threads(1):
        made.evaluate(x[:4], gradient)
        benchmark.pedantic(made.evaluate, (x, gradient), rounds=3, iterations=1)
        error = (made.values(heston_points(ERRORS)) - heston_truth()).abs()
    assert error.median() < 2e-3  # the same thing is computed
    note(benchmark, count, error)


def test_heston_quantlib(benchmark):
    benchmark.group = "heston"
    x = heston_points(ERRORS)
    error = (peer.heston_puts_fd(x, 100, 100, 50) - heston_truth()).abs()
    benchmark.pedantic(peer.heston_puts_fd, (x[:8], 100, 100, 50), rounds=3, iterations=1)
    priced = ~error.isnan()
    assert error[priced].median() < 0.1
    benchmark.extra_info["rows_without_price"] = int((~priced).sum())
    note(benchmark, 8, error[priced])


@cache
def darcy_truth() -> tuple[torch.Tensor, torch.Tensor]:
    x = design(DarcyFlow.domain, ERRORS, seed=17)
    made = DarcyFlow("high")
    made.cells = 256
    return x, made.values(x)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("level", ["fast", "standard", "high"])
def test_darcy_ours(benchmark, level, gradient):
    benchmark.group = "darcy"
    made, (x, truth) = DarcyFlow(level), darcy_truth()
    with settings.use_threads(1):
        made.evaluate(x[:4], gradient)
        benchmark.pedantic(made.evaluate, (x, gradient), rounds=3, iterations=1)
        note(benchmark, len(x), ((made.values(x) - truth) / truth).abs())


def direct(coefficients: np.ndarray, cells: int) -> float:
    """The mean pressure by SciPy's sparse direct solver."""
    nodes = np.arange(cells + 1) / cells

    def permeability(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.exp(np.cos(np.pi * np.arange(3) * x[:, None]) @ coefficients.reshape(3, 3) @ np.cos(np.pi * np.arange(3) * y[:, None]).T)

    across, along = permeability(nodes[:-1] + 0.5 / cells, nodes[1:-1]), permeability(nodes[1:-1], nodes[:-1] + 0.5 / cells)
    number = np.arange((cells - 1) ** 2).reshape(cells - 1, cells - 1)
    diagonal = across[:-1] + across[1:] + along[:, :-1] + along[:, 1:]
    beside = (number[:-1], number[1:], -across[1:-1]), (number[:, :-1], number[:, 1:], -along[:, 1:-1])
    pairs = [(number, number, diagonal), *beside, *((there, here, entry) for here, there, entry in beside)]
    row, column, entry = (np.concatenate([pair[part].ravel() for pair in pairs]) for part in range(3))
    return float(spsolve(coo_array((entry, (row, column))).tocsc(), np.full(number.size, 1.0 / cells**2)).sum()) / cells**2


@pytest.mark.parametrize("cells", [32, 128])
def test_darcy_spsolve(benchmark, cells):
    benchmark.group = "darcy"
    x, truth = darcy_truth()
    values = torch.tensor([direct(row, cells) for row in x.numpy()], dtype=torch.float64)
    benchmark.pedantic(lambda: [direct(row, cells) for row in x.numpy()[:8]], rounds=3, iterations=1)
    assert ((values - truth) / truth).abs().max() < 2e-2
    note(benchmark, 8, ((values - truth) / truth).abs())


def test_darcy_py_pde(benchmark):
    benchmark.group = "darcy"
    pde = pytest.importorskip("pde")
    field = pde.ScalarField(pde.CartesianGrid([[0, 1], [0, 1]], [32, 32]), -1.0)

    def mean() -> float:
        return float(pde.solve_poisson_equation(field, bc={"value": 0}).average)

    error = abs(mean() * 4 / 0.1405770150 - 1)
    benchmark.pedantic(mean, rounds=3, iterations=1)
    note(benchmark, 1, torch.tensor([error], dtype=torch.float64))
