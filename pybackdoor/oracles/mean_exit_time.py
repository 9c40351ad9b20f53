"""How long an Ornstein-Uhlenbeck process stays between two bounds: the problem, and its solution as a boundary-value problem.

dX = reversion (mean - X) dt + volatility dW from X = start; T is the expected time of the first exit from (lower, upper). T(x) solves

    volatility^2 / 2 T'' + reversion (mean - x) T' = -1,    T(lower) = T(upper) = 0

(C. W. Gardiner, "Handbook of Stochastic Methods", section 5.2.7). Known values: without reversion T = (start - lower) (upper - start) / volatility^2;
start = mean = 0, bounds -1 and 1, volatility 1, reversion 1: 1.4452456.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle
from pybackdoor.oracles.boundary_value import boundary_problem, solve_boundary_value, solve_boundary_value_adjoint
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.conditions import Condition, Row, positive
from pybackdoor.oracles.families import BEYOND
from pybackdoor.oracles.lanes import LANES, broadcast, store
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.scalar.block import NOT_FINITE, OK

NAMES = ("start", "reversion", "mean", "volatility", "lower", "upper")
DOMAIN = Domain(NAMES, (-1.0, 0.05, -0.5, 0.7, -2.0, 1.0), (1.0, 1.0, 0.5, 2.0, -1.0, 2.0), ("linear", "log", *["linear"] * 4), target="time")


def _in_order(row: Row) -> torch.Tensor:
    return row["lower"] < row["upper"]


CONDITIONS = (*positive("volatility"), Condition("lower", "a lower bound below the upper one", _in_order))


CELLS = {"fast": 32, "standard": 128, "high": 512}
_ACCURACY = {
    "fast": "over the value: median 6e-7, largest 1e-2",
    "standard": "over the value: median 2e-9, largest 5e-5",
    "high": "over the value: median 9e-12, largest 2e-7",
}


class MeanExitTime(Levelled, BatchedOracle):
    """The expected time with all six derivatives, those of the discrete solution, by its adjoint.

    Finite differences (see boundary_value.py) with half of the cells on either side of the start, on two meshes, extrapolated to the fourth order.
    level: "fast", "standard" or "high", 32, 128 or 512 cells; errors: `accuracy`, and docs/oracles.md. Outside the domain they grow: to 1e-2 of the
    value on 128 cells where the time is 10^13 times the diffusion's own, (upper - lower)^2 / volatility^2, and to first-order ones where the drift
    over a cell is stronger than the diffusion; `estimate_error` tells. Times beyond 10^308 are NOT_FINITE. 0 with gradient 0 where the start lies on
    a bound or beyond. Any sign of the reversion is valid. Raises InputError on an unknown level.

    >>> MeanExitTime().values([[0.0, 1.0, 0.0, 1.0, -1.0, 1.0]])
    tensor([1.4452], dtype=torch.float64)
    """

    name = "mean_exit_time"
    domain = DOMAIN
    accuracies = _ACCURACY
    family = BEYOND
    method = "finite differences, a boundary-value problem on two meshes"
    gradient_cost = 0.8  # time of value and gradient over that of the value, less 1: 2,048 points, one core
    chunk = 64 * LANES
    conditions = CONDITIONS

    def _use(self, level: str) -> None:
        super()._use(level)
        self.cells = CELLS[level]

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        def solve(*arrays: np.ndarray) -> None:
            _extrapolated(*arrays, boundary_problem(self.cells + 1), boundary_problem(self.cells // 2 + 1))

        return self._run(solve, points, gradient)


@kernel
def _extrapolated(points, values, gradients, status, fine, coarse):  # type: ignore[no-untyped-def]
    """Points [n, 6] -> values [n], gradients [n or 0, 6], status [n]."""
    gradient = gradients.shape[0] > 0
    results = np.empty((2, LANES, 7))
    for first in range(0, points.shape[0], LANES):
        for mesh in range(2):
            _mesh(points, first, fine if mesh == 1 else coarse, gradient, results, mesh)
        for lane in range(min(LANES, points.shape[0] - first)):
            row = first + lane
            inside = points[row, 4] < points[row, 0] < points[row, 5]
            total = 0.0
            for part in range(7 if gradient else 1):
                number = results[1, lane, part] + (results[1, lane, part] - results[0, lane, part]) / 3.0
                number = number if inside else 0.0
                total += number * 0.0
                if part == 0:
                    values[row] = number
                else:
                    gradients[row, part - 1] = number
            status[row] = OK if total == 0.0 else NOT_FINITE


@scalar
def _mesh(points, first, problem, gradient, results, mesh):  # type: ignore[no-untyped-def]
    """Results[mesh], [LANES, 7], the time and its derivatives, on one mesh; lanes past the last point, and starts out of bounds, solve something."""
    nodes = problem.mesh.shape[0]
    half = nodes // 2
    for lane in range(LANES):
        start, reversion, mean, volatility, lower, upper = _row(points, first + lane)
        for node in range(nodes):
            share = node / half if node < half else (nodes - 1 - node) / half
            away = (1.0 - share) * ((lower if node < half else upper) - start)  # from the start: cells next to a bound that is near keep their size
            problem.mesh[node, lane] = away
            problem.a[node, lane] = 0.5 * volatility * volatility
            problem.b[node, lane] = reversion * (mean - start - away)
            problem.f[node, lane] = -1.0
    solve_boundary_value(problem, False, False)
    for lane in range(LANES):
        results[mesh, lane, 0] = problem.u[half, lane]
    if gradient:
        for node in range(nodes):
            store(problem.u_bar, node, broadcast(1.0 if node == half else 0.0))
        solve_boundary_value_adjoint(problem, False, False)
        for lane in range(LANES):
            _collect(_row(points, first + lane), lane, problem, results, mesh)


@scalar
def _row(points, row):  # type: ignore[no-untyped-def]
    at = min(row, points.shape[0] - 1)
    start, lower, upper = points[at, 0], points[at, 4], points[at, 5]
    return start if lower < start < upper else 0.5 * (lower + upper), points[at, 1], points[at, 2], points[at, 3], lower, upper


@scalar
def _collect(row, lane, problem, results, mesh):  # type: ignore[no-untyped-def]
    """The derivatives in the six features from those in mesh and coefficients."""
    nodes = problem.mesh.shape[0]
    half = nodes // 2
    by_start, by_reversion, by_mean, by_volatility, by_lower, by_upper = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for node in range(nodes):
        share = node / half if node < half else (nodes - 1 - node) / half
        b_bar = problem.bars[2, node, lane]
        away_bar = (1.0 - share) * (problem.bars[0, node, lane] - row[1] * b_bar)
        by_start -= row[1] * b_bar + away_bar
        by_reversion += (row[2] - row[0] - problem.mesh[node, lane]) * b_bar
        by_mean += row[1] * b_bar
        by_volatility += row[3] * problem.bars[1, node, lane]
        by_lower += away_bar if node < half else 0.0
        by_upper += away_bar if node > half else 0.0
    results[mesh, lane, 1], results[mesh, lane, 2], results[mesh, lane, 3] = by_start, by_reversion, by_mean
    results[mesh, lane, 4], results[mesh, lane, 5], results[mesh, lane, 6] = by_volatility, by_lower, by_upper
