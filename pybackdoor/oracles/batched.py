"""Oracles whose formula is compiled: bad rows told apart from good ones, and blocks of points over the threads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from pybackdoor.arrays import as_points, check_finite
from pybackdoor.errors import InputError
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus

Row = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Condition:
    """What must hold of a row: `holds` takes {feature: values [N]} and answers [N], bool; `feature` and `needed` go into the message."""

    feature: str
    needed: str
    holds: Callable[[Row], torch.Tensor]


def positive(*features: str) -> tuple[Condition, ...]:
    """Each feature > 0."""
    return tuple(Condition(name, "a positive number", partial(_above_zero, name)) for name in features)


def nonnegative(*features: str) -> tuple[Condition, ...]:
    """Each feature >= 0."""
    return tuple(Condition(name, "a number >= 0", partial(_not_below_zero, name)) for name in features)


def correlation(*features: str) -> tuple[Condition, ...]:
    """Each feature strictly between -1 and 1."""
    return tuple(Condition(name, "a correlation strictly between -1 and 1", partial(_within_one, name)) for name in features)


def _above_zero(name: str, row: Row) -> torch.Tensor:
    return row[name] > 0


def _not_below_zero(name: str, row: Row) -> torch.Tensor:
    return row[name] >= 0


def _within_one(name: str, row: Row) -> torch.Tensor:
    return row[name].abs() < 1


class BatchedOracle(Oracle):
    """Subclasses set `conditions` beside what `Oracle` asks for, and implement `_solve` for rows that meet them."""

    conditions: tuple[Condition, ...] = ()
    chunk: int = 4096  # points of one task; a multiple of the kernel's block, so that no point's neighbours in a block depend on it

    def evaluate(self, x: Any, gradient: bool = False, *, strict: bool = True, errors: str | None = None) -> Evaluation:
        """As `Oracle.evaluate`. Rows that no price exists for (a volatility of 0, a maturity below 0 ...) depend on `errors`.

        errors: "raise" (InputError naming row, feature and value), "nan" (status BAD_INPUT and NaN for those rows alone, NaN and infinite features
        included), or None: "raise" with `strict`; without it the status for what is finite, and the error for what is not.
        """
        if errors not in (None, "raise", "nan"):
            raise InputError(f"oracle {self.name}: errors is {errors!r}; 'raise', 'nan' or None is needed")
        points = as_points(x, self.domain.dimension, f"oracle {self.name}", columns=self.domain.names, finite=False)
        if errors != "nan":
            check_finite(points, f"oracle {self.name}", columns=self.domain.names)
        if errors == "raise" or (errors is None and strict):
            self._refuse(points)
        good = self._good(points)
        if strict:
            self.domain.check_points(self._replaced(points, good), f"oracle {self.name}", inside=True)
        return self._answer(points, good, gradient)

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        return self._answer(x, self._good(x), gradient)

    def _answer(self, x: torch.Tensor, good: torch.Tensor, gradient: bool) -> Evaluation:
        count = x.shape[0]
        safe = np.ascontiguousarray(self._replaced(x, good).cpu().numpy())
        values, gradients, status = (part.to(x.device) for part in self._solve(safe, gradient))
        status.masked_fill_(~good, EvaluationStatus.BAD_INPUT)
        failed = status != EvaluationStatus.OK
        errors = torch.zeros_like(values)
        if bool(failed.any()):
            values[failed], errors[failed] = torch.nan, torch.nan
            if gradient:
                gradients[failed] = torch.nan
        return Evaluation(values, gradients if gradient else None, errors, status, self.cost(count, gradient))

    @abstractmethod
    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Values [N], gradients [N, d] ([0, d] when not asked for), and status [N] int64, at acceptable points [N, d]."""

    def _run(
        self, solve: Callable[..., None], points: np.ndarray, gradient: bool, *constants: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Runs the kernel solve(points [n, d], values [n], gradients [n or 0, d], status [n], *constants) over chunks."""
        count, dimension = points.shape
        values, status = np.empty(count), np.empty(count, dtype=np.int64)
        gradients = np.empty((count if gradient else 0, dimension))

        def work(start: int, stop: int) -> None:
            solve(points[start:stop], values[start:stop], gradients[start:stop], status[start:stop], *constants)

        in_chunks(work, count, self.chunk)
        return torch.from_numpy(values), torch.from_numpy(gradients), torch.from_numpy(status)

    def _holding(self, points: torch.Tensor) -> list[torch.Tensor]:
        row = dict(zip(self.domain.names, points.unbind(dim=1), strict=True))
        return [condition.holds(row) for condition in self.conditions]

    def _good(self, points: torch.Tensor) -> torch.Tensor:
        """Where a row is finite and meets the conditions: [N], bool."""
        good = torch.isfinite(points).all(dim=1)
        for holds in self._holding(points):
            good &= holds
        return good

    def _replaced(self, points: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
        """Points with the middle of the domain in place of bad rows."""
        if bool(good.all()):
            return points
        middle = self.domain.to_natural(torch.full((1, self.domain.dimension), 0.5, dtype=torch.float64, device=points.device))
        return torch.where(good[:, None], points, middle)

    def _refuse(self, points: torch.Tensor) -> None:
        for condition, holds in zip(self.conditions, self._holding(points), strict=True):
            if not bool(holds.all()):
                row = int((~holds).nonzero()[0])
                value = float(points[row, self.domain.names.index(condition.feature)])
                raise InputError(
                    f"oracle {self.name}: row {row} has {condition.feature} = {value:g}; {condition.needed} is needed "
                    f"({int((~holds).sum())} rows in all); correct it, or give errors='nan'"
                )
