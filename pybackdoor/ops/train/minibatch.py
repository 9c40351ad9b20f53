"""Which rows a step sees: a function of seed, stream and step alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pybackdoor.ops.philox.reference import bijection, round_keys
from pybackdoor.ops.train.task import TrainingTask
from pybackdoor.records import TrainingPlan

PURPOSE = "minibatch"
_CHUNK = 64  # steps drawn at once


def minibatch(plan: TrainingPlan, first: int, count: int, rows: int, stream: int) -> torch.Tensor:
    """Positions, among a network's `rows` rows, of the minibatches of steps first + 1 .. first + count: [count, B] int64.

    Step s reads entries (s - 1) B .. s B - 1 of the endless sequence of epochs; epoch e is the keyed bijection number e of 0 .. rows - 1.
    """
    entries = np.arange(first * plan.batch_size, (first + count) * plan.batch_size, dtype=np.uint64)
    epochs, which = np.unique(entries // np.uint64(rows), return_inverse=True)
    keys = round_keys(epochs, seed=plan.seed, purpose=PURPOSE, stream=stream)  # [8, epochs]
    positions = bijection(entries % np.uint64(rows), rows, keys[:, which])
    return torch.from_numpy(positions.astype(np.int64)).reshape(count, plan.batch_size)


def minibatches(task: TrainingTask) -> Iterator[tuple[int, torch.Tensor]]:
    """(step, row numbers [M, B]) of every step of the range."""
    for start in range(task.state.step, task.until, _CHUNK):
        count = min(_CHUNK, task.until - start)
        drawn = [
            rows[minibatch(task.plan, start, count, rows.shape[0], stream).to(rows.device)]
            for rows, stream in zip(task.rows, task.streams, strict=True)
        ]
        for offset, index in enumerate(torch.stack(drawn, 1).unbind(0)):
            yield start + offset + 1, index
