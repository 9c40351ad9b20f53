"""A checked call of `ops.train`, as every backend receives it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pybackdoor.arrays import as_points, as_values
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.records import ACTIVATIONS, TrainingPlan, TrainingState


@dataclass(frozen=True)
class TrainingTask:
    """N rows, M networks, steps state.step + 1 .. until; tensors on one device, in the state's dtype.

    rows: M index vectors, int64; sample_weights: [N], [M, N] or None; validation_rows: M index vectors, one for all, or none;
    report_every: steps between two entries of the history, or None: only at the end; streams: M keys of the minibatch bijection.
    """

    state: TrainingState
    plan: TrainingPlan
    x: torch.Tensor
    y: torch.Tensor
    activation: str
    until: int
    rows: tuple[torch.Tensor, ...]
    sample_weights: torch.Tensor | None
    validation_rows: tuple[torch.Tensor, ...]
    report_every: int | None
    snapshot_steps: tuple[int, ...]
    streams: tuple[int, ...]
    progress: Callable[[int], None] | None
    threads: int

    def report_steps(self) -> list[int]:
        """The steps after which the history has an entry: multiples of report_every, and the last."""
        every, first = self.report_every, self.state.step + 1
        steps = [] if every is None else list(range(-(-first // every) * every, self.until, every))
        return [*steps, self.until] if self.until >= first else []


def checked_state(state: Any, activation: str) -> TrainingState:
    """`state`, when its tensors form M networks of one shape, dtype and device."""
    if not isinstance(state, TrainingState):
        raise InputTypeError(f"state: got {type(state).__name__}; the TrainingState of initial_state or of an earlier train is needed")
    if activation not in ACTIVATIONS:
        raise InputError(f"train: unknown activation {activation!r}; one of {', '.join(ACTIVATIONS)} is needed")
    parameters = (*state.weights, *state.biases)
    if not state.weights or len(state.weights) != len(state.biases) or not len(parameters) == len(state.first_moments) == len(state.second_moments):
        raise InputError(
            f"state: {len(state.weights)} weights, {len(state.biases)} biases, {len(state.first_moments)} first and "
            f"{len(state.second_moments)} second moments; L, L, 2L and 2L tensors are needed, L >= 1"
        )
    first = state.weights[0]
    if first.dtype not in (torch.float32, torch.float64):
        raise InputError(f"state: dtype {first.dtype}; float32 or float64 is needed")
    width = first.shape[2] if first.ndim == 3 else -1
    for layer, (weight, bias) in enumerate(zip(state.weights, state.biases, strict=True)):
        if weight.ndim != 3 or weight.shape[0] != first.shape[0] or weight.shape[2] != width or bias.shape != weight.shape[:2]:
            raise InputError(
                f"state: layer {layer} has weights {tuple(weight.shape)} and biases {tuple(bias.shape)}; "
                f"[M, width, {width}] and [M, width] are needed"
            )
        width = weight.shape[1]
    if width != 1 or first.shape[0] < 1:
        raise InputError(f"state: {first.shape[0]} networks of {width} outputs; at least one network, of one output, is needed")
    for parameter, *moments in zip(parameters, state.first_moments, state.second_moments, strict=True):
        for tensor in (parameter, *moments):
            if tensor.shape != parameter.shape or tensor.dtype != first.dtype or tensor.device != first.device:
                raise InputError(
                    f"state: a tensor of shape {tuple(tensor.shape)}, {tensor.dtype}, on {tensor.device}; "
                    f"{tuple(parameter.shape)}, {first.dtype}, on {first.device} is needed"
                )
    return state


def checked_data(state: TrainingState, x: Any, y: Any, sample_weights: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The data [N, d], [N] and the sample weights, finite, in the state's dtype."""
    like = state.weights[0]
    points = as_points(x, like.shape[2], "x")
    values = as_values(y, points.shape[0], "y")
    if points.shape[0] < 1:
        raise InputError("x: no rows; at least one is needed to train on")
    weights = None
    if sample_weights is not None:
        weights = as_points(sample_weights, points.shape[0], "sample_weights")
        if weights.shape[0] not in (1, state.networks):
            raise InputError(
                f"sample_weights: got shape {tuple(weights.shape)}; [{points.shape[0]}] or [{state.networks}, {points.shape[0]}] is needed"
            )
        if bool((weights < 0).any()):
            raise InputError(f"sample_weights: {int((weights < 0).sum())} are negative; weights >= 0 are needed")
        weights = weights[0] if weights.shape[0] == 1 else weights
    for name, tensor in (("x", points), ("y", values), ("sample_weights", weights)):
        if tensor is not None and tensor.device != like.device:
            raise InputError(f"{name}: on {tensor.device}, but the state is on {like.device}; move one of them")
    return points.to(like.dtype), values.to(like.dtype), None if weights is None else weights.to(like.dtype)


def checked_rows(rows: Any, count: int, networks: int, name: str, device: torch.device) -> tuple[torch.Tensor, ...]:
    """M index vectors from M vectors, or from one that all networks share; each names at least one of `count` rows."""
    shared = isinstance(rows, torch.Tensor) or (isinstance(rows, Sequence) and len(rows) > 0 and not hasattr(rows[0], "__len__"))
    if shared:
        return (_checked_index(torch.as_tensor(rows, device=device), count, f"{name}[0]"),) * networks
    vectors = list(rows)
    if len(vectors) != networks:
        raise InputError(f"{name}: got {len(vectors)} index vectors for {networks} networks; one each, or one vector for all, is needed")
    return tuple(_checked_index(torch.as_tensor(vector, device=device), count, f"{name}[{number}]") for number, vector in enumerate(vectors))


def _checked_index(index: torch.Tensor, count: int, name: str) -> torch.Tensor:
    if index.ndim != 1 or index.numel() == 0 or index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise InputError(f"{name}: got shape {tuple(index.shape)} of {index.dtype}; a non-empty vector of row numbers is needed")
    index = index.to(torch.int64)
    if int(index.min()) < 0 or int(index.max()) >= count:
        raise InputError(f"{name}: row numbers from {int(index.min())} to {int(index.max())}; the data have rows 0 to {count - 1}")
    return index


def checked_step(value: Any, lowest: int, highest: int, name: str) -> int:
    """`value` as a whole number in [lowest, highest]."""
    try:
        step = operator.index(value)
    except TypeError as error:
        raise InputError(f"{name}: got {value!r}; a whole number is needed") from error
    if not lowest <= step <= highest:
        raise InputError(f"{name}: got {step}; a whole number from {lowest} to {highest} is needed")
    return step
