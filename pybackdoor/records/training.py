"""Plan, state and history of `ops.train`: M networks of one shape, minibatch Adam, state in and state out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pybackdoor.errors import InputError

SCHEDULES = ("one_cycle", "cosine", "constant")
LOSSES = ("mse", "huber")


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that fixes a training besides data and start: a function of it, the data and the seed alone.

    steps: total minibatch steps T the schedule is laid out for; batch_size: rows a step (the last batch of an epoch is filled from the next
    epoch's permutation);
    learning_rate: the peak; schedule: "one_cycle" (linear warm-up over `warmup` of the steps, then cosine to learning_rate * final_fraction),
    "cosine" or "constant";
    beta1, beta2, epsilon: Adam; weight_decay: decoupled (AdamW); loss: "mse" or "huber" (threshold huber_delta, in scaled target units);
    seed: key of the minibatch bijection.
    """

    steps: int
    batch_size: int = 256
    learning_rate: float = 3e-3
    schedule: str = "one_cycle"
    warmup: float = 0.1
    final_fraction: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    loss: str = "mse"
    huber_delta: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise InputError(f"training plan: steps {self.steps} and batch_size {self.batch_size}; steps >= 0 and batch_size >= 1 are needed")
        if self.schedule not in SCHEDULES or self.loss not in LOSSES:
            raise InputError(f"training plan: schedule {self.schedule!r} and loss {self.loss!r}; one of {SCHEDULES} and one of {LOSSES} are needed")
        if not (
            self.learning_rate > 0
            and 0 <= self.warmup < 1
            and 0 <= self.final_fraction <= 1
            and self.huber_delta > 0
            and self.epsilon > 0
            and 0 <= self.beta1 < 1
            and 0 <= self.beta2 < 1
            and self.weight_decay >= 0
        ):
            raise InputError(f"training plan: a rate or moment is out of range in {self}")


@dataclass(frozen=True)
class TrainingState:
    """M networks of one shape between two steps.

    weights: L tensors [M, width_l, width_{l-1}]; biases: L tensors [M, width_l]; first and second Adam moments in the same order (weights, then
    biases);
    step: minibatch steps taken so far. Inputs and targets are those of the data given to `ops.train`, already scaled.
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    first_moments: tuple[torch.Tensor, ...]
    second_moments: tuple[torch.Tensor, ...]
    step: int = 0

    @property
    def networks(self) -> int:
        """The number of networks, M."""
        return int(self.weights[0].shape[0])


@dataclass(frozen=True)
class TrainingHistory:
    """What a range of steps reports, per network.

    steps: [S] the steps (1-based, counted from the plan's start) after which the losses below were taken;
    training_loss [S, M]: mean minibatch loss since the previous entry; validation_loss [S, M] or None: weighted mean loss over the validation rows;
    snapshots: {step: residuals [M, N]} target minus prediction over all rows, at the steps asked for.
    """

    steps: torch.Tensor
    training_loss: torch.Tensor
    validation_loss: torch.Tensor | None
    snapshots: dict[int, torch.Tensor]
