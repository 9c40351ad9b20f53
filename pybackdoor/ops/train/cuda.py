"""The CUDA backend: a multiprocessor trains a network, launched in slices on the caller's device and stream (csrc/cuda/train_block.cuh)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from time import monotonic
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from pybackdoor.ops.train.native import native_plan
from pybackdoor.ops.train.reference import pointwise_loss
from pybackdoor.ops.train.task import TrainingTask
from pybackdoor.records import ACTIVATIONS, TrainingHistory, TrainingState

_SLICE = 0.05  # seconds of steps in a launch; two are under way, so an interrupt waits for a tenth of a second
_SCALARS = 1 << 14  # steps whose learning rates are sent at once


class CudaBackend:
    """Serves float32 calls on CUDA tensors; with `tensor`, the products are computed on tensor cores, as three in TF32 for one, close to float32."""

    def __init__(self, tensor: bool = False) -> None:
        self.tensor = tensor

    def unsupported(self, device: torch.device, *, dtype: torch.dtype, widths: tuple[int, ...] = (), largest: int = 0) -> str | None:
        """Why a call cannot be served here, or None. widths: inputs, hidden widths, 1; largest: of the rows and the batch."""
        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built without CUDA"
        if not torch.cuda.is_available():
            return f"torch finds no device or driver for CUDA {torch.version.cuda}"
        if device.type != "cuda":
            return f"the tensors lie on {device}"
        if dtype != torch.float32:
            return f"it trains in float32, not {dtype}"
        if largest >= 2**31:
            return f"it numbers rows in 31 bits; {largest} are too many"
        try:
            module = native()
        except ImportError as error:
            return f"the CUDA module cannot be loaded ({error}); install the package with nvcc on the PATH and PYBACKDOOR_CUDA=ON"
        if not hasattr(module, "train"):
            return "the CUDA module is older than this file; build it again with 'pip install .'"
        if torch.cuda.get_device_capability(device) < (8, 0):
            return f"{torch.cuda.get_device_name(device)} is older than the architectures compiled for ({module.targets})"
        if not widths:
            return None
        index = torch.cuda.current_device() if device.index is None else device.index
        reason = _shape(widths, ACTIVATIONS[0]).refusal(module.limits(index)[1])
        return None if reason is None else f"{reason}; these have widths {widths}"

    def train(self, task: TrainingTask) -> tuple[TrainingState, TrainingHistory]:
        """What `reference.run` defines."""
        with torch.no_grad(), torch.cuda.device(task.x.device):
            return _Training(task, self.tensor).run()


class _Training:
    """The packed state on the device, and what the launches need."""

    def __init__(self, task: TrainingTask, tensor: bool) -> None:
        module, state, device = native(), task.state, task.x.device
        widths = (state.weights[0].shape[2], *(weight.shape[1] for weight in state.weights))
        self.task, self.tensor, self.plan = task, tensor, native_plan(task.plan)
        self.multiprocessors, shared_bytes = module.limits(torch.cuda.current_device())
        self.shape = _shape(widths, task.activation)
        self.place = module.place_train(self.shape, task.plan.batch_size, shared_bytes)
        self.places = torch.from_numpy(module.train_places(self.shape)).to(device)
        sets = (state.weights + state.biases, state.first_moments, state.second_moments)
        self.parameters, self.first, self.second = (self._packed(tensors) for tensors in sets)
        self.losses = task.x.new_zeros(state.networks, 2)
        self.workspace = task.x.new_zeros(max(1, state.networks * self.place.workspace_floats))
        self.weights = None if task.sample_weights is None else task.sample_weights.contiguous()
        self.rows, self.sources = _sources(task.rows, task.streams)
        self.scalars, self._scalars_from = task.x.new_zeros(0, 8), 0
        self.history = _History(self)

    def run(self) -> tuple[TrainingState, TrainingHistory]:
        """Launches slice after slice, each ending at the latest where something is due."""
        task, history, pace = self.task, self.history, _Pace(self.task)
        step = task.state.step
        history.after(step)
        while step < task.until:
            size = min(history.next_stop(step) - step, pace.size)
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self._launch(step, size)
            end.record()
            step += size
            pace.passed(step, size, begin, end, history.after(step))
        pace.finish()
        layers = len(task.state.weights)
        parameters, first, second = (self._unpacked(packed) for packed in (self.parameters, self.first, self.second))
        return TrainingState(parameters[:layers], parameters[layers:], first, second, task.until), history.record()

    def outputs(self, rows: torch.Tensor | None, sources: torch.Tensor, count: int) -> torch.Tensor:
        """Outputs [M, count] at each network's rows, 0 beyond their number; `rows` None: rows 0 .. count - 1."""
        networks = self.task.state.networks
        made = self.task.x.new_zeros(networks, count)
        tiles = -(-count // self.place.tile)
        chunks = max(1, min(tiles, -(-4 * self.multiprocessors // networks)))
        self._send({"rows": _address(rows), "sources": _address(sources), "outputs": made.data_ptr(), "outputs_step": count, "chunks": chunks})
        return made

    def _launch(self, step: int, size: int) -> None:
        if step + size > self._scalars_from + self.scalars.shape[0]:
            count = max(size, min(_SCALARS, self.task.until - step))
            self.scalars = torch.from_numpy(native().train_scalars(self.plan, step + 1, count)).to(self.task.x.device)
            self._scalars_from = step
        scalars = self.scalars.data_ptr() + 32 * (step - self._scalars_from)
        self._send({"start": step, "steps": size, "scalars": scalars})

    def _send(self, changes: dict[str, int]) -> None:
        weights = self.weights
        call = {
            "plan": self.plan,
            "tensor": self.tensor,
            "x": self.task.x.data_ptr(),
            "y": self.task.y.data_ptr(),
            "weights": _address(weights),
            "weights_step": weights.shape[1] if weights is not None and weights.ndim == 2 else 0,
            "rows": self.rows.data_ptr(),
            "sources": self.sources.data_ptr(),
            "parameters": self.parameters.data_ptr(),
            "first": self.first.data_ptr(),
            "second": self.second.data_ptr(),
            "workspace": self.workspace.data_ptr(),
            "losses": self.losses.data_ptr(),
            "networks": self.task.state.networks,
            "start": 0,
            "steps": 0,
            "scalars": 0,
            "outputs": 0,
            "outputs_step": 0,
            "chunks": 1,
            "stream": torch.cuda.current_stream().cuda_stream,
        }
        native().train(self.shape, self.place, call | changes)

    def _packed(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        packed = self.task.x.new_zeros(self.task.state.networks, self.place.numbers)
        packed[:, self.places] = torch.cat([tensor.reshape(tensor.shape[0], -1) for tensor in tensors], 1)
        return packed

    def _unpacked(self, packed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        like = self.task.state.weights + self.task.state.biases
        parts = packed[:, self.places].split([tensor[0].numel() for tensor in like], 1)
        return tuple(part.reshape(tensor.shape) for part, tensor in zip(parts, like, strict=True))


class _History:
    """Takes what is due after a step; all of it stays on the device."""

    def __init__(self, training: _Training) -> None:
        task = training.task
        self._training, self._task, self._since = training, task, task.state.step
        self._reports = task.report_steps()
        self._snapshots = {step for step in task.snapshot_steps if task.state.step <= step <= task.until}
        self._stops = sorted({*self._reports, *self._snapshots, task.until})
        self._next = 0
        self._losses: list[torch.Tensor] = []
        self._validation: list[torch.Tensor] = []
        self._residuals: dict[int, torch.Tensor] = {}
        self._held = _Validation(training) if task.validation_rows else None

    def next_stop(self, step: int) -> int:
        """The first step after `step` after which something is due."""
        while self._stops[self._next] <= step:
            self._next += 1
        return self._stops[self._next]

    def after(self, step: int) -> bool:
        """Takes what is due; whether the history got an entry."""
        task, training = self._task, self._training
        if step in self._snapshots:
            count = task.x.shape[0]
            sources = task.rows[0].new_tensor([[0, count, 0]]).expand(task.state.networks, 3).contiguous()
            self._residuals[step] = task.y - training.outputs(None, sources, count)
        if step == self._since or step != self._reports[len(self._losses)]:
            return False
        self._losses.append((training.losses.to(torch.float64).sum(1) / (step - self._since)).to(task.x.dtype))
        training.losses.zero_()
        self._since = step
        if self._held is not None:
            self._validation.append(self._held.loss())
        return True

    def record(self) -> TrainingHistory:
        empty = self._task.x.new_zeros(0, self._task.state.networks)
        validation = None if self._held is None else torch.stack(self._validation) if self._validation else empty
        losses = torch.stack(self._losses) if self._losses else empty
        return TrainingHistory(torch.tensor(self._reports, dtype=torch.int64), losses, validation, self._residuals)


class _Validation:
    """The weighted mean loss over each network's validation rows, summed in float64 and a fixed order."""

    def __init__(self, training: _Training) -> None:
        task, networks = training.task, training.task.state.networks
        self._training = training
        self._rows, self._sources = _sources(task.validation_rows, (0,) * networks)
        counts = self._sources[:, 1]
        shared = int(self._rows.numel()) == int(counts[0]) and bool((counts == counts[0]).all() & (self._sources[:, 0] == 0).all())
        first = task.validation_rows[0]
        self._index = first.expand(networks, -1) if shared else pad_sequence(list(task.validation_rows), batch_first=True)
        used = torch.arange(self._index.shape[1], device=first.device) < counts[:, None]
        self._weights = used.to(torch.float64)
        if task.sample_weights is not None:
            self._weights *= task.sample_weights.expand(networks, -1).gather(1, self._index)

    def loss(self) -> torch.Tensor:
        """[M]."""
        task = self._training.task
        outputs = self._training.outputs(self._rows, self._sources, self._index.shape[1])
        losses, _ = pointwise_loss(task.plan, outputs.to(torch.float64) - task.y[self._index])
        return ((self._weights * losses).sum(1) / self._weights.sum(1)).to(task.x.dtype)


class _Pace:
    """Keeps two launches under way, each about _SLICE long, and tells of progress. The numbers do not depend on the slices."""

    def __init__(self, task: TrainingTask) -> None:
        self.size = 1
        self._task, self._called = task, monotonic()
        self._under_way: tuple[int, int, torch.cuda.Event, torch.cuda.Event, bool] | None = None

    def passed(self, step: int, size: int, begin: torch.cuda.Event, end: torch.cuda.Event, reports: bool) -> None:
        """Called with a launch just made and the step it ends at; waits for the one before."""
        before, self._under_way = self._under_way, (step, size, begin, end, reports)
        if before is not None:
            self._wait(*before)

    def finish(self) -> None:
        """Waits for the last launch."""
        if self._under_way is not None:
            self._wait(*self._under_way)

    def _wait(self, step: int, size: int, begin: torch.cuda.Event, end: torch.cuda.Event, reports: bool) -> None:
        end.synchronize()
        seconds = max(begin.elapsed_time(end) / 1e3, 1e-6)
        self.size = max(1, min(int(size * _SLICE / seconds), 4 * size, _SCALARS))
        progress = self._task.progress
        if progress is not None and (reports or step == self._task.until or monotonic() - self._called > 0.1):
            self._called = monotonic()
            progress(step)


def native() -> Any:
    """The compiled module; ImportError where it was not built or cannot be loaded."""
    return importlib.import_module("pybackdoor._native_cuda")


def _shape(widths: tuple[int, ...], activation: str) -> Any:
    return native().TrainShape(widths[0], list(widths[1:-1]), ACTIVATIONS.index(activation))


def _address(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _sources(vectors: Sequence[torch.Tensor], streams: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """All row numbers, int32, each vector once, and [M, 3]: where a network's begin, how many there are, and its stream."""
    begins: dict[tuple[int, int, int], int] = {}
    parts, table, total = [], [], 0
    for vector, stream in zip(vectors, streams, strict=True):
        key = (vector.data_ptr(), vector.numel(), vector.stride(0))
        if key not in begins:
            begins[key] = total
            parts.append(vector)
            total += vector.numel()
        table.append((begins[key], vector.numel(), stream))
    return torch.cat(parts).to(torch.int32), torch.tensor(table, dtype=torch.int64).to(vectors[0].device)


BACKEND = CudaBackend()
TENSOR_BACKEND = CudaBackend(tensor=True)
