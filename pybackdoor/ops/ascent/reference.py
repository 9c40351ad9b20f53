"""The definition of `ops.ascent` in plain torch, on any device: network, input gradient, objective, step, projection, stop rules, statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from pybackdoor.ops.activation import value_and_derivative
from pybackdoor.ops.ascent.chunks import ascend_in_chunks, evaluate_in_chunks, tensors_of
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents, AscentSchedule, AscentStatus
from pybackdoor.records.network import Network

ValueAndGradient = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # [n, d] -> [n], [n, d]
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def forward(network: Network, points: torch.Tensor) -> torch.Tensor:
    """y(u) [N] at points u [N, d] of the unit cube, in the points' own floating type and differentiable: the definition of `Network`."""
    activations, _ = _input_map(network, points)
    last = len(network.weights) - 1
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        activations = activations @ weight.to(points.dtype).T + bias.to(points.dtype)
        if layer < last:
            activations, _ = value_and_derivative(network.activation, activations)
    return network.output_shift + network.output_scale * activations[:, 0]


def value_and_input_gradient(network: Network, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """y(u) [N] and dy/du [N, d], by hand through the layers. A row whose value is NaN has a NaN gradient."""
    dtype = points.dtype
    activations, inner = _input_map(network, points)
    slopes = []
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        activations, slope = value_and_derivative(network.activation, activations @ weight.to(dtype).T + bias.to(dtype))
        slopes.append(slope)  # [N, width]
    values = network.output_shift + network.output_scale * (activations @ network.weights[-1].to(dtype).T + network.biases[-1].to(dtype))[:, 0]
    gradients = (network.output_scale * network.weights[-1].to(dtype)).expand(points.shape[0], -1)
    for weight, slope in zip(reversed(network.weights[:-1]), reversed(slopes), strict=True):
        gradients = (gradients * slope) @ weight.to(dtype)
    gradients = gradients * inner
    return values, torch.where(values.isnan()[:, None], values[:, None], gradients)


def _input_map(network: Network, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First layer's input z(u) and dz/du, feature by feature: [N, d] each."""
    shift, scale, rate = (tensor.to(points.dtype) for tensor in (network.input_shift, network.input_scale, network.input_rate))
    curved = rate != 0
    powers = scale * torch.exp(torch.where(curved, rate * points, torch.zeros_like(points)))
    return shift + torch.where(curved, powers, scale * points), torch.where(curved, rate * powers, scale.expand_as(points))


@dataclass(frozen=True)
class Target:
    """What the seeds climb, seen from the rows that are still active; Y is `first`, of any origin."""

    first: ValueAndGradient
    second: ValueAndGradient | None
    anchors: torch.Tensor
    radii: torch.Tensor | None
    offsets: torch.Tensor | None
    slopes: torch.Tensor | None

    def error(self, rows: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Y [n], Y - R [n] and its gradient [n, d] at the seeds `rows`."""
        values, gradients = self.first(points)
        errors = values
        if self.second is not None:
            second_values, second_gradients = self.second(points)
            errors, gradients = errors - second_values, gradients - second_gradients
        if self.offsets is not None:
            errors = errors - self.offsets[rows]
        if self.slopes is not None:
            errors = errors - (self.slopes[rows] * (points - self.anchors[rows])).sum(dim=1)
            gradients = gradients - self.slopes[rows]
        return values, errors, gradients

    def project(self, rows: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Onto the ball around the anchor, then onto the box [0, 1]^d."""
        if self.radii is not None:
            away = points - self.anchors[rows]
            length, radius = torch.linalg.vector_norm(away, dim=1), self.radii[rows]
            points = torch.where((length > radius)[:, None], self.anchors[rows] + away * (radius / length)[:, None], points)
        return points.clamp(0, 1)


def ascend(problem: AscentProblem) -> Ascents:
    """`climb` for the networks of a checked problem, in its precision."""
    dtype = _DTYPES[problem.precision]
    return climb(_target(problem, dtype), problem.starts.to(dtype), problem.schedule)


def climb(target: Target, starts: torch.Tensor, schedule: AscentSchedule) -> Ascents:
    """Runs every seed, starts [N, d], to its stop, in the starts' floating type.

    The order of events at iteration k = 0, 1, ... is the contract all backends keep.

    1. Y and the objective at u_k; u_0 is the start, projected. One of them not finite: NOT_FINITE.
    2. The best point so far is u_k if its objective is higher (or k = 0). STALLED by the patience rule; then STEPS_DONE if k = steps.
    3. The gradient of the objective exactly zero: FLAT; not finite: NOT_FINITE.
    4. u_{k+1}: the step, the ball, the box. No longer than the tolerance: CONVERGED, and u_{k+1} is not visited.
    `steps` of a seed is the last k: the number of moves it made.
    """
    count = starts.shape[0]
    active = torch.arange(count, device=starts.device)
    points = target.project(active, starts)
    best = points.clone()
    best_values, best_objectives = points.new_full((count,), torch.nan), points.new_full((count,), torch.nan)
    waited, steps, status = (torch.zeros(count, dtype=torch.int64, device=points.device) for _ in range(3))
    for k in range(schedule.steps + 1):
        if not active.numel():
            break
        values, errors, gradients = target.error(active, points)
        objectives = errors * errors
        finite = values.isfinite() & objectives.isfinite()
        before = best_objectives[active]
        better = finite & ~(objectives <= before)
        first = torch.full_like(finite, k == 0)
        kept = better | first
        best[active[kept]], best_values[active[kept]], best_objectives[active[kept]] = points[kept], values[kept], objectives[kept]
        waited[active] = torch.where(first | (finite & (objectives > before + schedule.improvement * before)), 0, waited[active] + 1)
        steps[active] = k
        stalled = (waited[active] >= schedule.patience) if schedule.patience > 0 else torch.zeros_like(finite)
        flat = (errors == 0) | (gradients == 0).all(dim=1)
        moved, usable = _step(schedule, k, points, errors, gradients)
        moved = target.project(active, moved)
        short = torch.linalg.vector_norm(moved - points, dim=1) <= schedule.step_tolerance
        code = torch.full_like(active, -1)
        last = torch.full_like(finite, k == schedule.steps)
        for reason, where in (
            (AscentStatus.CONVERGED, short),
            (AscentStatus.NOT_FINITE, ~usable),
            (AscentStatus.FLAT, flat),
            (AscentStatus.STEPS_DONE, last),
            (AscentStatus.STALLED, stalled),
            (AscentStatus.NOT_FINITE, ~finite),
        ):
            code = torch.where(where, torch.full_like(code, int(reason)), code)  # the later in this list, the earlier in the contract
        status[active] = code
        going = code < 0
        active, points = active[going], moved[going]
    return Ascents(best.to(torch.float64), best_values.to(torch.float64), best_objectives.to(torch.float64), status, steps)


def _step(schedule: AscentSchedule, k: int, points: torch.Tensor, errors: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """u_k + step_k * direction, before projection, and whether the direction is finite."""
    length = schedule.step_size / (1 + schedule.decay * k)
    if schedule.direction == "raw":
        direction = 2 * errors[:, None] * gradients
    else:
        largest = gradients.abs().amax(dim=1, keepdim=True)  # keeps the squares of the norm in range
        scaled = gradients / largest
        direction = torch.sign(errors)[:, None] * scaled / torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return points + length * direction, direction.isfinite().all(dim=1)


def _target(problem: AscentProblem, dtype: torch.dtype) -> Target:
    anchors = problem.starts if problem.anchors is None else problem.anchors
    radii, offsets, slopes = (None if part is None else part.to(dtype) for part in (problem.radii, problem.offsets, problem.slopes))
    second = None if problem.second is None else partial(value_and_input_gradient, problem.second)
    return Target(partial(value_and_input_gradient, problem.network), second, anchors.to(dtype), radii, offsets, slopes)


class ReferenceBackend:
    """Serves every call, slowly."""

    def unsupported(self, device: torch.device, precision: str, networks: tuple[Network, ...] = ()) -> str | None:
        """None: it always can."""
        return None

    def ascend(self, problem: AscentProblem) -> Ascents:
        """`ascend` of this module, for as many seeds at a time as a bounded memory holds."""
        networks = (problem.network,) if problem.second is None else (problem.network, problem.second)
        return ascend_in_chunks(problem, _climb_into, working=max(map(_working_bytes, networks)))

    def value_and_input_gradient(
        self, network: Network, points: torch.Tensor, precision: str, threads: int | None, out: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`value_and_input_gradient` of this module, in `precision`, as float64."""

        def evaluate(some: torch.Tensor, values: torch.Tensor, gradients: torch.Tensor) -> None:
            for target, found in zip((values, gradients), value_and_input_gradient(network, some.to(_DTYPES[precision])), strict=True):
                target.copy_(found)

        return evaluate_in_chunks(points, out, evaluate, working=_working_bytes(network))


def _climb_into(problem: AscentProblem, out: Ascents) -> None:
    for target, found in zip(tensors_of(out), tensors_of(ascend(problem)), strict=True):
        target.copy_(found)


def _working_bytes(network: Network) -> int:
    """Of a seed, in float64: every layer's slopes, four times the widest layer, a dozen times the features."""
    return 8 * (sum(network.widths) + 4 * max(network.widths) + 12 * network.dimension)


BACKEND = ReferenceBackend()
