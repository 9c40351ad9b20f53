"""What an oracle answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch


class EvaluationStatus(IntEnum):
    """Why a point has, or has not, a usable value."""

    OK = 0
    NOT_FINITE = 1
    RAISED = 2
    OUTSIDE_DOMAIN = 3
    NOT_CONVERGED = 4
    BAD_INPUT = 5
    BAD_SHAPE = 6
    TIMED_OUT = 7
    CRASHED = 8

    @property
    def explanation(self) -> str:
        """One sentence a person can act on."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    EvaluationStatus.OK: "evaluated",
    EvaluationStatus.NOT_FINITE: "the oracle returned NaN or infinity; check the point against the oracle's own limits",
    EvaluationStatus.RAISED: "the oracle raised an exception at this point; run it there by hand to see it",
    EvaluationStatus.OUTSIDE_DOMAIN: "the point lies outside the oracle's domain; evaluate with strict=False if that is meant",
    EvaluationStatus.NOT_CONVERGED: "the solver did not reach its tolerance; raise its level or its iteration limit",
    EvaluationStatus.BAD_INPUT: "a feature is not finite or not physical here; correct the row",
    EvaluationStatus.BAD_SHAPE: "the oracle returned something that is not one number a point; return an array of shape [N]",
    EvaluationStatus.TIMED_OUT: "the oracle took longer than its timeout at this point and was stopped; raise the timeout, or run it there by hand",
    EvaluationStatus.CRASHED: "the process that evaluated this point died (a crash in native code, or memory); run it there by hand to see it",
}


@dataclass(frozen=True)
class Evaluation:
    """Values of an oracle at N points, in natural units.

    values [N] float64 (NaN where `status` is not OK); gradients [N, d] d(value)/d(feature) or None; standard_errors [N], 0 when deterministic;
    status [N] int64 codes of EvaluationStatus; value_calls: what was spent, in value calls (a value is 1, a value with gradient 1 + g, a cache
    hit 0).
    """

    values: torch.Tensor
    gradients: torch.Tensor | None
    standard_errors: torch.Tensor
    status: torch.Tensor
    value_calls: float

    @property
    def ok(self) -> torch.Tensor:
        """Where the value can be used: [N], bool."""
        return self.status == EvaluationStatus.OK
