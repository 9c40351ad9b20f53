"""The climbers of one search: where each stands, what is known there, and why it stopped."""

from __future__ import annotations

import torch

from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import AscentStatus
from pybackdoor.search.asking import Answers

LIVE = -1
MERGED = -2  # met a climber with a larger error, which stands for both


class Climb:
    """S climbers, float64, in the unit cube; the tensors below hold the best point so far of each and are updated in place.

    unit [S, d]; surrogate, oracle, standard_errors [S] there; slopes [S, d] d(oracle)/du as far as known; status [S] LIVE, MERGED or an AscentStatus.
    """

    def __init__(self, unit: torch.Tensor, surrogate: torch.Tensor, answers: Answers) -> None:
        self.unit = unit.clone()
        self.surrogate = surrogate.clone()
        self.oracle = answers.values.clone()
        self.standard_errors = answers.standard_errors.clone()
        self.slopes = torch.zeros_like(unit) if answers.gradients is None else answers.gradients.clone()
        self.status = torch.full_like(answers.values, LIVE, dtype=torch.int64)
        self.stop(~answers.usable, AscentStatus.ORACLE_FAILED)
        self.stop(~answers.asked, AscentStatus.BUDGET_SPENT)
        self.stop(answers.usable & ~torch.isfinite(surrogate), AscentStatus.NOT_FINITE)

    def take_slopes(self, answers: Answers) -> None:
        """Sets the slopes from one answer a climber; a climber without one stops."""
        assert answers.gradients is not None
        self.slopes = torch.where(answers.usable[:, None], answers.gradients, 0.0)
        self.stop(~answers.usable, AscentStatus.ORACLE_FAILED)
        self.stop(~answers.asked, AscentStatus.BUDGET_SPENT)

    @property
    def errors(self) -> torch.Tensor:
        """Signed errors, surrogate - oracle: [S], NaN where the oracle gave no value."""
        return self.surrogate - self.oracle

    @property
    def known(self) -> torch.Tensor:
        """Climbers with an error to report: [S], bool."""
        return torch.isfinite(self.errors) & (self.status != MERGED)

    def live(self) -> torch.Tensor:
        """Indices of the climbers still on their way, the largest error first: a budget that ends within a batch ends with the least."""
        rows = (self.status == LIVE).nonzero()[:, 0]
        return rows[torch.argsort(self.errors[rows].abs(), descending=True, stable=True)]

    def stop(self, where: torch.Tensor, status: int) -> None:
        """Stops the climbers that `where` names (indices or a mask)."""
        self.status[where] = int(status)

    def move(self, rows: torch.Tensor, unit: torch.Tensor, surrogate: torch.Tensor, oracle: torch.Tensor, standard_errors: torch.Tensor) -> None:
        """Sets the best point of the climbers `rows`."""
        self.unit[rows], self.surrogate[rows], self.oracle[rows], self.standard_errors[rows] = unit, surrogate, oracle, standard_errors

    def merge(self, radius: float) -> None:
        """Stops each live climber that has come within `radius` of one with a larger error of the same sign, which will stand for both."""
        live = self.live()
        known = self.known.nonzero()[:, 0]
        if not live.numel():
            return
        errors = self.errors
        near = torch.cdist(self.unit[live], self.unit[known], compute_mode="donot_use_mm_for_euclid_dist") <= radius
        mine, theirs = errors[live][:, None], errors[known][None, :]
        earlier = (theirs.abs() == mine.abs()) & (known[None, :] < live[:, None])
        worse = ((theirs.abs() > mine.abs()) | earlier) & (torch.sign(mine) == torch.sign(theirs))
        self.stop(live[(near & worse).any(dim=1)], MERGED)


def surrogate_values(surrogate: Surrogate, unit: torch.Tensor) -> torch.Tensor:
    """The surrogate in float64 at points of the unit cube: [N]."""
    return surrogate.values(surrogate.domain.to_natural(unit))
