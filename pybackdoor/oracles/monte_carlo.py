"""Oracles by Monte Carlo: every estimate is a mean of independent copies, whose spread is its standard error."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pybackdoor.oracles.batched import BatchedOracle
from pybackdoor.oracles.bridge import bridge, bridge_plan
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.draws import COPIES, SMALLEST, Draws
from pybackdoor.oracles.families import MONTE_CARLO
from pybackdoor.records.evaluation import EvaluationStatus

_TASK = 2  # copies of one task

Solution = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class MonteCarloOracle(BatchedOracle):
    """Subclasses hand `_estimate` a kernel that evaluates points on one copy of the draws.

    All points share one set of draws (common random numbers): differences between points have far less noise than the standard errors say, and
    errors are correlated across points. Another `seed` is an independent set. A value is the mean of COPIES independent unbiased estimates (up to the
    bias of the time steps, where an oracle has one), its standard error their deviation over the root of COPIES: the error over it has about the
    t distribution with COPIES - 1 degrees of freedom.
    """

    sampled = True
    family = MONTE_CARLO
    chunk = 2048  # points whose copies are in memory at a time

    def __init__(self, *, paths: int, dimensions: int, seed: int, draws: str, walk: int = 0) -> None:
        """walk: how many of the dimensions, the last ones, are handed on as a walk."""
        self.draws = Draws(paths, dimensions, seed, self.name, draws)
        self.accuracy = f"standard error a point; {paths} paths"
        self._plan, self._walk = bridge_plan(walk) if walk > 1 else None, walk

    @property
    def paths(self) -> int:
        """Paths in all copies together."""
        return self.draws.paths

    @property
    def seed(self) -> int:
        """What names the draws."""
        return self.draws.seed

    @abstractmethod
    def _with_paths(self, paths: int) -> MonteCarloOracle:
        """The same oracle with other paths."""

    def coarser(self) -> MonteCarloOracle | None:
        """A quarter of the paths; None at the fewest."""
        return self._with_paths(self.paths // 4) if self.paths >= 4 * COPIES * SMALLEST else None

    def _estimate(self, kernel: Callable[..., None], points: np.ndarray, gradient: bool, *constants: Any) -> Solution:
        """Runs kernel(points [n, d], numbers [dimensions, size], answers [n, 1 or 1 + d], *constants) on every copy of the draws.

        numbers: standard normal, the last `walk` rows Brownian motion at equal times up to 1; answers: value and, where asked for, its derivatives.
        """
        count, dimension = points.shape
        values, errors = np.empty(count), np.empty(count)
        gradients = np.empty((count if gradient else 0, dimension))
        for start in range(0, count, self.chunk):
            batch = slice(start, min(start + self.chunk, count))
            answers = np.empty((COPIES, batch.stop - start, 1 + dimension if gradient else 1))
            self._run_copies(kernel, points[batch], answers, constants)
            mean = mean_of_copies(answers)
            values[batch], errors[batch] = mean[:, 0], error_of_copies(answers[:, :, 0], mean[:, 0])
            if gradient:
                gradients[batch] = mean[:, 1:]
        finite = np.isfinite(values) & np.isfinite(errors)
        if gradient:
            finite &= np.isfinite(gradients).all(axis=1)
        status = np.where(finite, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).astype(np.int64)
        return torch.from_numpy(values), torch.from_numpy(gradients), torch.from_numpy(status), torch.from_numpy(errors)

    def _run_copies(self, kernel: Callable[..., None], points: np.ndarray, answers: np.ndarray, constants: tuple[Any, ...]) -> None:
        def work(first: int, last: int) -> None:
            normals = np.empty((self.draws.dimensions, self.draws.size))
            numbers = normals if self._plan is None else np.empty_like(normals)
            for copy in range(first, last):
                self.draws.fill(copy, normals)
                if self._plan is not None:
                    apart = self.draws.dimensions - self._walk
                    numbers[:apart] = normals[:apart]
                    bridge(self._plan, normals[apart:], numbers[apart:])
                kernel(points, numbers, answers[copy], *constants)

        in_chunks(work, COPIES, _TASK)


def mean_of_copies(copies: np.ndarray) -> np.ndarray:
    """The mean over the first axis, exact where all are equal, added in one order whatever the other axes (NumPy's own order depends on them)."""
    total = np.zeros_like(copies[0])
    for copy in copies[1:]:
        total += copy - copies[0]
    return copies[0] + total / len(copies)


def error_of_copies(copies: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The standard error of `mean`, that of `copies`."""
    return np.sqrt(mean_of_copies((copies - mean) ** 2) / (len(copies) - 1))
