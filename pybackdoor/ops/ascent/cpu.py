"""The native backend: whole ascents in one call, a tile of seeds in cache from first step to last (csrc/cpu/ascent.cpp)."""

from __future__ import annotations

import functools
import weakref
from typing import Any, NamedTuple

import numpy as np
import torch

from pybackdoor import settings
from pybackdoor.ops.ascent.chunks import tensors_of
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents, AscentSchedule
from pybackdoor.records.network import ACTIVATIONS, Network

try:
    from pybackdoor import _native
except ImportError as error:
    _native = None
    _MISSING = f"the native module is not there ({error}); install the package with a C++20 compiler on the PATH"


class NativeBackend:
    """Serves CPU tensors; keeps each network's packed weights as long as the network lives."""

    def __init__(self) -> None:
        self._packed: dict[int, _Entry] = {}

    def unsupported(self, device: torch.device, precision: str, networks: tuple[Network, ...] = ()) -> str | None:
        """Why a call cannot be served here, or None."""
        if _native is None:
            return _MISSING
        return None if device.type == "cpu" else f"the tensors lie on {device}"

    def ascend(self, problem: AscentProblem) -> Ascents:
        """Whole ascents of every seed."""
        starts, out = problem.starts.numpy(), problem.out
        second = None if problem.second is None else self.pack(problem.second, problem.precision)
        given = problem.anchors, problem.radii, problem.offsets, problem.slopes
        parts = tuple([None if part is None else part.numpy() for part in given])
        network = self.pack(problem.network, problem.precision)
        arrays = None if out is None else tuple([part.numpy() for part in tensors_of(out)])
        arrays = network.climb(second, starts, parts, _rule(problem.schedule), arrays, _threads(problem.threads, starts.shape[0]))
        return Ascents(*map(torch.from_numpy, arrays)) if out is None else out

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int | None, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and input gradients, into `out` where it is given."""
        array = points.numpy()
        values, gradients = (np.empty(array.shape[0]), np.empty(array.shape)) if out is None else (out[0].numpy(), out[1].numpy())
        self.pack(network, precision).evaluate(array, values, gradients, _threads(threads, array.shape[0]))
        return (torch.from_numpy(values), torch.from_numpy(gradients)) if out is None else out

    def pack(self, network: Network, precision: str) -> Any:
        """The network's packed weights in `precision`, made once; again if a tensor of it was changed in place."""
        key = id(network)
        entry = self._packed.get(key)
        if entry is None or entry.network() is not network:
            entry = _Entry(weakref.ref(network, lambda _: self._packed.pop(key, None)), _tensors(network), {})
            self._packed[key] = entry
        kind = (precision, settings.instruction_set())
        versions = [tensor._version for tensor in entry.tensors]
        made = entry.made.get(kind)
        if made is None or made[0] != versions:
            made = (versions, _pack(network, *kind))
            entry.made[kind] = made
        return made[1]


class _Entry(NamedTuple):
    """What is kept for a network: its tensors, and by precision and instruction set their versions when packed, and the packed weights."""

    network: weakref.ref[Network]
    tensors: tuple[torch.Tensor, ...]
    made: dict[tuple[str, str | None], tuple[list[int], Any]]


def _threads(asked: int | None, count: int) -> int:
    """One for what fits one vector of seeds, without a look at the environment."""
    return asked or (settings.threads() if count > 16 else 1)


@functools.lru_cache(maxsize=64)
def _rule(schedule: AscentSchedule) -> Any:
    return _native.StepRule(
        schedule.steps,
        schedule.step_size,
        schedule.decay,
        schedule.step_tolerance,
        schedule.patience,
        schedule.improvement,
        schedule.direction == "normalised",
    )


def _tensors(network: Network) -> tuple[torch.Tensor, ...]:
    return (*network.weights, *network.biases, network.input_shift, network.input_scale, network.input_rate)


def _pack(network: Network, precision: str, instruction_set: str | None) -> Any:
    kind = _native.PackedSingle if precision == "float32" else _native.PackedDouble
    weights, biases = ([tensor.detach().numpy() for tensor in tensors] for tensors in (network.weights, network.biases))
    return kind(
        weights,
        biases,
        ACTIVATIONS.index(network.activation),
        network.input_shift.detach().numpy(),
        network.input_scale.detach().numpy(),
        network.input_rate.detach().numpy(),
        network.output_shift,
        network.output_scale,
        instruction_set or "",
    )


BACKEND = NativeBackend()
