"""Oracles whose formula is compiled: blocks of points over the threads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.conditions import Condition, Row, correlation, nonnegative, positive
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.scalar.block import BLOCK
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus

__all__ = ["BatchedOracle", "Condition", "Row", "correlation", "nonnegative", "positive"]


class BatchedOracle(Oracle):
    """Subclasses set `conditions` beside what `Oracle` asks for, and implement `_solve` for rows that meet them."""

    chunk: int = 4096  # points of one task; a multiple of the kernel's block, so that no point's neighbours in a block depend on it

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        points = np.ascontiguousarray(x.cpu().numpy())
        values, gradients, status, *sampling = (part.to(x.device) for part in self._solve(points, gradient))
        failed = status != EvaluationStatus.OK
        errors = sampling[0] if sampling else torch.zeros_like(values)
        if bool(failed.any()):
            values[failed], errors[failed] = torch.nan, torch.nan
            if gradient:
                gradients[failed] = torch.nan
        return Evaluation(values, gradients if gradient else None, errors, status, self.cost(x.shape[0], gradient))

    @abstractmethod
    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, ...]:
        """Values [N], gradients [N, d] ([0, d] when not asked for), status [N] int64 and, if sampled, standard errors [N], at acceptable points."""

    def _run(
        self, solve: Callable[..., None], points: np.ndarray, gradient: bool, *constants: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Runs the kernel solve(points [n, d], values [n], gradients [n or 0, d], status [n], *constants) over chunks."""
        count, dimension = points.shape
        values, status = np.empty(count), np.empty(count, dtype=np.int64)
        gradients = np.empty((count if gradient else 0, dimension))

        def work(start: int, stop: int) -> None:
            solve(points[start:stop], values[start:stop], gradients[start:stop], status[start:stop], *constants)

        in_chunks(work, count, self.chunk, grain=BLOCK)
        return torch.from_numpy(values), torch.from_numpy(gradients), torch.from_numpy(status)

    def _run_blocks(
        self, price: Callable[[np.ndarray, bool], tuple[torch.Tensor, torch.Tensor]], points: np.ndarray, gradient: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Runs price(points [n, d], gradient) -> values [n], gradients [n, d] over chunks; the status tells what is not finite."""
        count, dimension = points.shape
        values, gradients = torch.empty(count, dtype=torch.float64), torch.empty(count if gradient else 0, dimension, dtype=torch.float64)

        def work(start: int, stop: int) -> None:
            values[start:stop], slopes = price(points[start:stop], gradient)
            if gradient:
                gradients[start:stop] = slopes

        in_chunks(work, count, self.chunk, grain=BLOCK)
        good = torch.isfinite(values)
        if gradient:
            good &= torch.isfinite(gradients).all(dim=1)
        return values, gradients, torch.where(good, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).to(torch.int64)
