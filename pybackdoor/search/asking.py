"""Asks the oracle in the unit cube, counts what is spent, and takes failures and a spent budget as answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pybackdoor.errors import BudgetExhaustedError
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import Evaluation

LARGEST_QUESTION = 1 << 17  # points asked about at a time: bounds the memory of a search of millions of seeds


@dataclass(frozen=True)
class Answers:
    """What the oracle said about N points of the unit cube.

    values [N] float64, NaN unless `usable`; gradients [N, d] d(value)/du or None; standard_errors [N];
    asked [N]: whether the budget allowed the question; usable [N]: whether the value (and the gradient asked for) is finite and OK.
    """

    values: torch.Tensor
    gradients: torch.Tensor | None
    standard_errors: torch.Tensor
    asked: torch.Tensor
    usable: torch.Tensor

    def subset(self, rows: torch.Tensor) -> Answers:
        """The answers at `rows`."""
        gradients = None if self.gradients is None else self.gradients[rows]
        return Answers(self.values[rows], gradients, self.standard_errors[rows], self.asked[rows], self.usable[rows])


class Asker:
    """The one place where a search spends oracle calls."""

    def __init__(self, oracle: Oracle, *, on_spent: Callable[[float], object] | None = None) -> None:
        self.oracle = oracle
        self.on_spent = on_spent
        self.spent = 0.0
        self._failures: int | torch.Tensor = 0

    @property
    def failures(self) -> int:
        """Points asked about that gave no usable answer. Counted on the device: reading it waits for it."""
        return int(self._failures)

    def ask(self, unit: torch.Tensor, *, gradient: bool = False) -> Answers:
        """Asks about the first points of [N, d] that the budget allows, in one batch where it allows all; the caller puts the dearest first."""
        domain, count = self.oracle.domain, unit.shape[0]
        x = domain.to_natural(unit)
        values, errors = torch.full_like(unit[:, 0], torch.nan), torch.zeros_like(unit[:, 0])
        gradients = torch.full_like(unit, torch.nan) if gradient else None
        asked = torch.zeros(count, dtype=torch.bool, device=unit.device)
        first, size = 0, min(count, LARGEST_QUESTION)
        while first < count and size:
            part = slice(first, min(first + size, count))
            try:
                evaluation = self._evaluated(x[part], gradient)
            except BudgetExhaustedError:  # nothing was spent: ask about fewer
                size //= 2
                continue
            self.spent += evaluation.value_calls
            if self.on_spent is not None:
                self.on_spent(evaluation.value_calls)
            values[part] = torch.where(evaluation.ok, evaluation.values, torch.nan)
            errors[part] = evaluation.standard_errors
            asked[part] = True
            if gradients is not None and evaluation.gradients is not None:
                gradients[part] = domain.gradient_to_unit(x[part], evaluation.gradients)
            first = part.stop
        usable = torch.isfinite(values)
        if gradients is not None:
            usable &= torch.isfinite(gradients).all(dim=1)
        values = torch.where(usable, values, torch.nan)
        self._failures = self._failures + (asked & ~usable).sum()
        return Answers(values, gradients, errors, asked, usable)

    def _evaluated(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        """Points of the domain need no check but of the oracle's own conditions; on a GPU a check would wait for it."""
        if self.oracle.conditions and x.device.type == "cpu":
            return self.oracle.evaluate(x, gradient=gradient)
        return self.oracle.evaluate_inside(x, gradient)
