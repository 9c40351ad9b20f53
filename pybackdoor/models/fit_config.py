"""What fixes a fit besides the samples and the start."""

from __future__ import annotations

from dataclasses import dataclass

from pybackdoor.errors import InputError
from pybackdoor.records import ACTIVATIONS, TrainingPlan


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted; the result is a function of this, the samples and the start alone.

    widths: of the hidden layers; activation: a name of `records.ACTIVATIONS`;
    epochs: passes over the training rows that the learning-rate schedule is laid out for; least_steps: minibatch steps to take even when the rows are
    so few that the epochs make fewer; batch_size: rows a step; learning_rate: its peak, Adam; schedule: "one_cycle", "cosine" or "constant";
    weight_decay: decoupled; loss: "mse" or "huber" (threshold huber_delta, in standard deviations of the target);
    validation_fraction: share of the rows held out; with any, the state of the lowest validation loss is kept;
    patience: epochs without a lower validation loss after which the fit stops; 0: never; seed: of the start, the minibatches and the split.
    """

    widths: tuple[int, ...] = (64, 64, 64, 64)
    activation: str = "silu"
    epochs: int = 100
    least_steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 1e-2
    schedule: str = "one_cycle"
    weight_decay: float = 0.0
    loss: str = "mse"
    huber_delta: float = 1.0
    validation_fraction: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if any(width < 1 for width in self.widths):
            raise InputError(f"fit: widths {self.widths}; whole numbers >= 1 are needed (none at all is a linear model)")
        if self.activation not in ACTIVATIONS:
            raise InputError(f"fit: activation {self.activation!r}; one of {', '.join(ACTIVATIONS)} is needed")
        if self.epochs < 1 or self.patience < 0 or self.least_steps < 0:
            raise InputError(
                f"fit: epochs {self.epochs}, patience {self.patience} and least_steps {self.least_steps}; epochs >= 1 and the others >= 0 are needed"
            )
        if not 0 <= self.validation_fraction < 1:
            raise InputError(f"fit: validation_fraction {self.validation_fraction}; a number in [0, 1) is needed")
        if self.patience and not self.validation_fraction:
            raise InputError(f"fit: patience {self.patience} needs validation rows; give validation_fraction > 0 as well")
        self.plan(1)

    def plan(self, rows: int) -> TrainingPlan:
        """The plan of minibatch steps that this configuration stands for, for `rows` training rows."""
        batch = min(self.batch_size, rows)
        steps = max(self.epochs * -(-rows // max(batch, 1)), self.least_steps)
        return TrainingPlan(
            steps,
            batch,
            self.learning_rate,
            self.schedule,
            weight_decay=self.weight_decay,
            loss=self.loss,
            huber_delta=self.huber_delta,
            seed=self.seed,
        )
