"""Schedule and outcome of the ascent's inner loop (`ops.ascent`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch

from pybackdoor.errors import InputError


@dataclass(frozen=True)
class AscentSchedule:
    """How a seed climbs (Y(u) - R(u))^2 in the unit cube.

    steps: most steps K; step_size: length of the first step (normalised) or its factor on the gradient (raw), unit cube;
    decay: the step of iteration k = 0, 1, ... is step_size / (1 + decay * k); direction: "normalised" (unit gradient) or "raw";
    step_tolerance: a seed is CONVERGED when its projected move is no longer than this (Euclidean, unit cube);
    patience: a seed is STALLED after this many steps in a row that do not raise its best objective by more than the fraction
    `improvement` of it; 0 switches the rule off.
    """

    steps: int = 50
    step_size: float = 0.02
    decay: float = 0.05
    direction: str = "normalised"
    step_tolerance: float = 1e-6
    patience: int = 10
    improvement: float = 1e-4

    def __post_init__(self) -> None:
        if self.steps < 0 or self.patience < 0:
            raise InputError(f"schedule: steps {self.steps} and patience {self.patience}; whole numbers >= 0 are needed")
        if not self.step_size > 0 or self.decay < 0 or self.step_tolerance < 0 or self.improvement < 0:
            raise InputError(
                f"schedule: step_size {self.step_size} must be positive; decay {self.decay}, step_tolerance {self.step_tolerance} "
                f"and improvement {self.improvement} not negative"
            )
        if self.direction not in ("normalised", "raw"):
            raise InputError(f"schedule: direction {self.direction!r}; 'normalised' or 'raw' is needed")


class AscentStatus(IntEnum):
    """Why a seed stopped."""

    STEPS_DONE = 0
    CONVERGED = 1
    STALLED = 2
    FLAT = 3
    NOT_FINITE = 4
    RADIUS_COLLAPSED = 5
    BUDGET_SPENT = 6
    ORACLE_FAILED = 7

    @property
    def explanation(self) -> str:
        """One sentence a person can act on."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    AscentStatus.STEPS_DONE: "all steps were taken; more steps may climb further",
    AscentStatus.CONVERGED: "the projected move fell below the tolerance",
    AscentStatus.STALLED: "the best objective stopped improving",
    AscentStatus.FLAT: "the gradient is exactly zero here (a plateau, or no error at all)",
    AscentStatus.NOT_FINITE: "the surrogate or the objective became NaN or infinite; the best point before that is kept",
    AscentStatus.RADIUS_COLLAPSED: "the trust region shrank below its tolerance: a local maximum or a kink",
    AscentStatus.BUDGET_SPENT: "the oracle budget ran out; the best point so far is kept",
    AscentStatus.ORACLE_FAILED: "the oracle gave no usable value here",
}


@dataclass(frozen=True)
class Ascents:
    """Outcome for N seeds: the best point so far of each.

    points [N, d] unit cube; values [N] surrogate there; objectives [N] (Y - R)^2 there; status [N] int64 AscentStatus; steps [N] int64 steps taken.
    """

    points: torch.Tensor
    values: torch.Tensor
    objectives: torch.Tensor
    status: torch.Tensor
    steps: torch.Tensor
