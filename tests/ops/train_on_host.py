"""Stands in for the CUDA module's launches on the host, so that what surrounds them is tested without a device.

Packing, placement and the scalars of the steps are the compiled module's own; a launch reads and writes the memory it is given the addresses of.
"""

from __future__ import annotations

import contextlib
import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from pybackdoor.ops.train import cuda
from pybackdoor.ops.train.minibatch import minibatch
from pybackdoor.ops.train.reference import losses_and_gradients, outputs
from pybackdoor.records import ACTIVATIONS

H200 = (132, 227 * 1024)
NUMBERS = {torch.float32: (np.float32, 4), torch.int32: (np.int32, 4), torch.int64: (np.int64, 8)}


def at(address: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    kind, size = NUMBERS[dtype]
    count = int(np.prod(shape))
    memory = (ctypes.c_byte * (size * count)).from_address(address)
    return torch.from_numpy(np.frombuffer(memory, dtype=kind, count=count)).reshape(shape)


class HostModule:
    """`_native_cuda` with launches that run the reference; `sizes`: steps of each launch."""

    def __init__(self, module: Any, x: torch.Tensor, y: torch.Tensor) -> None:
        self.module, self.x, self.y = module, x, y
        self.sizes: list[int] = []

    def limits(self, device: int) -> tuple[int, int]:
        return H200

    def TrainShape(self, dimension: int, widths: list[int], activation: int) -> SimpleNamespace:
        made = self.module.TrainShape(dimension, widths, activation)
        return SimpleNamespace(made=made, widths=(dimension, *widths, 1), activation=ACTIVATIONS[activation])

    def place_train(self, shape: SimpleNamespace, batch_size: int, shared_bytes: int) -> Any:
        return self.module.place_train(shape.made, batch_size, shared_bytes)

    def train_places(self, shape: SimpleNamespace) -> Any:
        return self.module.train_places(shape.made)

    def train_scalars(self, plan: dict[str, Any], first: int, count: int) -> Any:
        return self.module.train_scalars(plan, first, count)

    def train(self, shape: SimpleNamespace, place: Any, call: dict[str, Any]) -> None:
        networks, places = call["networks"], torch.from_numpy(self.train_places(shape))
        sets = [at(call[name], (networks, place.numbers)) for name in ("parameters", "first", "second")]
        assert torch.equal(at(call["x"], self.x.shape), self.x)
        assert torch.equal(at(call["y"], self.y.shape), self.y)
        assert call["stream"] == 7
        sources = at(call["sources"], (networks, 3), torch.int64).tolist()
        rows = [
            torch.arange(count) if call["rows"] == 0 else at(call["rows"] + 4 * begin, (count,), torch.int32).long() for begin, count, _ in sources
        ]
        values = [sets[0][:, places], sets[1][:, places], sets[2][:, places]]
        if call["outputs"]:
            made = at(call["outputs"], (networks, call["outputs_step"]))
            for m, index in enumerate(rows):
                made[m, : index.numel()] = outputs(self.tensors(shape, values[0][m : m + 1]), shape.activation, self.x[index])[0]
            return
        self.sizes.append(call["steps"])
        losses = at(call["losses"], (networks, 2))
        scalars = at(call["scalars"], (call["steps"], 8)).tolist()
        for m in range(networks):
            for number in range(call["steps"]):
                batch = rows[m][minibatch(self.plan(call), call["start"] + number, 1, rows[m].numel(), sources[m][2])[0]]
                losses[m, 0] += self.step(shape, call, m, batch, [value[m] for value in values], scalars[number])
        for packed, value in zip(sets, values, strict=True):
            packed[:, places] = value

    def step(
        self, shape: SimpleNamespace, call: dict[str, Any], m: int, batch: torch.Tensor, sets: list[torch.Tensor], scalars: list[float]
    ) -> float:
        weights = None if call["weights"] == 0 else at(call["weights"] + 4 * m * call["weights_step"], (self.x.shape[0],))
        task = SimpleNamespace(x=self.x, y=self.y, activation=shape.activation, plan=self.plan(call), sample_weights=weights)
        loss, gradients = losses_and_gradients(task, self.tensors(shape, sets[0][None]), batch[None])
        gradient = torch.cat([part.reshape(-1) for part in gradients])
        keep_first, take_first, keep_second, take_second, second_scale, epsilon, rate, keep = scalars
        sets[1].mul_(keep_first).add_(gradient, alpha=take_first)
        sets[2].mul_(keep_second).addcmul_(gradient, gradient, value=take_second)
        sets[0].mul_(keep).addcdiv_(sets[1], sets[2].sqrt() * second_scale + epsilon, value=-rate)
        return float(loss[0])

    @staticmethod
    def plan(call: dict[str, Any]) -> SimpleNamespace:
        plan = call["plan"]
        return SimpleNamespace(
            batch_size=plan["batch_size"], seed=plan["seed"], loss="huber" if plan["huber"] else "mse", huber_delta=plan["huber_delta"]
        )

    @staticmethod
    def tensors(shape: SimpleNamespace, flat: torch.Tensor) -> list[torch.Tensor]:
        pairs = list(zip(shape.widths[1:], shape.widths[:-1], strict=True))
        parts = flat.split([a * b for a, b in pairs] + [a for a, _ in pairs], 1)
        return [part.reshape(1, *pair) for part, pair in zip(parts, pairs, strict=False)] + [part for part in parts[len(pairs) :]]


class HostEvent:
    """A millisecond lies between any two."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: HostEvent) -> float:
        return 1.0


def train_on_host(monkeypatch: Any, module: Any, x: torch.Tensor, y: torch.Tensor) -> HostModule:
    """Makes backend "cuda" serve CPU tensors x, y through a HostModule."""
    host = HostModule(module, x, y)
    monkeypatch.setattr(cuda, "native", lambda: host)
    monkeypatch.setattr(cuda.CudaBackend, "unsupported", lambda *call, **options: None)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=7))
    monkeypatch.setattr(torch.cuda, "Event", HostEvent)
    return host
