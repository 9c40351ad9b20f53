"""The native backend: whole ascents in one call, a tile of seeds in cache from first step to last (csrc/cpu/ascent.cpp)."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import torch

from pybackdoor import settings
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
        self._packed: dict[int, tuple[weakref.ref[Network], dict[tuple[str, str | None], tuple[tuple[int, ...], Any]]]] = {}

    def unsupported(self, device: torch.device, precision: str, networks: tuple[Network, ...] = ()) -> str | None:
        """Why a call cannot be served here, or None."""
        if _native is None:
            return _MISSING
        return None if device.type == "cpu" else f"the tensors lie on {device}"

    def ascend(self, problem: AscentProblem) -> Ascents:
        """Whole ascents of every seed."""
        count, dimension = problem.starts.shape
        points = torch.empty(count, dimension, dtype=torch.float64)
        values, objectives = torch.empty(count, dtype=torch.float64), torch.empty(count, dtype=torch.float64)
        status, steps = torch.empty(count, dtype=torch.int64), torch.empty(count, dtype=torch.int64)
        second = None if problem.second is None else self.pack(problem.second, problem.precision)
        parts = _native.Parts(*(None if part is None else part.numpy() for part in (problem.anchors, problem.radii, problem.offsets, problem.slopes)))
        outputs = _native.Outputs(points.numpy(), values.numpy(), objectives.numpy(), status.numpy(), steps.numpy())
        self.pack(problem.network, problem.precision).climb(
            second, problem.starts.numpy(), parts, _rule(problem.schedule), outputs, _threads(problem.threads, count)
        )
        return Ascents(points, values, objectives, status, steps)

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int | None, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and input gradients, into `out` where it is given."""
        values, gradients = out or (torch.empty(points.shape[0], dtype=torch.float64), torch.empty(points.shape, dtype=torch.float64))
        self.pack(network, precision).evaluate(points.numpy(), values.numpy(), gradients.numpy(), _threads(threads, points.shape[0]))
        return values, gradients

    def pack(self, network: Network, precision: str) -> Any:
        """The network's packed weights in `precision`, made once; again if a tensor of it was changed in place."""
        key = id(network)
        entry = self._packed.get(key)
        if entry is None or entry[0]() is not network:
            entry = (weakref.ref(network, lambda _: self._packed.pop(key, None)), {})
            self._packed[key] = entry
        kind = (precision, settings.instruction_set())
        versions = tuple([tensor._version for tensor in _tensors(network)])
        made = entry[1].get(kind)
        if made is None or made[0] != versions:
            made = (versions, _pack(network, *kind))
            entry[1][kind] = made
        return made[1]


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
