"""The oracle protocol: one checked front, subclasses supply the numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import OracleFailedError
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus


class Oracle(ABC):
    """An expensive, trusted map from natural-unit features to one number.

    Subclasses set `name` and `domain`, override the capabilities that differ, and implement `_evaluate`.
    `exact`: no discretisation or sampling error; `gradient_cost` g: a value with gradient costs 1 + g value calls.
    """

    name: str
    domain: Domain
    exact: bool = False
    devices: tuple[str, ...] = ("cpu",)
    gradient_cost: float

    def evaluate(self, x: Any, gradient: bool = False, *, strict: bool = True) -> Evaluation:
        """Values, and with `gradient` d(value)/d(feature), at x: [N, d], natural units.

        `strict` refuses points outside the domain (InputError naming row, feature and value); without it they are evaluated all the same.
        The answer lies on x's device. Raises InputError on a wrong shape, NaN or infinity. A point the oracle cannot serve has a status and NaN.
        """
        points = self.domain.check_points(x, f"oracle {self.name}", inside=strict)
        return self._evaluate(points, gradient)

    @abstractmethod
    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        """`evaluate` on checked float64 points [N, d], N >= 0."""

    def values(self, x: Any, *, strict: bool = True) -> torch.Tensor:
        """The values [N]; raises OracleFailedError where one has none."""
        return _all_usable(self.name, self.evaluate(x, strict=strict)).values

    def values_and_gradients(self, x: Any, *, strict: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """The values [N] and gradients [N, d]; raises OracleFailedError where one has none."""
        evaluation = _all_usable(self.name, self.evaluate(x, gradient=True, strict=strict))
        assert evaluation.gradients is not None
        return evaluation.values, evaluation.gradients

    def cost(self, count: int, gradient: bool) -> float:
        """Value calls that `count` points spend."""
        return count * (1.0 + self.gradient_cost) if gradient else float(count)


def _all_usable(name: str, evaluation: Evaluation) -> Evaluation:
    if not bool(evaluation.ok.all()):
        row = int((~evaluation.ok).nonzero()[0])
        status = EvaluationStatus(int(evaluation.status[row]))
        failed = int((~evaluation.ok).sum())
        raise OracleFailedError(f"oracle {name}: row {row}: {status.explanation} ({failed} of {evaluation.status.shape[0]} rows)")
    return evaluation
