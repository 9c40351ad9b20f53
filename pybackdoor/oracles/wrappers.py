"""Oracles around an oracle: counting, caching, and holding to a budget."""

from __future__ import annotations

import math

import torch

from pybackdoor.errors import BudgetExhaustedError, InputError
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus

_CAPABILITIES = (
    "name",
    "domain",
    "gradient_cost",
    "exact",
    "sampled",
    "devices",
    "conditions",
    "family",
    "method",
    "accuracy",
    "error_scale",
)


class CountedOracle(Oracle):
    """Passes every question on and counts: `value_calls` spent so far (what `inner` reports), `failures` the points that got no usable value."""

    def __init__(self, inner: Oracle) -> None:
        self.inner = inner
        for capability in _CAPABILITIES:
            setattr(self, capability, getattr(inner, capability))
        self.value_calls = 0.0
        self._failures: int | torch.Tensor = 0

    @property
    def failures(self) -> int:
        """Points that got no usable value. Counted where the answers lie: only reading it waits for a device."""
        return int(self._failures)

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        self._afford(x.shape[0], self.cost(x.shape[0], gradient))
        evaluation = self.inner.evaluate_inside(x, gradient)
        self.value_calls += evaluation.value_calls
        self._failures = self._failures + (~evaluation.ok).sum()
        return evaluation

    def _afford(self, count: int, price: float) -> None:
        """Raises where `count` points at this price are too much."""

    def coarser(self) -> Oracle | None:
        """The inner oracle's coarser form, whose calls are counted here too."""
        other = self.inner.coarser()
        return None if other is None else _ChargedOracle(other, self)

    def _compared(self) -> Oracle | None:
        other = self.inner._compared()
        return None if other is None else _ChargedOracle(other, self)


class _ChargedOracle(CountedOracle):
    """Counts its calls on another oracle's account as well, and is held to its budget."""

    def __init__(self, inner: Oracle, account: CountedOracle) -> None:
        super().__init__(inner)
        self.account = account

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        evaluation = super()._evaluate(x, gradient)
        self.account.value_calls += evaluation.value_calls
        return evaluation

    def _afford(self, count: int, price: float) -> None:
        self.account._afford(count, price)


class BudgetedOracle(CountedOracle):
    """Never spends more than `budget` value calls: a question that could cost more than `remaining` raises BudgetExhaustedError and asks nothing.

    What a question could cost is `inner.cost(N, gradient)`. To have cache hits cost nothing, wrap as CachedOracle(BudgetedOracle(oracle, budget)).
    Raises InputError when the budget is not a positive number.
    """

    def __init__(self, inner: Oracle, budget: float) -> None:
        super().__init__(inner)
        if not (budget > 0 and math.isfinite(budget)):
            raise InputError(f"oracle budget: {budget} value calls; a positive number is needed")
        self.budget = float(budget)

    @property
    def remaining(self) -> float:
        """Value calls left."""
        return self.budget - self.value_calls

    def _afford(self, count: int, price: float) -> None:
        if price > self.remaining:
            raise BudgetExhaustedError(
                f"oracle {self.name}: {count} points would cost {price:g} value calls and {self.remaining:g} of "
                f"{self.budget:g} remain; ask fewer points or raise the budget"
            )


class CachedOracle(CountedOracle):
    """Remembers answers by the exact bytes of a row; a hit costs 0, and so does a row repeated within a batch.

    A row known by value alone is asked again, at the full price, when its gradient is wanted, and then known by both. Failures are not remembered:
    the next question tries again. `hits` counts the rows answered from memory.
    """

    def __init__(self, inner: Oracle) -> None:
        super().__init__(inner)
        self.hits = 0
        self._rows: dict[bytes, tuple[float, float, torch.Tensor | None]] = {}

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        points = x.cpu().contiguous()
        keys = [row.tobytes() for row in points.numpy()]
        new: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            if not self._known(key, gradient):
                new.setdefault(key, position)
        spent, failed = 0.0, {}
        if new:
            asked = super()._evaluate(x[list(new.values())], gradient)
            spent, failed = asked.value_calls, self._remember(list(new), asked)
        self.hits += len(keys) - len(new)
        return self._assemble(keys, failed, x, gradient, spent)

    def _known(self, key: bytes, gradient: bool) -> bool:
        return key in self._rows and not (gradient and self._rows[key][2] is None)

    def _remember(self, keys: list[bytes], asked: Evaluation) -> dict[bytes, int]:
        """Stores the usable answers; returns the status of the others."""
        failed = {}
        gradients = None if asked.gradients is None else asked.gradients.cpu()
        for position, (key, value, error, status) in enumerate(
            zip(keys, asked.values.tolist(), asked.standard_errors.tolist(), asked.status.tolist(), strict=True)
        ):
            if status == EvaluationStatus.OK:
                self._rows[key] = (value, error, None if gradients is None else gradients[position].clone())
            else:
                failed[key] = status
        return failed

    def _assemble(self, keys: list[bytes], failed: dict[bytes, int], x: torch.Tensor, gradient: bool, spent: float) -> Evaluation:
        nothing = torch.full((x.shape[1],), torch.nan, dtype=torch.float64)
        missing = (math.nan, math.nan, nothing)
        rows = [missing if key in failed else self._rows[key] for key in keys]
        gradients = None
        if gradient:
            gradients = torch.stack([row[2] for row in rows if row[2] is not None]).to(x.device) if rows else torch.zeros_like(x)
        return Evaluation(
            torch.tensor([row[0] for row in rows], dtype=torch.float64, device=x.device),
            gradients,
            torch.tensor([row[1] for row in rows], dtype=torch.float64, device=x.device),
            torch.tensor([failed.get(key, EvaluationStatus.OK) for key in keys], dtype=torch.int64, device=x.device),
            spent,
        )
