"""How an audit is run, and how its budget is shared out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pybackdoor.errors import InputError
from pybackdoor.search import SearchConfig

PILOT = 8  # random rows compared first, to set a provisional tolerance; fewer usable answers prove nothing


@dataclass(frozen=True)
class AuditConfig:
    """What fixes an audit besides its inputs.

    budget: the most value calls of the oracle, all told; label_error: standard deviation of honest labels around the oracle, target units
    (None: estimated from random rows); seed: of every draw; random_share: of the budget, for rows drawn uniformly (the certificate, the tolerance and
    the model's typical error); search_share: of the budget, kept for the search of error maximizers where there is a model; confidence: of the
    certificate; neighbours: k of the proximity rule; refuted: suspected clusters found right in a row after which no more are probed.
    """

    budget: int = 500
    label_error: float | None = None
    seed: int = 0
    random_share: float = 0.2
    search_share: float = 0.35
    confidence: float = 0.95
    neighbours: int = 20
    refuted: int = 6
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1:
            raise InputError(f"audit: a budget of {self.budget} value calls; a whole number >= 1 is needed")
        if self.label_error is not None and not (math.isfinite(self.label_error) and self.label_error >= 0):
            raise InputError(
                f"audit: a label error of {self.label_error}; a standard deviation >= 0 in target units is needed, or None to estimate it"
            )
        if not (0 < self.random_share < 1 and 0 <= self.search_share < 1 and self.random_share + self.search_share < 1):
            raise InputError(
                f"audit: random_share {self.random_share} and search_share {self.search_share}; shares in [0, 1) with a sum below 1 are needed"
            )
        if not 0.5 <= self.confidence < 1 or self.neighbours < 1 or self.refuted < 1:
            raise InputError(
                f"audit: confidence {self.confidence}, neighbours {self.neighbours}, refuted {self.refuted}; a confidence in [0.5, 1) and "
                "whole numbers >= 1 are needed"
            )

    @property
    def random_calls(self) -> int:
        """Value calls set aside, beforehand, for points drawn uniformly."""
        return max(1, min(self.budget, max(int(self.random_share * self.budget), min(PILOT, self.budget // 2))))

    @property
    def search_calls(self) -> int:
        """Value calls kept for the search."""
        return int(self.search_share * self.budget)
