"""The definition of `ops.train`: minibatch Adam on M networks at once, plain torch, in the state's dtype and on its device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import monotonic

import torch

from pybackdoor.ops.activation import value_and_derivative
from pybackdoor.ops.train.minibatch import minibatches
from pybackdoor.ops.train.schedule import learning_rate
from pybackdoor.ops.train.task import TrainingTask
from pybackdoor.records import TrainingHistory, TrainingPlan, TrainingState

_ROWS = 1 << 16  # rows times networks evaluated at once


def run(task: TrainingTask) -> tuple[TrainingState, TrainingHistory]:
    """Takes steps state.step + 1 .. until. The input state is not touched."""
    state, plan = task.state, task.plan
    parameters, first, second = (_flat(tensors) for tensors in (state.weights + state.biases, state.first_moments, state.second_moments))
    views = _views(parameters, state)  # follow `parameters` as it changes in place
    history = _History(task, views)
    history.after(state.step)
    for step, index in minibatches(task):
        losses, gradients = losses_and_gradients(task, views, index)
        _adam(plan, step, parameters, first, second, _flat(gradients))
        history.losses += losses
        history.after(step)
    layers = len(state.weights)
    final = TrainingState(tuple(views[:layers]), tuple(views[layers:]), tuple(_views(first, state)), tuple(_views(second, state)), task.until)
    return final, history.record()


def losses_and_gradients(task: TrainingTask, parameters: Sequence[torch.Tensor], index: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(1 / B) sum_i w_i loss(prediction_i - y_i) of each network over its rows `index` [M, B]: [M], and its gradient by every parameter."""
    layers = len(parameters) // 2
    weights, biases = parameters[:layers], parameters[layers:]
    inputs, slopes = [task.x[index]], []  # of each layer, [M, B, width]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        value, slope = value_and_derivative(task.activation, torch.baddbmm(bias[:, None, :], inputs[-1], weight.transpose(1, 2)))
        inputs.append(value)
        slopes.append(slope)
    errors = torch.baddbmm(biases[-1][:, None, :], inputs[-1], weights[-1].transpose(1, 2))[:, :, 0] - task.y[index]
    losses, delta = pointwise_loss(task.plan, errors)
    if task.sample_weights is not None:
        chosen = task.sample_weights[index] if task.sample_weights.ndim == 1 else task.sample_weights.gather(1, index)
        losses, delta = losses * chosen, delta * chosen
    delta = (delta / task.plan.batch_size)[:, :, None]
    by_weights, by_biases = [], []
    for layer in reversed(range(layers)):
        by_weights.append(torch.bmm(delta.transpose(1, 2), inputs[layer]))
        by_biases.append(delta.sum(1))
        if layer:
            delta = torch.bmm(delta, weights[layer]) * slopes[layer - 1]
    return losses.sum(1) / task.plan.batch_size, by_weights[::-1] + by_biases[::-1]


def outputs(parameters: Sequence[torch.Tensor], activation: str, x: torch.Tensor) -> torch.Tensor:
    """Outputs [M, N] of M networks (L weights, then L biases) at shared points x [N, d], in blocks."""
    layers, networks = len(parameters) // 2, parameters[0].shape[0]
    blocks = []
    for block in x.split(max(_ROWS // networks, 1)):
        values = block.expand(networks, -1, -1)
        for layer, (weight, bias) in enumerate(zip(parameters[:layers], parameters[layers:], strict=True)):
            values = torch.baddbmm(bias[:, None, :], values, weight.transpose(1, 2))
            if layer < layers - 1:
                values, _ = value_and_derivative(activation, values)
        blocks.append(values[:, :, 0])
    return torch.cat(blocks, 1)


def pointwise_loss(plan: TrainingPlan, error: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of "mse": error^2. "huber": error^2 / 2 up to huber_delta = h, beyond it h |error| - h^2 / 2. Each with its derivative by the error."""
    if plan.loss == "mse":
        return error.square(), 2 * error
    size, bounded = error.abs(), error.clamp(-plan.huber_delta, plan.huber_delta)
    return torch.where(size <= plan.huber_delta, error.square() / 2, plan.huber_delta * (size - plan.huber_delta / 2)), bounded


def _adam(plan: TrainingPlan, step: int, parameters: torch.Tensor, first: torch.Tensor, second: torch.Tensor, gradient: torch.Tensor) -> None:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019) on weights and biases alike, in place."""
    rate = learning_rate(plan, step)
    first.mul_(plan.beta1).add_(gradient, alpha=1 - plan.beta1)
    second.mul_(plan.beta2).addcmul_(gradient, gradient, value=1 - plan.beta2)
    scale = second.sqrt().mul_(1 / math.sqrt(1 - plan.beta2**step)).add_(plan.epsilon)
    if plan.weight_decay:
        parameters.mul_(1 - rate * plan.weight_decay)
    parameters.addcdiv_(first, scale, value=-rate / (1 - plan.beta1**step))


class _History:
    """Collects losses and snapshots while the steps go by."""

    def __init__(self, task: TrainingTask, parameters: Sequence[torch.Tensor]) -> None:
        self.task, self.parameters = task, parameters
        self.losses = task.x.new_zeros(task.state.networks)
        self._since, self._called = task.state.step, monotonic()
        self._steps, self._due = task.report_steps(), set(task.report_steps())
        self._training: list[torch.Tensor] = []
        self._validation: list[torch.Tensor] = []
        self._snapshots: dict[int, torch.Tensor] = {}

    def after(self, step: int) -> None:
        """Takes what is due after `step`."""
        task = self.task
        reports = step in self._due
        if reports:
            self._training.append(self.losses / (step - self._since))
            self.losses, self._since = torch.zeros_like(self.losses), step
            if task.validation_rows:
                self._validation.append(validation_loss(task, self.parameters))
        if step in task.snapshot_steps:
            self._snapshots[step] = task.y - outputs(self.parameters, task.activation, task.x)
        if task.progress is not None and (reports or monotonic() - self._called > 0.1):
            self._called = monotonic()
            task.progress(step)

    def record(self) -> TrainingHistory:
        empty = self.losses.new_zeros(0, self.task.state.networks)
        training = torch.stack(self._training) if self._training else empty
        validation = None if not self.task.validation_rows else torch.stack(self._validation) if self._validation else empty
        return TrainingHistory(torch.tensor(self._steps, dtype=torch.int64), training, validation, self._snapshots)


def validation_loss(task: TrainingTask, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """Weighted mean loss of each network over its validation rows: [M]."""
    losses = []
    for network, rows in enumerate(task.validation_rows):
        one = [parameter[network : network + 1] for parameter in parameters]
        loss, _ = pointwise_loss(task.plan, outputs(one, task.activation, task.x[rows])[0] - task.y[rows])
        if task.sample_weights is None:
            losses.append(loss.mean())
        else:
            weights = task.sample_weights.expand(task.state.networks, -1)[network, rows]
            losses.append((weights * loss).sum() / weights.sum())
    return torch.stack(losses)


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _views(flat: torch.Tensor, state: TrainingState) -> list[torch.Tensor]:
    """The tensors of `state` (weights, then biases) as views of `flat`."""
    shapes = [tensor.shape for tensor in state.weights + state.biases]
    return [part.view(shape) for part, shape in zip(flat.split([shape.numel() for shape in shapes]), shapes, strict=True)]


class ReferenceBackend:
    """Plain torch, for any device."""

    def unsupported(self, device: torch.device, *, dtype: torch.dtype, widths: tuple[int, ...] = (), largest: int = 0) -> str | None:
        """Why a call cannot be served: never."""
        return None

    def train(self, task: TrainingTask) -> tuple[TrainingState, TrainingHistory]:
        """What `run` defines."""
        with torch.no_grad():
            return run(task)


BACKEND = ReferenceBackend()
