"""Training steps: ours against torch eager, a JAX scan and scikit-learn, one pinned core, float32; and two networks on two cores.

    python -m pytest benchmarks/bench_train.py --benchmark-json=train.json        (on a crowded machine: --benchmark-timer=time.process_time)

A round is STEPS minibatch steps of one network: widths (5, W, ..., W, 1), 20,000 samples, batch 256, Adam.
FLOPs: 6 times the weights a sample (forward, and the two products of the backward pass), nothing else counted.
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
from sklearn.neural_network import MLPRegressor

from benchmarks.peak import peak
from pybackdoor.ops.train import initial_state, train
from pybackdoor.ops.train.minibatch import minibatch
from pybackdoor.records import TrainingPlan

ROWS, FEATURES, BATCH, STEPS, DEPTH, RATE = 20_000, 5, 256, 78, 4, 1e-3
PLAN = TrainingPlan(steps=10**6, batch_size=BATCH, learning_rate=RATE, schedule="constant", weight_decay=0.01)
TORCH = {"relu": torch.nn.ReLU, "silu": torch.nn.SiLU, "tanh": torch.nn.Tanh}
JAX = {"relu": jax.nn.relu, "silu": jax.nn.silu, "tanh": jnp.tanh}
CASES = [("relu", 64), ("silu", 64), ("tanh", 64), ("relu", 32), ("relu", 128), ("relu", 256)]


def widths(width):
    return (FEATURES, *[width] * DEPTH, 1)


def operations(width, steps=STEPS):
    shape = widths(width)
    return 6 * BATCH * steps * sum(a * b for a, b in pairwise(shape))


@pytest.fixture(scope="module")
def data():
    x = torch.rand(ROWS, FEATURES, generator=torch.Generator().manual_seed(0))
    y = torch.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2]
    return x, (y - y.mean()) / y.std()


@pytest.fixture
def two_cores():
    """Gives the threads that this test starts two cores."""
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(CORES)[-2:]))
    yield
    os.sched_setaffinity(0, pinned)


def measure(benchmark, run, flops, rounds=60):
    before = peak()
    benchmark.pedantic(run, rounds=rounds, iterations=1, warmup_rounds=3)
    ceiling = max(before, peak())
    rate = flops / benchmark.stats.stats.min
    benchmark.extra_info.update(gflops=rate / 1e9, peak_gflops=ceiling / 1e9, share_of_peak=rate / ceiling)


class Ours:
    """The native backend."""

    def __init__(self, x, y, activation, width, networks=1, threads=1):
        self.data, self.options = (x, y), {"activation": activation, "backend": "cpu", "threads": threads}
        self.state = initial_state(widths(width), activation, networks=networks)

    def run(self, steps=STEPS):
        self.state, _ = train(self.state, PLAN, *self.data, until=self.state.step + steps, **self.options)

    def weights(self):
        return [weight[0] for weight in self.state.weights]


class Torch:
    """Eager modules, autograd, and the fused AdamW."""

    def __init__(self, x, y, activation, width):
        self.x, self.y, shape, start = x, y, widths(width), initial_state(widths(width), activation)
        self.layers = [torch.nn.Linear(a, b) for a, b in pairwise(shape)]
        for layer, weight, bias in zip(self.layers, start.weights, start.biases, strict=True):
            layer.load_state_dict({"weight": weight[0], "bias": bias[0]})
        parts = [part for layer in self.layers for part in (layer, TORCH[activation]())][:-1]
        self.module = torch.nn.Sequential(*parts)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=RATE, weight_decay=PLAN.weight_decay, fused=True)
        self.batches = minibatch(PLAN, 0, STEPS, ROWS, 0)

    def run(self, steps=STEPS):
        for index in self.batches[:steps]:
            self.optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(self.module(self.x[index])[:, 0], self.y[index])
            loss.backward()
            self.optimizer.step()

    def weights(self):
        return [layer.weight.detach() for layer in self.layers]


class Jax:
    """One jitted scan over the steps: the strongest form we know of in JAX."""

    def __init__(self, x, y, activation, width):
        start = initial_state(widths(width), activation)
        parameters = [
            (jnp.asarray(weight[0].numpy().T), jnp.asarray(bias[0].numpy())) for weight, bias in zip(start.weights, start.biases, strict=True)
        ]
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        self.state = (parameters, zeros, zeros, jnp.zeros(()))
        self.batches = jnp.asarray(minibatch(PLAN, 0, STEPS, ROWS, 0).numpy())
        x, y, act = jnp.asarray(x.numpy()), jnp.asarray(y.numpy()), JAX[activation]

        def loss(parameters, rows, targets):
            for weight, bias in parameters[:-1]:
                rows = act(rows @ weight + bias)
            weight, bias = parameters[-1]
            return jnp.mean(((rows @ weight + bias)[:, 0] - targets) ** 2)

        def step(state, index):
            parameters, first, second, count = state
            gradient = jax.grad(loss)(parameters, x[index], y[index])
            count = count + 1
            first = jax.tree.map(lambda m, g: PLAN.beta1 * m + (1 - PLAN.beta1) * g, first, gradient)
            second = jax.tree.map(lambda v, g: PLAN.beta2 * v + (1 - PLAN.beta2) * g * g, second, gradient)
            rate, scale = RATE / (1 - PLAN.beta1**count), 1 / jnp.sqrt(1 - PLAN.beta2**count)
            parameters = jax.tree.map(
                lambda p, m, v: p * (1 - RATE * PLAN.weight_decay) - rate * m / (jnp.sqrt(v) * scale + PLAN.epsilon), parameters, first, second
            )
            return (parameters, first, second, count), None

        self.scan = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches)[0])

    def run(self, steps=STEPS):
        self.state = jax.block_until_ready(self.scan(self.state, self.batches[:steps]))

    def weights(self):
        return [torch.from_numpy(np.array(weight)).T for weight, _ in self.state[0]]


class Sklearn:
    """One epoch of `fit` a round; its own minibatches and no decoupled decay, so it is compared by the loss it reaches."""

    def __init__(self, x, y, activation, width):
        self.x, self.y = x.numpy(), y.numpy()
        self.model = MLPRegressor(
            hidden_layer_sizes=[width] * DEPTH,
            activation=activation,
            batch_size=BATCH,
            learning_rate_init=RATE,
            alpha=0.0,
            max_iter=1,
            warm_start=True,
            random_state=0,
        )

    def run(self):
        self.model.fit(self.x, self.y)


@pytest.mark.parametrize(("activation", "width"), CASES, ids=lambda value: str(value))
@pytest.mark.parametrize("peer", [Ours, Torch, Jax], ids=lambda peer: peer.__name__.lower())
def test_step(benchmark, data, peer, activation, width):
    benchmark.group = f"train {activation} W={width}"
    subject, ours = peer(*data, activation, width), Ours(*data, activation, width)
    start = ours.weights()
    subject.run(20)
    ours.run(20)
    for one, other, before in zip(subject.weights(), ours.weights(), start, strict=True):  # same start, same batches: the same way
        assert float((one - other).norm()) < 0.03 * float((other - before).norm())
    measure(benchmark, subject.run, operations(width), rounds=60 if width <= 64 else 15)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn(benchmark, data):
    benchmark.group = "train relu W=64"
    subject, ours = Sklearn(*data, "relu", 64), Ours(*data, "relu", 64)
    for _ in range(5):
        subject.run()
        ours.run()
    residual = subject.model.predict(data[0].numpy()) - data[1].numpy()
    assert float(np.mean(residual**2)) < 0.05  # it does fit
    measure(benchmark, subject.run, operations(64), rounds=10)


@pytest.mark.parametrize(("networks", "threads"), [(1, 1), (2, 2)], ids=["one-on-one", "two-on-two"])
@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_cores(benchmark, two_cores, data, networks, threads):
    """The ratio of the two minima is what a second core costs."""
    benchmark.group = "train: networks on cores"
    ours = Ours(*data, "relu", 64, networks=networks, threads=threads)
    measure(benchmark, ours.run, networks * operations(64), rounds=100)
