"""The Triton backend: whole ascents in one launch, a block of seeds a program (triton_climb.py). Triton itself is imported when it first runs."""

from __future__ import annotations

import importlib.util
import os
import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from pybackdoor.ops.ascent.packing import pack
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents
from pybackdoor.records.network import Network

WIDEST = 64  # at 128 the products of Triton 3.9 spill kilobytes a thread
MOST_LAYERS = 8
LARGEST_DIMENSION = 64
BLOCK = 16  # seeds of a program
WARPS = 8  # of a program: a thread then holds a few numbers of a layer's block, and nothing spills


class TritonBackend:
    """Serves float32 calls on CUDA tensors, and on CPU tensors in Triton's interpreter (TRITON_INTERPRET=1).

    `input_precision` is that of the products: "ieee" (fused float32) or "tf32x3" (tensor cores, three products for one, close to float32).
    """

    def __init__(self, input_precision: str = "ieee") -> None:
        self.input_precision = input_precision
        self._packed: dict[int, tuple[weakref.ref[Network], tuple[int, ...], torch.Tensor]] = {}

    def unsupported(self, device: torch.device, precision: str, networks: tuple[Network, ...] = ()) -> str | None:
        """Why a call cannot be served here, or None."""
        if importlib.util.find_spec("triton") is None:
            return "triton is not installed; pip install triton"
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        if device.type != "cuda" and not (interpreted and device.type == "cpu"):
            return f"the tensors lie on {device}, and Triton compiles for CUDA devices"
        if precision != "float32":
            return f"it computes in float32, not {precision}"
        return next((reason for reason in map(_refusal, networks) if reason is not None), None)

    def ascend(self, problem: AscentProblem) -> Ascents:
        """Whole ascents of every seed, enqueued on the current stream."""
        from pybackdoor.ops.ascent.triton_climb import climb

        starts = problem.starts.to(torch.float32).contiguous()
        (count, dimension), device = starts.shape, starts.device
        outputs = (torch.empty_like(starts), *(torch.empty(count, dtype=torch.float32, device=device) for _ in range(2)),
                   *(torch.empty(count, dtype=torch.int64, device=device) for _ in range(2)))  # fmt: skip
        anchors = problem.starts if problem.anchors is None else problem.anchors
        parts = [starts if part is None else part.to(torch.float32).contiguous()
                 for part in (anchors, problem.radii, problem.offsets, problem.slopes)]  # fmt: skip
        second = problem.second or problem.network
        if count:
            with _on(device):
                climb[(-(-count // BLOCK),)](
                    self.pack(problem.network), self.pack(second), starts, *parts, *outputs, count, dimension, *_numbers(problem),
                    **constants(problem), PRECISION=self.input_precision, num_warps=WARPS, num_stages=1)  # fmt: skip
        points, values, objectives, status, steps = outputs
        return Ascents(points.to(torch.float64), values.to(torch.float64), objectives.to(torch.float64), status, steps)

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and input gradients, into `out` where it is given."""
        from pybackdoor.ops.ascent.triton_climb import answer

        inputs = points.to(torch.float32).contiguous()
        values, gradients = torch.empty(points.shape[0], dtype=torch.float32, device=points.device), torch.empty_like(inputs)
        if points.shape[0]:
            with _on(points.device):
                answer[(-(-points.shape[0] // BLOCK),)](
                    self.pack(network), inputs, values, gradients, points.shape[0], network.dimension, D=features(network), P=units(network),
                    HIDDEN=len(network.weights) - 1, ACTIVATION=network.activation, B=BLOCK, PRECISION=self.input_precision,
                    num_warps=WARPS, num_stages=1)  # fmt: skip
        if out is None:
            return values.to(torch.float64), gradients.to(torch.float64)
        return out[0].copy_(values), out[1].copy_(gradients)

    def pack(self, network: Network) -> torch.Tensor:
        """The network's packed weights, made once; again if a tensor of it was changed in place."""
        key = id(network)
        tensors = (*network.weights, *network.biases, network.input_shift, network.input_scale, network.input_rate)
        versions = tuple([tensor._version for tensor in tensors])
        entry = self._packed.get(key)
        if entry is None or entry[0]() is not network or entry[1] != versions:
            entry = (weakref.ref(network, lambda _: self._packed.pop(key, None)), versions, pack(network, units(network), features(network)))
            self._packed[key] = entry
        return entry[2]


def units(network: Network) -> int:
    """Units of every hidden layer as packed: a power of two, at least 16."""
    return _power_of_two(max(network.widths[:-1], default=1))


def features(network: Network) -> int:
    """Features as packed: a power of two, at least 16."""
    return _power_of_two(network.dimension)


def _refusal(network: Network) -> str | None:
    if max(network.widths[:-1], default=1) <= WIDEST and len(network.widths) <= MOST_LAYERS + 1 and network.dimension <= LARGEST_DIMENSION:
        return None
    return (
        f"it keeps activations in registers: at most {LARGEST_DIMENSION} features, {MOST_LAYERS} hidden layers of {WIDEST} units, not "
        f"{network.dimension} features and widths {network.widths}"
    )


def constants(problem: AscentProblem) -> dict[str, Any]:
    """What the climb is compiled for."""
    first, second = problem.network, problem.second or problem.network
    return {
        "D": features(first), "P": units(first), "HIDDEN": len(first.weights) - 1, "ACTIVATION": first.activation,
        "SECOND_P": units(second), "SECOND_HIDDEN": len(second.weights) - 1, "SECOND_ACTIVATION": second.activation,
        "HAS_SECOND": problem.second is not None, "HAS_BALL": problem.radii is not None, "HAS_OFFSETS": problem.offsets is not None,
        "HAS_SLOPES": problem.slopes is not None, "NORMALISED": problem.schedule.direction == "normalised", "B": BLOCK,
    }  # fmt: skip


def _numbers(problem: AscentProblem) -> tuple[int, float, float, float, int, float]:
    schedule = problem.schedule
    return schedule.steps, schedule.step_size, schedule.decay, schedule.step_tolerance, schedule.patience, schedule.improvement


def _power_of_two(number: int) -> int:
    return max(16, 1 << (number - 1).bit_length())


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


BACKEND = TritonBackend()
