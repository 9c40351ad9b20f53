"""The climbers of one search: where each stands, what is known there, and why it stopped."""

from __future__ import annotations

import torch

from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import AscentStatus
from pybackdoor.search.asking import LARGEST_QUESTION, Answers

LIVE = -1
MERGED = -2  # met a climber with a larger error, which stands for both
_BLOCK = 2048  # climbers compared with all others at a time: bounds the memory of `merged`


class Climb:
    """S climbers, float64, in the unit cube; the tensors below hold the best point so far of each and are updated in place.

    unit [S, d]; surrogate, oracle, standard_errors [S] there; slopes [S, d] d(oracle)/du as far as known; status [S] LIVE, MERGED or an AscentStatus.
    Methods take indices of climbers and a mask over them, so that nothing waits for the device.
    """

    def __init__(self, unit: torch.Tensor, surrogate: torch.Tensor, answers: Answers) -> None:
        self.unit = unit.clone()
        self.surrogate = surrogate.clone()
        self.oracle = answers.values.clone()
        self.standard_errors = answers.standard_errors.clone()
        self.slopes = torch.zeros_like(unit) if answers.gradients is None else answers.gradients.clone()
        self.status = torch.full_like(answers.values, LIVE, dtype=torch.int64)
        self.everyone = torch.arange(unit.shape[0], device=unit.device)
        self._stop_unanswered(answers)
        self.stop(self.everyone, answers.usable & ~torch.isfinite(surrogate), AscentStatus.NOT_FINITE)

    def take_slopes(self, answers: Answers) -> None:
        """Sets the slopes from one answer a climber; a climber without one stops."""
        assert answers.gradients is not None
        self.slopes = torch.where(answers.usable[:, None], answers.gradients, 0.0)
        self._stop_unanswered(answers)

    def _stop_unanswered(self, answers: Answers) -> None:
        self.stop(self.everyone, ~answers.usable, AscentStatus.ORACLE_FAILED)
        self.stop(self.everyone, ~answers.asked, AscentStatus.BUDGET_SPENT)

    @property
    def errors(self) -> torch.Tensor:
        """Signed errors, surrogate - oracle: [S], NaN where the oracle gave no value."""
        return self.surrogate - self.oracle

    @property
    def known(self) -> torch.Tensor:
        """Climbers with an error to report: [S], bool."""
        return torch.isfinite(self.errors) & (self.status != MERGED)

    def largest_first(self, rows: torch.Tensor, live: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`rows` by the size of their errors, those that are not `live` last, and the mask in this order.

        The largest first, because a budget that ends within a batch then ends with the least.
        """
        sizes = torch.where(live, self.errors[rows].abs(), -torch.inf)
        return rows[torch.argsort(sizes, descending=True, stable=True)], self.everyone[: rows.shape[0]] < live.sum()

    def stop(self, rows: torch.Tensor, where: torch.Tensor, status: int) -> None:
        """Stops those of the climbers `rows` [n] that the mask `where` [n] names."""
        self.status[rows] = torch.where(where, int(status), self.status[rows])

    def move(
        self, rows: torch.Tensor, where: torch.Tensor, unit: torch.Tensor, surrogate: torch.Tensor, oracle: torch.Tensor, errors: torch.Tensor
    ) -> None:
        """Sets the best point, with the oracle's standard errors, of those of the climbers `rows` that the mask names."""
        self.unit[rows] = torch.where(where[:, None], unit, self.unit[rows])
        self.surrogate[rows] = torch.where(where, surrogate, self.surrogate[rows])
        self.oracle[rows] = torch.where(where, oracle, self.oracle[rows])
        self.standard_errors[rows] = torch.where(where, errors, self.standard_errors[rows])

    def merged(self, rows: torch.Tensor, status: torch.Tensor, radius: float) -> torch.Tensor:
        """Which of `rows` are live under `status` [S] and within `radius` of a known climber with a larger error of the same sign: [n], bool."""
        errors = self.errors
        known = torch.isfinite(errors) & (status != MERGED)
        parts = []
        for block in rows.split(_BLOCK):
            near = torch.cdist(self.unit[block], self.unit, compute_mode="donot_use_mm_for_euclid_dist") <= radius
            mine, theirs = errors[block][:, None], errors[None, :]
            earlier = (theirs.abs() == mine.abs()) & (self.everyone[None, :] < block[:, None])
            worse = ((theirs.abs() > mine.abs()) | earlier) & (torch.sign(mine) == torch.sign(theirs))
            parts.append((status[block] == LIVE) & (near & worse & known[None, :]).any(dim=1))
        return torch.cat(parts) if parts else torch.zeros_like(rows, dtype=torch.bool)


def surrogate_values(surrogate: Surrogate, unit: torch.Tensor) -> torch.Tensor:
    """The surrogate in float64 at points of the unit cube: [N]."""
    parts = [surrogate._values(surrogate.domain.to_natural(part)) for part in unit.split(LARGEST_QUESTION)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
