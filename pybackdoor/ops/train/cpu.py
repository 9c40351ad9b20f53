"""The native CPU backend: whole ranges of steps in one call, a network a core."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pybackdoor.ops.train.native import native_plan
from pybackdoor.ops.train.task import TrainingTask
from pybackdoor.records import ACTIVATIONS, TrainingHistory, TrainingState
from pybackdoor.settings import instruction_set


class CpuBackend:
    """Kernels of the extension module, at the widest instruction set or the one PYBACKDOOR_ISA names."""

    def unsupported(self, device: torch.device, *, dtype: torch.dtype, widths: tuple[int, ...] = (), largest: int = 0) -> str | None:
        """Why a call cannot be served, or None."""
        if device.type != "cpu":
            return f"the tensors are on {device}"
        try:
            native = importlib.import_module("pybackdoor._native")
        except ImportError as error:
            return f"the native module cannot be imported ({error}); build it with 'pip install .'"
        return None if hasattr(native, "train") else "the native module is older than this file; build it again with 'pip install .'"

    def train(self, task: TrainingTask) -> tuple[TrainingState, TrainingHistory]:
        """What `reference.run` defines. Subnormal numbers are flushed to zero."""
        native = importlib.import_module("pybackdoor._native")
        state, networks = task.state, task.state.networks
        parameters, first, second = (_copies(tensors) for tensors in (state.weights + state.biases, state.first_moments, state.second_moments))
        reports = task.report_steps()
        snapshots = sorted({step for step in task.snapshot_steps if state.step <= step <= task.until})
        training = np.empty((len(reports), networks))
        validation = np.empty_like(training) if task.validation_rows else None
        residuals = np.empty((len(snapshots), networks, task.x.shape[0]), dtype=task.x.numpy().dtype)
        native.train(
            {
                "widths": [state.weights[0].shape[2], *(weight.shape[1] for weight in state.weights)],
                "activation": ACTIVATIONS.index(task.activation),
                "plan": native_plan(task.plan),
                "x": task.x.numpy(),
                "y": task.y.numpy(),
                "weights": None if task.sample_weights is None else task.sample_weights.contiguous().numpy(),
                "rows": [rows.contiguous().numpy() for rows in task.rows],
                "validation": [rows.contiguous().numpy() for rows in task.validation_rows],
                "streams": task.streams,
                "parameters": parameters,
                "first": first,
                "second": second,
                "start": state.step,
                "until": task.until,
                "reports": reports,
                "snapshots": snapshots,
                "training_loss": training,
                "validation_loss": validation,
                "residuals": residuals,
                "threads": task.threads,
                "instruction_set": instruction_set() or "",
                "progress": task.progress,
            }
        )
        if task.progress is not None:
            task.progress(task.until)
        layers, dtype = len(state.weights), task.x.dtype
        tensors = _tensors(parameters)
        history = TrainingHistory(
            torch.tensor(reports, dtype=torch.int64),
            torch.from_numpy(training).to(dtype),
            None if validation is None else torch.from_numpy(validation).to(dtype),
            {step: torch.from_numpy(block) for step, block in zip(snapshots, residuals, strict=True)},
        )
        return TrainingState(tensors[:layers], tensors[layers:], _tensors(first), _tensors(second), task.until), history


def _tensors(arrays: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def _copies(tensors: Sequence[torch.Tensor]) -> list[Any]:
    return [tensor.detach().clone(memory_format=torch.contiguous_format).numpy() for tensor in tensors]


BACKEND = CpuBackend()
