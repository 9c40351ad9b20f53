"""A roofline: what each op achieves in operations and bytes a second, beside what this machine reaches on plain products and a plain copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch

from pybackdoor.bench.calibration import Ceilings, best_seconds
from pybackdoor.ops.ascent import ascend, value_and_input_gradient
from pybackdoor.ops.philox import normals, uniforms
from pybackdoor.ops.train import initial_state, train
from pybackdoor.records import AscentSchedule, Network, TrainingPlan
from pybackdoor.search import thin

STEPS = 20
SCHEDULE = AscentSchedule(steps=STEPS, step_size=0.002, decay=0.0, patience=0, step_tolerance=0.0)


@dataclass(frozen=True)
class Work:
    """One op at one size: floating-point operations it needs and bytes it must move through memory at least, each input and output once."""

    name: str
    run: Callable[[], object]
    flops: float
    bytes: float
    precision: str = "fp32"


@dataclass(frozen=True)
class Achieved:
    """A line of the table: the best of some runs."""

    name: str
    seconds: float
    flops: float
    bytes: float
    precision: str

    def line(self, ceilings: Ceilings) -> str:
        """Time, rates, and their shares of the ceilings; what bounds it is the larger share, or neither when both are small."""
        rate, moved = self.flops / self.seconds, self.bytes / self.seconds
        arithmetic, memory = rate / ceilings.flops[self.precision], moved / ceilings.bytes_per_second
        bound = "neither" if max(arithmetic, memory) < 0.1 else "arithmetic" if arithmetic >= memory else "memory"
        return (
            f"{self.name:<34}{1e3 * self.seconds:>11.3f} ms{rate / 1e9:>11.1f} GFLOP/s{100 * arithmetic:>7.1f} % of {self.precision}"
            f"{moved / 1e9:>10.2f} GB/s{100 * memory:>7.1f} % of copy{self.flops / self.bytes:>9.1f} FLOP/B  {bound}"
        )


def achieved(works: Iterable[Work], device: torch.device, budget: float) -> list[Achieved]:
    """Times each for about `budget` seconds."""
    return [Achieved(work.name, best_seconds(work.run, device, budget), work.flops, work.bytes, work.precision) for work in works]


def table(found: Iterable[Achieved], ceilings: Ceilings, about: str) -> str:
    """The lines with a head that states the ceilings."""
    rates = ", ".join(f"{name} {rate / 1e9:.4g} GFLOP/s" for name, rate in ceilings.flops.items())
    return (
        "\n".join([about, f"ceilings: copy {ceilings.bytes_per_second / 1e9:.4g} GB/s, {rates}", "", *(one.line(ceilings) for one in found)]) + "\n"
    )


def works(device: torch.device, *, small: bool = False) -> list[Work]:
    """The ops with their usual shapes (64x4 units, 8 features), in sizes that fill the device; `small` for a test."""
    large = device.type == "cuda"
    seeds, networks, steps = (64, 2, 3) if small else (10**6, 256, 100) if large else (4096, 4, 50)
    network = _network(8, (64,) * 4, device)
    points = uniforms(seeds * 8, seed=1, purpose="bench").reshape(seeds, 8).to(device)
    layers = 4.0 * sum(weight.numel() for weight in network.weights)
    weights = 4.0 * sum(weight.numel() for weight in network.weights)
    values = points.sum(dim=1)
    candidates = min(seeds, 20_000)
    return [
        Work(f"ascent 64x4, {seeds} seeds", lambda: ascend(network, points, schedule=SCHEDULE), layers * seeds * STEPS, weights + 8.0 * seeds * 20),
        Work(f"gradient 64x4, {seeds} points", lambda: value_and_input_gradient(network, points), layers * seeds, weights + 8.0 * seeds * 17),
        _gradient_in_double(network, points[: min(seeds, 100_000)], layers),
        _training(points[:20_000], values[:20_000], networks, steps),
        Work(f"thin {candidates} candidates", lambda: thin(points[:candidates], values[:candidates], 0.0), 3.0 * 8 * candidates**2 / 2,
             8.0 * candidates * 9, "fp64"),
    ]  # fmt: skip


def _gradient_in_double(network: Network, points: torch.Tensor, layers: float) -> Work:
    count = points.shape[0]
    moved = 8.0 * sum(weight.numel() for weight in network.weights) + 8.0 * count * 17
    name = f"gradient 64x4, {count} points, fp64"
    return Work(name, lambda: value_and_input_gradient(network, points, precision="float64"), layers * count, moved, "fp64")


def _training(x: torch.Tensor, y: torch.Tensor, networks: int, steps: int) -> Work:
    plan = TrainingPlan(steps=steps, batch_size=256)
    state = initial_state((8, 64, 64, 64, 64, 1), "silu", networks=networks, device=x.device)
    numbers = sum(tensor[0].numel() for tensor in (*state.weights, *state.biases))
    flops = 6.0 * numbers * plan.batch_size * networks * steps
    moved = networks * (2 * 3 * 4.0 * numbers + 4.0 * steps * plan.batch_size * 9)  # state read and written once, each minibatch read once
    return Work(f"train 64x4, {networks} networks, {steps} steps", lambda: train(state, plan, x, y, activation="silu"), flops, moved)


def _network(dimension: int, widths: tuple[int, ...], device: torch.device) -> Network:
    sizes = (dimension, *widths, 1)
    weights = tuple(
        normals(after * before, seed=0, purpose="bench", stream=layer).reshape(after, before) * (2 / before) ** 0.5
        for layer, (before, after) in enumerate(pairwise(sizes))
    )
    zero = torch.zeros(dimension, dtype=torch.float64)
    return Network(weights, tuple(torch.zeros(size, dtype=torch.float64) for size in sizes[1:]), "silu", zero, zero + 1, zero).to(device)
