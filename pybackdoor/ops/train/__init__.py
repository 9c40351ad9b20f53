"""Training of M networks of one shape by minibatch Adam: state in, state out, the same bits however the range of steps is split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.ops.backends import choose
from pybackdoor.ops.train.start import initial_state
from pybackdoor.ops.train.task import TrainingTask, checked_data, checked_rows, checked_state, checked_step
from pybackdoor.records import TrainingHistory, TrainingPlan, TrainingState
from pybackdoor.registry import Registry
from pybackdoor.settings import threads as default_threads
from pybackdoor.stages import staged

__all__ = ["BACKENDS", "ORDER", "initial_state", "train"]

BACKENDS = Registry(
    "train backend",
    {
        "cpu": "pybackdoor.ops.train.cpu:BACKEND",
        "cuda": "pybackdoor.ops.train.cuda:BACKEND",
        "cuda_tf32x3": "pybackdoor.ops.train.cuda:TENSOR_BACKEND",
        "reference": "pybackdoor.ops.train.reference:BACKEND",
    },
)
ORDER = ("cuda", "cpu", "reference")  # a device leaves some of them; of those, the fastest first. cuda_tf32x3 serves when it is named


@staged("train")
def train(
    state: TrainingState,
    plan: TrainingPlan,
    x: Any,
    y: Any,
    *,
    activation: str,
    until: int | None = None,
    rows: Any = None,
    sample_weights: Any = None,
    validation_rows: Any = None,
    report_every: int | None = None,
    snapshot_steps: Iterable[int] = (),
    streams: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
    threads: int | None = None,
) -> tuple[TrainingState, TrainingHistory]:
    """The state after steps state.step + 1 .. until of `plan`, and what happened on the way. `state` itself is not changed.

    Step s of network m takes the plan's batch_size rows B = (s - 1) b .. s b - 1 of the endless sequence of keyed bijections of that network's rows
    (a function of plan.seed, streams[m] and s alone), and makes one Adam step, with decoupled weight decay of weights and biases alike, down
    (1 / b) sum over B of w_i loss(prediction_i - y_i): dividing by the batch size and not by the weights keeps the step an unbiased one for the whole
    weighted sum, and a batch of zero weights harmless. loss(e) is e^2 ("mse"), or e^2 / 2 turning linear at huber_delta ("huber").

    x [N, d], y [N]: the data, already scaled, finite, on the state's device; computed with in the state's dtype, float32 or float64.
    until: the step to stop after, state.step .. plan.steps (default: plan.steps).
    rows: M vectors of row numbers (lengths may differ, numbers may repeat), or one for all networks; default: all rows.
    sample_weights: [N] or [M, N], >= 0. validation_rows: one vector of row numbers, or M: their weighted mean loss goes into the history.
    report_every: steps between two entries of the history; the last step of the range has an entry always.
    snapshot_steps: steps after which the residuals y - prediction of all N rows are kept, [M, N]; those outside state.step .. until are passed over.
    streams: M Philox streams, default 0 .. M - 1. progress: called with the step, about ten times a second and at each entry.
    backend: "auto", "cuda" (float32 on a GPU), "cuda_tf32x3" (products on its tensor cores, close to float32), "cpu" or "reference".
    threads: of the "cpu" backend (default: `settings.threads()`); the result does not depend on it.

    Interrupted (Ctrl-C, an exception in `progress`), it raises and leaves nothing half-done: the state it was given stays valid.
    Training that diverges goes on and reports NaN. Raises InputError for input that does not fit together, UnsupportedError for a named backend
    that cannot serve the call.
    Cost: about 6 P b operations a step and network with P weights.

    >>> plan = TrainingPlan(steps=200, batch_size=32)
    >>> x = torch.rand(500, 2, dtype=torch.float64)
    >>> state = initial_state((2, 32, 32, 1), "silu", networks=2)
    >>> state, history = train(state, plan, x, x.prod(1), activation="silu")
    """
    task = _task(
        checked_state(state, activation),
        plan,
        x,
        y,
        activation=activation,
        until=until,
        rows=rows,
        sample_weights=sample_weights,
        validation_rows=validation_rows,
        report_every=report_every,
        snapshot_steps=snapshot_steps,
        streams=streams,
        progress=progress,
        threads=threads,
    )
    widths = (task.x.shape[1], *(weight.shape[1] for weight in state.weights))
    largest = max(task.x.shape[0], plan.batch_size)
    return choose("train", BACKENDS, ORDER, backend, task.x.device, dtype=task.x.dtype, widths=widths, largest=largest).train(task)


def _task(
    state: TrainingState,
    plan: TrainingPlan,
    x: Any,
    y: Any,
    *,
    activation: str,
    until: int | None,
    rows: Any,
    sample_weights: Any,
    validation_rows: Any,
    report_every: int | None,
    snapshot_steps: Iterable[int],
    streams: Sequence[int] | None,
    progress: Callable[[int], None] | None,
    threads: int | None,
) -> TrainingTask:
    if not isinstance(plan, TrainingPlan):
        raise InputTypeError(f"plan: got {type(plan).__name__}; a TrainingPlan is needed")
    points, values, weights = checked_data(state, x, y, sample_weights)
    count, networks, device = points.shape[0], state.networks, points.device
    stop = checked_step(plan.steps if until is None else until, 0, plan.steps, "until")
    if not 0 <= state.step <= stop:
        raise InputError(f"until: got {stop}, but the state has taken {state.step} steps already; a later step is needed")
    numbers = tuple(range(networks)) if streams is None else tuple(checked_step(stream, 0, 2**32 - 1, "streams") for stream in streams)
    if len(numbers) != networks:
        raise InputError(f"streams: got {len(numbers)} for {networks} networks; one each is needed")
    chosen = checked_rows(torch.arange(count) if rows is None else rows, count, networks, "rows", device)
    held = () if validation_rows is None else checked_rows(validation_rows, count, networks, "validation_rows", device)
    for network, index in enumerate(held):
        if weights is not None and not bool(weights.expand(networks, -1)[network, index].sum() > 0):
            raise InputError(f"validation_rows[{network}]: all its sample weights are 0; at least one positive weight is needed")
    return TrainingTask(
        state=state,
        plan=plan,
        x=points.contiguous(),
        y=values.contiguous(),
        activation=activation,
        until=stop,
        rows=chosen,
        sample_weights=weights,
        validation_rows=held,
        report_every=None if report_every is None else checked_step(report_every, 1, 2**62, "report_every"),
        snapshot_steps=tuple(checked_step(step, 0, plan.steps, "snapshot_steps") for step in snapshot_steps),
        streams=numbers,
        progress=progress,
        threads=default_threads() if threads is None else checked_step(threads, 1, 1024, "threads"),
    )
