"""The CUDA backend: whole ascents in one launch on the caller's device and stream (csrc/cuda/ascent_climb.cuh)."""

from __future__ import annotations

import importlib
import weakref
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.ascent.chunks import ascend_in_chunks, capturing, evaluate_in_chunks
from pybackdoor.ops.ascent.packing import pack
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents, AscentSchedule
from pybackdoor.records.network import ACTIVATIONS, Network


class CudaBackend:
    """Serves float32 calls on CUDA tensors; keeps each network's packed weights as long as the network lives.

    Products are fused float32, or with `tensor` on tensor cores: three in TF32 for one, close to float32, or, not `exact`, one, to screen with.
    """

    def __init__(self, *, tensor: bool = False, exact: bool = True) -> None:
        self._tensor, self._exact = tensor, exact
        self._packed: dict[int, tuple[weakref.ref[Network], tuple[int, ...], Packed]] = {}

    def unsupported(self, device: torch.device, precision: str, networks: tuple[Network, ...] = ()) -> str | None:
        """Why a call cannot be served here, or None."""
        missing = _missing_device()
        if missing is not None:
            return missing
        if device.type != "cuda":
            return f"the tensors lie on {device}"
        if precision != "float32":
            return f"it computes in float32, not {precision}"
        try:
            native()
        except ImportError as error:
            return f"the CUDA module cannot be loaded ({error}); install the package with nvcc on the PATH and PYBACKDOOR_CUDA=ON"
        return next((reason for reason in map(_refusal, networks) if reason is not None), None)

    def ascend(self, problem: AscentProblem) -> Ascents:
        """Whole ascents of every seed, enqueued on the current stream."""
        return ascend_in_chunks(problem, self._climb)

    def _climb(self, problem: AscentProblem, out: Ascents) -> None:
        count, dimension = problem.starts.shape
        points, values, objectives = (
            torch.empty(shape, dtype=torch.float32, device=problem.starts.device) for shape in ((count, dimension), (count,), (count,))
        )
        self._run(problem, _rule(problem.schedule), (points, values, objectives, out.status, out.steps))
        out.points.copy_(points)
        out.values.copy_(values)
        out.objectives.copy_(objectives)

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int | None, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and input gradients, into `out` where it is given."""

        def evaluate(some: torch.Tensor, values: torch.Tensor, gradients: torch.Tensor) -> None:
            outputs = torch.empty_like(gradients, dtype=torch.float32), torch.empty_like(values, dtype=torch.float32)
            self._run(AscentProblem(network, some, AscentSchedule()), None, outputs)
            gradients.copy_(outputs[0])
            values.copy_(outputs[1])

        return evaluate_in_chunks(points, out, evaluate)

    def _run(self, problem: AscentProblem, rule: Any, outputs: tuple[torch.Tensor, ...]) -> None:
        module = native()
        count, device = problem.starts.shape[0], problem.starts.device
        first, second = self.pack(problem.network), None if problem.second is None else self.pack(problem.second)
        arrays = [
            None if part is None else part.to(torch.float32).contiguous()
            for part in (problem.starts, problem.anchors, problem.radii, problem.offsets, problem.slopes)
        ]
        parts = module.Parts(*(0 if array is None else array.data_ptr() for array in arrays))
        targets = module.Outputs(*(tensor.data_ptr() for tensor in outputs), *[0] * (5 - len(outputs)))
        with torch.cuda.device(device):
            limits = module.limits(torch.cuda.current_device())
            try:
                plan = module.plan(first.shape, None if second is None else second.shape, count, parts, *limits, self._tensor)
            except ValueError as error:
                raise UnsupportedError(f"ascent: {error}; the reference serves it") from error
            workspace = torch.empty(plan.workspace_bytes, dtype=torch.uint8, device=device)
            networks = [None if one is None else (one.shape, one.numbers(plan.tile).data_ptr()) for one in (first, second)]
            stream = torch.cuda.current_stream(device).cuda_stream
            module.climb(plan, *networks, parts, rule, targets, count, workspace.data_ptr(), stream, self._exact)

    def pack(self, network: Network) -> Packed:
        """What the kernels need of the network, made once; again if a tensor of it was changed in place."""
        key = id(network)
        tensors = (*network.weights, *network.biases, network.input_shift, network.input_scale, network.input_rate)
        versions = tuple([tensor._version for tensor in tensors])
        entry = self._packed.get(key)
        if entry is None or entry[0]() is not network or entry[1] != versions:
            _refuse_in_capture(network.device)
            entry = (weakref.ref(network, lambda _: self._packed.pop(key, None)), versions, Packed(network, self._tensor))
            self._packed[key] = entry
        return entry[2]


class Packed:
    """A network's shape, and its weights for each tile asked for. Making one waits for the device; using it does not."""

    def __init__(self, network: Network, fragments: bool) -> None:
        self.fragments = fragments
        self.shape = _shape(network, bool((network.input_rate != 0).any()))
        self._tensors = replace(network)  # the same tensors, without keeping the network itself alive
        self._numbers: dict[int, torch.Tensor] = {}

    def numbers(self, tile: int) -> torch.Tensor:
        """The packed weights, float32."""
        if tile not in self._numbers:
            _refuse_in_capture(self._tensors.device)
            self._numbers[tile] = pack(self._tensors, tile, fragments=self.fragments)
        return self._numbers[tile]


def _refuse_in_capture(device: torch.device) -> None:
    if capturing(device):
        raise UnsupportedError(
            "ascent: the network's weights are not packed yet, which waits for the device, and a CUDA graph is being captured; "
            "make the same call once before the capture"
        )


@cache
def _missing_device() -> str | None:
    """Why there is no device in this process at all, or None; asked once, as torch's own answer is."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"torch finds no device or driver for CUDA {torch.version.cuda}"
    return None


def native() -> Any:
    """The compiled module; ImportError where it was not built or cannot be loaded."""
    return importlib.import_module("pybackdoor._native_cuda")


def _shape(network: Network, curved: bool) -> Any:
    return native().NetworkShape(network.dimension, list(network.widths[:-1]), ACTIVATIONS.index(network.activation), curved)


def _refusal(network: Network) -> str | None:
    reason = _shape(network, False).refusal()
    return None if reason is None else f"{reason}, not {network.dimension} features and widths {network.widths}"


def _rule(schedule: AscentSchedule) -> Any:
    return native().StepRule(
        schedule.steps,
        schedule.step_size,
        schedule.decay,
        schedule.step_tolerance,
        schedule.patience,
        schedule.improvement,
        schedule.direction == "normalised",
    )


BACKEND = CudaBackend()
TENSOR_BACKEND = CudaBackend(tensor=True)
SCREENING_BACKEND = CudaBackend(tensor=True, exact=False)
