"""The Triton backend: whole ascents in one launch, a block of seeds a program (triton_climb.py). Triton itself is imported when it first runs."""

from __future__ import annotations

import importlib.util
import os
import weakref
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pybackdoor.ops.ascent.chunks import ascend_in_chunks, evaluate_in_chunks
from pybackdoor.ops.ascent.packing import pack
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents
from pybackdoor.records.network import Network

WIDEST = 512
MOST_LAYERS = 16
LARGEST_DIMENSION = 64
NARROW = (64, 4, 32)  # units, hidden layers and features up to which activations stay in registers without spilling (tests compile for sm_90)
RESIDENT = 2  # programs that a multiprocessor runs at a time
INTERPRETED_PROGRAMS = 2  # in the interpreter: enough to give one program two blocks


@dataclass(frozen=True)
class Tiling:
    """How a launch is cut: `block` seeds a program, whose networks stay in registers, or, `wide`, stream through it in blocks of `columns` units."""

    wide: bool
    block: int
    columns: int
    warps: int

    def units(self, network: Network) -> int:
        """Units of every hidden layer as packed: a power of two, at least 16; where they are streamed, a multiple of the columns."""
        widest = max(network.widths[:-1], default=1)
        return -(-widest // self.columns) * self.columns if self.wide else _power_of_two(widest)


IN_REGISTERS = Tiling(False, 16, 64, 8)
STREAMED = Tiling(True, 32, 32, 8)
STREAMED_LONG = Tiling(True, 16, 32, 8)  # for more features than these, whose own arrays take the registers of half the seeds
LONG = {"ieee": 32, "tf32x3": 16}


class TritonBackend:
    """Serves float32 calls on CUDA tensors, and on CPU tensors in Triton's interpreter (TRITON_INTERPRET=1).

    `input_precision` is that of the products: "ieee" (fused float32) or "tf32x3" (tensor cores, three products for one, close to float32).
    """

    def __init__(self, input_precision: str = "ieee") -> None:
        self.input_precision = input_precision
        self._packed: dict[tuple[int, int], tuple[weakref.ref[Network], tuple[int, ...], torch.Tensor]] = {}

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
        return ascend_in_chunks(problem, self._climb)

    def _climb(self, problem: AscentProblem, out: Ascents) -> None:
        from pybackdoor.ops.ascent.triton_climb import climb

        tiling = self.tiling(problem.network, problem.second)
        starts = problem.starts.to(torch.float32).contiguous()
        (count, dimension), device = starts.shape, starts.device
        points, values, objectives = torch.empty_like(starts), *(torch.empty(count, dtype=torch.float32, device=device) for _ in range(2))
        anchors = problem.starts if problem.anchors is None else problem.anchors
        parts = [starts if part is None else part.to(torch.float32).contiguous()
                 for part in (anchors, problem.radii, problem.offsets, problem.slopes)]  # fmt: skip
        second = problem.second or problem.network
        with _on(device):
            programs, slots = launch(tiling, count, device, problem.network, second)
            workspace = _workspace(programs, slots, device)
            climb[(programs,)](
                self.pack(problem.network, tiling), self.pack(second, tiling), starts, *parts, points, values, objectives, out.status, out.steps,
                workspace, count, dimension, slots, *_numbers(problem), **constants(problem, tiling), PRECISION=self.input_precision,
                **options(tiling))  # fmt: skip
        out.points.copy_(points)
        out.values.copy_(values)
        out.objectives.copy_(objectives)

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and input gradients, into `out` where it is given."""
        return evaluate_in_chunks(points, out, partial(self._answer, network))

    def _answer(self, network: Network, points: torch.Tensor, values: torch.Tensor, gradients: torch.Tensor) -> None:
        from pybackdoor.ops.ascent.triton_climb import answer

        inputs = points.to(torch.float32).contiguous()
        count, device = points.shape[0], points.device
        outputs = torch.empty(count, dtype=torch.float32, device=device), torch.empty_like(inputs)
        tiling = self.tiling(network)
        with _on(device):
            programs, slots = launch(tiling, count, device, network)
            workspace = _workspace(programs, slots, device)
            answer[(programs,)](
                self.pack(network, tiling), inputs, *outputs, workspace, count, network.dimension, slots,
                D=features(network), P=tiling.units(network), HIDDEN=len(network.weights) - 1, ACTIVATION=network.activation,
                WIDE=tiling.wide, B=tiling.block, C=tiling.columns, PRECISION=self.input_precision, **options(tiling))  # fmt: skip
        values.copy_(outputs[0])
        gradients.copy_(outputs[1])

    def tiling(self, *networks: Network | None) -> Tiling:
        """In registers where all networks are small and the products are fused float32; streamed otherwise."""
        present = [network for network in networks if network is not None]
        sizes = [(max(network.widths), len(network.widths) - 1, features(network)) for network in present]
        narrow = all(size <= most for shape in sizes for size, most in zip(shape, NARROW, strict=True))
        if narrow and self.input_precision == "ieee":
            return IN_REGISTERS
        return STREAMED if features(present[0]) <= LONG[self.input_precision] else STREAMED_LONG

    def pack(self, network: Network, tiling: Tiling) -> torch.Tensor:
        """The network's packed weights, made once; again if a tensor of it was changed in place."""
        key = (id(network), tiling.units(network))
        tensors = (*network.weights, *network.biases, network.input_shift, network.input_scale, network.input_rate)
        versions = tuple([tensor._version for tensor in tensors])
        entry = self._packed.get(key)
        if entry is None or entry[0]() is not network or entry[1] != versions:
            entry = (weakref.ref(network, lambda _: self._packed.pop(key, None)), versions, pack(network, key[1], features(network)))
            self._packed[key] = entry
        return entry[2]


def features(network: Network) -> int:
    """Features as packed: a power of two, at least 16."""
    return _power_of_two(network.dimension)


def _refusal(network: Network) -> str | None:
    if max(network.widths[:-1], default=1) <= WIDEST and len(network.widths) <= MOST_LAYERS + 1 and network.dimension <= LARGEST_DIMENSION:
        return None
    return (
        f"it serves at most {LARGEST_DIMENSION} features and {MOST_LAYERS} hidden layers of {WIDEST} units, not {network.dimension} features and "
        f"widths {network.widths}"
    )


def launch(tiling: Tiling, count: int, device: torch.device, *networks: Network) -> tuple[int, int]:
    """Programs of a launch, as many as run at a time, and float32 numbers of workspace each needs."""
    blocks = -(-count // tiling.block)
    slots = max((len(network.weights) + 1) * tiling.block * tiling.units(network) for network in networks) if tiling.wide else 0
    resident = torch.cuda.get_device_properties(device).multi_processor_count * RESIDENT if device.type == "cuda" else INTERPRETED_PROGRAMS
    return min(blocks, resident), slots


def _workspace(programs: int, slots: int, device: torch.device) -> torch.Tensor:
    return torch.empty(programs * slots or 1, dtype=torch.float32, device=device)


def options(tiling: Tiling) -> dict[str, Any]:
    """How the kernels are compiled.

    Fused multiply-adds are asked for by name, because Triton's default for them changes; and all registers, because the assembler spills otherwise to
    make room for more programs.
    """
    return {"num_warps": tiling.warps, "num_stages": 1, "enable_fp_fusion": True, "maxnreg": 255}


def constants(problem: AscentProblem, tiling: Tiling) -> dict[str, Any]:
    """What the climb is compiled for."""
    first, second = problem.network, problem.second or problem.network
    return {
        "D": features(first), "P": tiling.units(first), "HIDDEN": len(first.weights) - 1, "ACTIVATION": first.activation,
        "SECOND_P": tiling.units(second), "SECOND_HIDDEN": len(second.weights) - 1, "SECOND_ACTIVATION": second.activation,
        "HAS_SECOND": problem.second is not None, "HAS_BALL": problem.radii is not None, "HAS_OFFSETS": problem.offsets is not None,
        "HAS_SLOPES": problem.slopes is not None, "NORMALISED": problem.schedule.direction == "normalised",
        "WIDE": tiling.wide, "B": tiling.block, "C": tiling.columns,
    }  # fmt: skip


def _numbers(problem: AscentProblem) -> tuple[int, float, float, float, int, float]:
    schedule = problem.schedule
    return schedule.steps, schedule.step_size, schedule.decay, schedule.step_tolerance, schedule.patience, schedule.improvement


def _power_of_two(number: int) -> int:
    return max(16, 1 << (number - 1).bit_length())


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


BACKEND = TritonBackend()
