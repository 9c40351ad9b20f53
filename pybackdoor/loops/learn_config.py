"""How a surrogate is learned actively."""

from __future__ import annotations

from dataclasses import dataclass, field

from pybackdoor.errors import InputError
from pybackdoor.models import FitConfig

STRATEGIES = ("disagreement", "maximizers", "random")
REFITS = ("fine_tune", "retrain")


@dataclass(frozen=True)
class LearnConfig:
    """How a surrogate is learned. One oracle budget covers the start and every round; a test set is apart.

    strategy: "disagreement": rows where two networks of different starts disagree and data are far, no call spent on looking; "maximizers", the
    paper's: half of each round's calls go to a search for error maximizers, whose every answer becomes a row, the rest as before; "random": the
    continued Sobol sequence of the start, with one network.
    start: rows of the first design; budget: value calls in all; rounds: of asking and fitting again after the first fit.
    exploration: share of a round's rows that is space-filling; maximizer_share, sharpness: see `active.propose`.
    fit: of the first fit; refit: "fine_tune" from the last networks for `fine_tune_steps` minibatch steps, or "retrain" from scratch.
    target_error: stop when the test RMSE (without a test set: the error on a round's space-filling rows) is not larger. test_rows: of an independent
    test set, asked for once at the beginning. seed: of everything.
    """

    strategy: str = "disagreement"
    start: int = 1000
    budget: int = 5000
    rounds: int = 8
    exploration: float = 0.1
    maximizer_share: float = 0.0
    sharpness: float = 1.5
    fit: FitConfig = field(default_factory=FitConfig)
    refit: str = "fine_tune"
    fine_tune_steps: int = 1200
    target_error: float | None = None
    test_rows: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES or self.refit not in REFITS:
            raise InputError(f"learn: strategy {self.strategy!r} and refit {self.refit!r}; one of {STRATEGIES} and one of {REFITS} are needed")
        if not (2 <= self.start <= self.budget and self.rounds >= 0 and self.fine_tune_steps >= 1 and self.test_rows >= 0):
            raise InputError(
                f"learn: start {self.start}, budget {self.budget}, rounds {self.rounds}, fine_tune_steps {self.fine_tune_steps} and "
                f"test_rows {self.test_rows}; 2 <= start <= budget, fine_tune_steps >= 1 and the others >= 0 are needed"
            )
        if min(self.exploration, self.maximizer_share) < 0 or self.exploration + self.maximizer_share > 1 or self.sharpness < 0:
            raise InputError(
                f"learn: exploration {self.exploration}, maximizer_share {self.maximizer_share} and sharpness {self.sharpness}; numbers "
                ">= 0 are needed, the sum of the first two at most 1"
            )
        if self.target_error is not None and not self.target_error > 0:
            raise InputError(f"learn: target_error {self.target_error}; a positive number, in target units, or None is needed")

    def stream(self, step: int) -> int:
        """A seed for one round."""
        return self.seed + ((step + 1) << 20)
