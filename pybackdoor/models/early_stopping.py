"""The training loop of a fit: one call of `ops.train`, or, with validation rows, many, of which the best state is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pybackdoor.models.fit_config import FitConfig
from pybackdoor.models.scaling import network_inputs
from pybackdoor.ops.train import train
from pybackdoor.records import Network, Samples, TrainingHistory, TrainingPlan, TrainingState

CHECKS = 50  # how often, at most, the validation loss is looked at over a whole fit


@dataclass(frozen=True)
class FitTask:
    """One network's share of a fit; row numbers count within its own samples."""

    samples: Samples
    network: Network  # the scaling, and, when fine-tuning, the weights to start from
    weights: torch.Tensor | None
    train_rows: torch.Tensor
    validation_rows: torch.Tensor
    stream: int


def trained(state: TrainingState, plan: TrainingPlan, tasks: list[FitTask], config: FitConfig, progress: Callable[[int], None]) -> TrainingState:
    """The state after the plan, or, with validation rows, each network's state of the lowest validation loss."""
    data, offsets = _joined(tasks)
    held = [task.validation_rows + offset for task, offset in zip(tasks, offsets, strict=True)]
    validates = all(rows.shape[0] for rows in held)

    def advance(state: TrainingState, until: int) -> tuple[TrainingState, TrainingHistory]:
        return train(
            state,
            plan,
            data.x,
            data.y,
            activation=config.activation,
            until=until,
            sample_weights=data.weights,
            rows=[task.train_rows + offset for task, offset in zip(tasks, offsets, strict=True)],
            validation_rows=held if validates else None,
            streams=[task.stream for task in tasks],
            progress=progress,
        )

    if not validates:
        return advance(state, plan.steps)[0]
    stopper = _EarlyStop(state, patience=config.patience * plan.steps / config.epochs)
    while state.step < plan.steps and not stopper.stops(state.step):
        state, history = advance(state, min(state.step + max(plan.steps // CHECKS, 1), plan.steps))
        assert history.validation_loss is not None
        stopper.see(state, history.validation_loss[-1])
    return stopper.best


class _EarlyStop:
    """Keeps, for each network, the weights of its lowest validation loss; stops when none has improved for `patience` steps (0: never)."""

    def __init__(self, state: TrainingState, *, patience: float) -> None:
        self.best = state
        self.patience = patience
        self.losses = torch.full((state.networks,), torch.inf, device=state.weights[0].device)
        self.improved = state.step

    def see(self, state: TrainingState, losses: torch.Tensor) -> None:
        better = losses < self.losses  # NaN never is
        if bool(better.any()):
            self.improved = state.step
        self.losses = torch.where(better, losses, self.losses)

        def kept(new: tuple[torch.Tensor, ...], old: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return tuple(torch.where(better.reshape(-1, *[1] * (fresh.ndim - 1)), fresh, stale) for fresh, stale in zip(new, old, strict=True))

        self.best = replace(self.best, weights=kept(state.weights, self.best.weights), biases=kept(state.biases, self.best.biases))

    def stops(self, step: int) -> bool:
        return 0 < self.patience <= step - self.improved


@dataclass(frozen=True)
class _Data:
    x: torch.Tensor
    y: torch.Tensor
    weights: torch.Tensor | None


def _joined(tasks: list[FitTask]) -> tuple[_Data, list[int]]:
    """All rows of all tasks as their networks see them, one after the other, and where each task's rows begin."""
    x = torch.cat([network_inputs(task.network, task.samples) for task in tasks])
    y = torch.cat([(task.samples.y - task.network.output_shift) / task.network.output_scale for task in tasks])
    weights = [task.weights / task.weights[task.train_rows].mean() for task in tasks if task.weights is not None]  # mean 1 leaves the step size alone
    counts = [task.samples.count for task in tasks]
    return _Data(x, y, torch.cat(weights) if weights else None), [sum(counts[:position]) for position in range(len(counts))]
