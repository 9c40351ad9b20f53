"""Checks of labels against the oracle: each row is asked at most once, and what is known is kept."""

from __future__ import annotations

import torch

from pybackdoor.oracles.wrappers import BudgetedOracle
from pybackdoor.records import Samples


class LabelChecks:
    """The oracle's word on the rows of `samples`, as far as it was asked.

    truth [N] and standard_errors [N]: NaN where unknown; asked [N], bool. Rows outside the domain are asked as well.
    """

    def __init__(self, samples: Samples, oracle: BudgetedOracle) -> None:
        self.samples, self.oracle = samples, oracle
        self.truth = torch.full((samples.count,), torch.nan, dtype=torch.float64)
        self.standard_errors = torch.full_like(self.truth, torch.nan)
        self.asked = torch.zeros(samples.count, dtype=torch.bool)

    def check(self, rows: torch.Tensor, most: float) -> int:
        """Asks about those of `rows` not asked yet, in their order, at most `most` and at most what the budget allows; returns how many."""
        rows = rows[~self.asked[rows]]
        allowed = int(min(most, self.oracle.remaining))
        rows = rows[: max(allowed, 0)]
        if rows.numel():
            self.asked[rows] = True
            evaluation = self.oracle.evaluate(self.samples.x[rows], strict=False)
            good = evaluation.ok & torch.isfinite(evaluation.values)
            self.truth[rows] = torch.where(good, evaluation.values, torch.nan).cpu()
            self.standard_errors[rows] = torch.where(good, evaluation.standard_errors, torch.nan).cpu()
        return int(rows.numel())

    @property
    def known(self) -> torch.Tensor:
        """Rows with a usable answer [N], bool."""
        return torch.isfinite(self.truth)

    @property
    def disagreements(self) -> torch.Tensor:
        """Label - oracle [N], NaN where unknown."""
        return self.samples.y - self.truth

    def rejected(self, tolerance: torch.Tensor, errors: float = 5.0) -> torch.Tensor:
        """Rows [N] whose label lies farther from the oracle than `tolerance` [N] and `errors` standard errors of the oracle together."""
        allowed = torch.sqrt(tolerance**2 + (errors * self.standard_errors) ** 2)
        return self.known & (self.disagreements.abs() > allowed)
