"""Many seeds climb the squared error of a network at once; and a network's values with its input gradients.

>>> import torch
>>> from pybackdoor.ops.ascent import ascend, value_and_input_gradient
>>> from pybackdoor.records import AscentSchedule, Network
>>> zero = torch.zeros(2, dtype=torch.float64)
>>> line = Network((torch.tensor([[3.0, 4.0]], dtype=torch.float64),), (torch.zeros(1, dtype=torch.float64),), "relu", zero, zero + 1, zero)
>>> value_and_input_gradient(line, torch.tensor([[0.5, 0.25]]))
(tensor([2.5000], dtype=torch.float64), tensor([[3., 4.]], dtype=torch.float64))
>>> ascend(line, torch.tensor([[0.5, 0.25]]), schedule=AscentSchedule(steps=100, decay=0.0)).points
tensor([[1., 1.]], dtype=torch.float64)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pybackdoor.arrays import as_points, as_values
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.ops.ascent.chunks import capturing
from pybackdoor.ops.ascent.differentiable import values
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.ops.ascent.reference import forward
from pybackdoor.ops.backends import choose
from pybackdoor.ops.timings import preferred
from pybackdoor.records.ascent import Ascents, AscentSchedule
from pybackdoor.records.network import Network
from pybackdoor.registry import Registry
from pybackdoor.stages import staged

__all__ = ["BACKENDS", "ORDER", "AscentProblem", "ascend", "forward", "solve", "value_and_input_gradient", "values"]

BACKENDS = Registry(
    "ascent backend",
    {
        "cpu": "pybackdoor.ops.ascent.cpu:BACKEND",
        "cuda": "pybackdoor.ops.ascent.cuda:BACKEND",
        "cuda_tf32": "pybackdoor.ops.ascent.cuda:SCREENING_BACKEND",
        "cuda_tf32x3": "pybackdoor.ops.ascent.cuda:TENSOR_BACKEND",
        "reference": "pybackdoor.ops.ascent.reference:BACKEND",
        "triton": "pybackdoor.ops.ascent.triton:BACKEND",
    },
)
# A device leaves some of them; of those, the fastest first. cuda_tf32x3 and cuda_tf32 serve when they are named.
ORDER = ("cpu", "cuda", "triton", "reference")
PRECISIONS = ("float32", "float64")
MOST_STEPS = 2**24  # backends count steps in float32


def ascend(
    network: Network,
    starts: Any,
    *,
    schedule: AscentSchedule | None = None,
    anchors: Any = None,
    radii: Any = None,
    second: Network | None = None,
    offsets: Any = None,
    slopes: Any = None,
    precision: str = "float32",
    backend: str = "auto",
    threads: int | None = None,
    out: Ascents | None = None,
) -> Ascents:
    """Each seed climbs (Y(u) - R(u))^2 with R(u) = second(u) + offset + slope . (u - anchor); every part of R is optional.

    starts: [N, d], unit cube (one outside is first moved to the nearest point allowed; a NaN start ends NOT_FINITE);
    anchors: [N, d], default the starts; radii: [N], >= 0: a seed stays in the ball of that radius around its anchor, which lies in the cube;
    offsets: [N]; slopes: [N, d], per unit of the cube. `schedule` (default AscentSchedule()) fixes steps and stop rules;
    `reference.ascend` states the order of events. `precision` is that of the climb, "float32" or "float64": recompute in float64 what is reported.
    Native backends take subnormal numbers (below 1e-38 in float32) as zero.
    backend: "auto", "cuda" (float32 on a GPU), "cuda_tf32x3" (products on its tensor cores, close to float32), "cuda_tf32" (the same with 11 bits: to
    screen with, gradients to about 1e-3), "triton", "cpu" or "reference". The three on CUDA may be captured in a CUDA graph once the same call has
    been made; anchors and radii are then taken as they are, since nothing can be looked at.
    `threads` default to settings.threads(); the results do not depend on them, bit for bit.

    Returns Ascents on the starts' device: the best point of each seed, its start included; `out`, an Ascents of N seeds, is filled and returned
    instead of a new one. Raises InputError or InputTypeError on what cannot be used, UnsupportedError when the named backend cannot serve the call,
    MemoryExhaustedError when its results do not fit the device (what is computed on the way is bounded: millions of seeds go in chunks).
    Cost: 4 (dW + (L - 1) W^2 + W) floating-point operations a seed and step.
    """
    points = as_points(starts, _is_network(network, "network").dimension, "starts", finite=False)
    count, dimension = points.shape
    device = points.device
    seen = (anchors is None and radii is None) or not capturing(device)
    problem = AscentProblem(
        network=_on_device(network, device, "network"),
        starts=points,
        schedule=_checked_schedule(schedule),
        anchors=_part(anchors, "anchors", points, (count, dimension), finite=seen),
        radii=_checked_radii(_part(radii, "radii", points, (count,)), seen),
        second=None if second is None else _checked_second(second, points),
        offsets=_part(offsets, "offsets", points, (count,)),
        slopes=_part(slopes, "slopes", points, (count, dimension)),
        precision=_checked_precision(precision),
        threads=_checked_threads(threads),
        out=None if out is None else _checked_outcome(out, points),
    )
    return solve(problem, backend)


@staged("ascent")
def solve(problem: AscentProblem, backend: str = "auto") -> Ascents:
    """`ascend` for a problem that the caller knows to be right: nothing is checked, because a check waits for the device that the seeds lie on."""
    networks = (problem.network,) if problem.second is None else (problem.network, problem.second)
    device = problem.starts.device
    order = ORDER if device.type == "cpu" else _measured_order(problem.network, problem.starts)
    return choose("ascent", BACKENDS, order, backend, device, precision=problem.precision, networks=networks).ascend(problem)


@staged("gradient")
def value_and_input_gradient(
    network: Network,
    points: Any,
    *,
    precision: str = "float32",
    backend: str = "auto",
    threads: int | None = None,
    out: tuple[Any, Any] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """y(u) [N] and dy/du [N, d], float64, at points u [N, d] of the unit cube (elsewhere too), computed in `precision`.

    `out` = (values [N], gradients [N, d]), float64 torch tensors or NumPy arrays, is filled and returned as tensors. NaN in, NaN out, row by row.
    Raises as `ascend`. Cost: 4 (dW + (L - 1) W^2 + W) floating-point operations a point.
    """
    points = as_points(points, _is_network(network, "network").dimension, "points", finite=False)
    shape, device = points.shape, points.device
    _on_device(network, device, "network")
    wanted = _checked_precision(precision)
    order = ORDER if device.type == "cpu" else _measured_order(network, points)
    entry = choose("ascent", BACKENDS, order, backend, device, precision=wanted, networks=(network,))
    targets = None if out is None else (_target(out[0], shape[:1], device, "out[0]"), _target(out[1], shape, device, "out[1]"))
    return entry.value_and_input_gradient(network, points, precision, _checked_threads(threads), targets)


def _measured_order(network: Network, points: torch.Tensor) -> tuple[str, ...]:
    """Backends as `auto` tries them on a device, as measured there for this size."""
    return preferred("ascent", ORDER, points.device, width=max(network.widths), hidden=len(network.widths) - 1, seeds=points.shape[0])


def _target(target: Any, shape: torch.Size, device: torch.device, name: str, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    tensor = torch.from_numpy(target) if isinstance(target, np.ndarray) else target
    if not isinstance(tensor, torch.Tensor):
        raise InputTypeError(f"{name}: got {type(target).__name__}; a torch tensor or a NumPy array to write into is needed")
    if tensor.shape != shape or tensor.dtype != dtype or tensor.device != device or not tensor.is_contiguous():
        raise InputError(
            f"{name}: got {tensor.dtype} of shape {tuple(tensor.shape)} on {tensor.device}; a contiguous {dtype} of shape "
            f"{tuple(shape)} on {device} is needed"
        )
    return tensor


def _checked_outcome(out: Ascents, points: torch.Tensor) -> Ascents:
    if not isinstance(out, Ascents):
        raise InputTypeError(f"out: got {type(out).__name__}; an Ascents to write into is needed")
    shape, device = points.shape, points.device
    rows = shape[:1]
    _target(out.points, shape, device, "out.points")
    _target(out.values, rows, device, "out.values")
    _target(out.objectives, rows, device, "out.objectives")
    _target(out.status, rows, device, "out.status", torch.int64)
    _target(out.steps, rows, device, "out.steps", torch.int64)
    return out


def _is_network(value: Any, name: str) -> Network:
    if not isinstance(value, Network):
        raise InputTypeError(f"{name}: got {type(value).__name__}; a pybackdoor Network is needed")
    return value


def _checked_second(network: Network, points: torch.Tensor) -> Network:
    if _is_network(network, "second").dimension != points.shape[1]:
        raise InputError(f"second: has {network.dimension} features; the points have {points.shape[1]}")
    return _on_device(network, points.device, "second")


def _on_device(network: Network, device: torch.device, name: str) -> Network:
    if network.device != device:
        raise InputError(f"{name}: lies on {network.device}, the points on {device}; move one with .to()")
    return network


def _part(value: Any, name: str, points: torch.Tensor, shape: tuple[int, ...], *, finite: bool = False) -> torch.Tensor | None:
    if value is None:
        return None
    tensor = as_points(value, shape[1], name, finite=finite) if len(shape) == 2 else as_values(value, shape[0], name, finite=finite)
    if tensor.shape[0] != shape[0]:
        raise InputError(f"{name}: {tensor.shape[0]} rows for {shape[0]} starts; one a start is needed")
    if tensor.device != points.device:
        raise InputError(f"{name}: lies on {tensor.device}, the starts on {points.device}; move one with .to()")
    return tensor


def _checked_schedule(schedule: AscentSchedule | None) -> AscentSchedule:
    if schedule is None:
        return AscentSchedule()
    if schedule.steps > MOST_STEPS:
        raise InputError(f"schedule: got {schedule.steps} steps; at most {MOST_STEPS} can be counted")
    return schedule


def _checked_radii(radii: torch.Tensor | None, seen: bool) -> torch.Tensor | None:
    if seen and radii is not None and not bool((radii >= 0).all()):
        row = int((~(radii >= 0)).nonzero()[0])
        raise InputError(f"radii: row {row} is {float(radii[row])}; numbers >= 0 (infinity for no ball) are needed")
    return radii


def _checked_precision(precision: str) -> str:
    if precision not in PRECISIONS:
        raise InputError(f"precision: got {precision!r}; one of {', '.join(PRECISIONS)} is needed")
    return precision


def _checked_threads(threads: int | None) -> int | None:
    if threads is not None and not (isinstance(threads, int) and 1 <= threads <= 1024):
        raise InputError(f"threads: got {threads!r}; a whole number from 1 to 1024 is needed")
    return threads
