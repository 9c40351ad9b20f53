"""Ascents of many seeds: ours against torch eager, torch.compile, vmap(grad) and JAX, one pinned core, float32; and two cores.

    python -m pytest benchmarks/bench_ascent.py --benchmark-json=ascent.json      (on a crowded machine: --benchmark-timer=time.process_time)
    python -m benchmarks.report ascent.json

A round is STEPS normalised gradient steps on Y^2 of every seed, projected onto the cube. Ours keeps the best point, statuses and stop rules besides.
FLOPs: 4 (dW + (L - 1) W^2 + W) a seed and step (the products of forward and backward), nothing else counted.
"""

from __future__ import annotations

import os
from itertools import pairwise

CORES = os.sched_getaffinity(0)
os.sched_setaffinity(0, {max(CORES)})  # before the peers start threads of their own

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks.peak import peak
from pybackdoor.ops.ascent import ascend
from pybackdoor.records import AscentSchedule, Network

STEPS, SIZE = 20, 0.002
SCHEDULE = AscentSchedule(steps=STEPS, step_size=SIZE, decay=0.0, patience=0, step_tolerance=0.0)
TORCH = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": torch.nn.functional.softplus,
}
JAX = {"relu": jax.nn.relu, "tanh": jnp.tanh, "silu": jax.nn.silu, "gelu": lambda z: jax.nn.gelu(z, approximate=False), "softplus": jax.nn.softplus}
# activation, width, depth, dimension, seeds: the middle of the field, and each of them varied
MIDDLE = ("relu", 64, 4, 8, 1024)
CASES = [
    MIDDLE,
    *[("relu", 64, 4, 8, seeds) for seeds in (64, 16384)],
    *[("relu", width, 4, 8, 1024) for width in (32, 128)],
    *[("relu", width, 4, 8, 64) for width in (256, 512)],
    *[("relu", 64, depth, dimension, 1024) for depth, dimension in ((3, 8), (4, 5), (4, 20))],
    *[(activation, 64, 4, 8, 1024) for activation in ("tanh", "silu", "gelu", "softplus")],
    ("silu", 64, 4, 8, 64),
]
ODD = [("relu", width, 4, 8, 1024) for width in (50, 100, 200)]


def name_of(case):
    activation, width, depth, dimension, seeds = case
    return f"{activation} W={width} L={depth} d={dimension} N={seeds}"


def operations(case):
    _, width, depth, dimension, seeds = case
    return 4 * (dimension * width + (depth - 1) * width * width + width) * seeds * STEPS


def network_and_starts(case):
    activation, width, depth, dimension, seeds = case
    generator = torch.Generator().manual_seed(0)
    sizes = (dimension, *[width] * depth, 1)
    weights = tuple(torch.randn(b, a, generator=generator, dtype=torch.float64) * (2 / a) ** 0.5 for a, b in pairwise(sizes))
    biases = tuple(0.3 * torch.randn(b, generator=generator, dtype=torch.float64) for b in sizes[1:])
    zero = torch.zeros(dimension, dtype=torch.float64)
    starts = 0.1 + 0.8 * torch.rand(seeds, dimension, generator=generator)
    return Network(weights, biases, activation, zero, zero + 1, zero), starts


class Ours:
    """The native backend."""

    def __init__(self, case, threads=1):
        self.network, starts = network_and_starts(case)
        self.starts, self.threads = starts.double(), threads

    def run(self, schedule=SCHEDULE):
        return ascend(self.network, self.starts, schedule=schedule, backend="cpu", threads=self.threads).points


class Torch:
    """Eager autograd, the gradient of the sum."""

    def __init__(self, case):
        network, self.points = network_and_starts(case)
        self.weights = [weight.float() for weight in network.weights]
        self.biases = [bias.float() for bias in network.biases]
        self.activation = TORCH[case[0]]

    def values(self, points):
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            points = self.activation(torch.nn.functional.linear(points, weight, bias))
        return torch.nn.functional.linear(points, self.weights[-1], self.biases[-1])[..., 0]

    def gradient(self, points):
        points = points.detach().requires_grad_()
        values = self.values(points)
        (gradients,) = torch.autograd.grad(values.sum(), points)
        return values.detach(), gradients

    def step(self, points):
        values, gradients = self.gradient(points)
        return (points + SIZE * torch.sign(values)[:, None] * gradients / gradients.norm(dim=1, keepdim=True)).clamp(0, 1)

    def run(self, steps=STEPS):
        points = self.points
        for _ in range(steps):
            points = self.step(points)
        return points


class TorchCompile(Torch):
    """The same step, compiled."""

    def __init__(self, case):
        super().__init__(case)
        value_and_gradient = torch.func.grad_and_value(lambda u: (lambda values: (values.sum(), values))(self.values(u)), has_aux=True)

        def step(points):
            gradients, (_, values) = value_and_gradient(points)
            return (points + SIZE * torch.sign(values)[:, None] * gradients / gradients.norm(dim=1, keepdim=True)).clamp(0, 1)

        self.step = torch.compile(step)


class TorchVmap(Torch):
    """The gradient of each seed's own value, vectorized by torch.func."""

    def gradient(self, points):
        gradients, values = torch.func.vmap(torch.func.grad_and_value(self.values))(points)
        return values, gradients


class Jax:
    """One jitted fori_loop with the gradient of the sum: the strongest form we know of."""

    def __init__(self, case):
        network, starts = network_and_starts(case)
        weights = [jnp.asarray(weight.float().numpy().T) for weight in network.weights]
        biases = [jnp.asarray(bias.float().numpy()) for bias in network.biases]
        self.points, activation = jnp.asarray(starts.numpy()), JAX[case[0]]

        def total(points):
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                points = activation(points @ weight + bias)
            values = (points @ weights[-1] + biases[-1])[:, 0]
            return jnp.sum(values), values

        def step(_, points):
            gradients, values = jax.grad(total, has_aux=True)(points)
            return jnp.clip(points + SIZE * jnp.sign(values)[:, None] * gradients / jnp.linalg.norm(gradients, axis=1, keepdims=True), 0, 1)

        self.loop = jax.jit(lambda points, steps: jax.lax.fori_loop(0, steps, step, points))

    def run(self, steps=STEPS):
        return torch.from_numpy(np.array(jax.block_until_ready(self.loop(self.points, steps))))


def measure(benchmark, run, case, rounds=40):
    flops = operations(case)
    before = peak()
    benchmark.pedantic(run, rounds=rounds, iterations=1, warmup_rounds=2)
    ceiling = max(before, peak())
    rate = flops / benchmark.stats.stats.min
    benchmark.extra_info.update(
        gflops=rate / 1e9, peak_gflops=ceiling / 1e9, share_of_peak=rate / ceiling, flops="4 (dW + (L-1) W^2 + W) a seed-step"
    )


def rounds_for(case):
    return int(min(200, max(8, 4e10 / operations(case))))


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize("peer", [Ours, Torch, Jax], ids=lambda peer: peer.__name__.lower())
def test_ascent(benchmark, peer, case):
    benchmark.group = f"ascent {name_of(case)}"
    check_and_measure(benchmark, peer, case)


@pytest.mark.parametrize("case", [MIDDLE, ("silu", 64, 4, 8, 64)], ids=name_of)
@pytest.mark.parametrize("peer", [TorchCompile, TorchVmap], ids=lambda peer: peer.__name__.lower())
def test_other_peers(benchmark, peer, case):
    benchmark.group = f"ascent {name_of(case)}"
    check_and_measure(benchmark, peer, case)


@pytest.mark.parametrize("case", ODD, ids=name_of)
def test_odd_widths(benchmark, case):
    """Useful operations only: what padding does is lost."""
    benchmark.group = f"ascent {name_of(case)}"
    check_and_measure(benchmark, Ours, case)


def check_and_measure(benchmark, peer, case):
    """The same points after the loop as the float64 reference; a seed that meets a kink within rounding may turn the other way."""
    subject = peer(case)
    points = subject.run()
    network, starts = network_and_starts(case)
    few = starts[:64].double()
    expected = ascend(network, few, schedule=SCHEDULE, backend="reference", precision="float64")
    last_is_best = expected.steps == STEPS
    apart = (points[:64].double() - expected.points).norm(dim=1)[last_is_best]
    assert float((apart < 0.05 * SIZE * STEPS).double().mean()) > 0.8
    measure(benchmark, subject.run, case, rounds_for(case))


@pytest.fixture
def two_cores():
    """Gives the threads that this test starts two cores."""
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(CORES)[-2:]))
    yield
    os.sched_setaffinity(0, pinned)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_cores(benchmark, two_cores, threads):
    """The ratio of the two minima is what a second core brings; wall time, so the machine must be quiet."""
    benchmark.group = "ascent: threads on two cores"
    measure(benchmark, Ours(MIDDLE, threads).run, MIDDLE, 100)


def test_one_seed(benchmark):
    """The overhead of a call: one seed of a tiny network."""
    benchmark.group = "ascent: one seed, one step, W=4"
    subject = Ours(("relu", 4, 1, 5, 1))
    benchmark(lambda: subject.run(AscentSchedule(steps=1)))
