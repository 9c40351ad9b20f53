"""Training of many networks on a GPU, fp32: ours beside torch.func vmapped over the networks, eager and in CUDA graphs, and JAX, vmapped and one
training after another. Run by `python -m benchmarks.device`.

A run is `steps` minibatch steps of `networks` networks of widths (5, W, ..., W, 1) from the same start on the same minibatches, 20,000 samples, batch
256, Adam with decoupled weight decay. Operations: 6 times the weights a sample. Peers compute in true fp32 (no TF32) and find their minibatches' row
numbers ready on the device, while ours draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_groups import Group, MissingPeerError, Subject
from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.train import initial_state, train
from pybackdoor.ops.train.minibatch import minibatch
from pybackdoor.records import TrainingPlan, TrainingState

FEATURES, RATE, DECAY = 5, 1e-3, 0.01
TORCH = {"relu": torch.relu, "silu": torch.nn.functional.silu}
BARS = {("silu", 64, 512): (3.0, 40.0)}  # to the strongest peer that trains all at once, and to JAX, one training after another


@dataclass(frozen=True)
class Case:
    """`networks` networks of `depth` hidden layers of `width`, and what they train on."""

    activation: str
    width: int
    depth: int
    networks: int
    device: torch.device
    steps: int = 100
    rows: int = 20_000
    batch: int = 256

    @property
    def flops(self) -> float:
        """Useful operations of a run."""
        return 6.0 * self.batch * self.steps * self.networks * sum(a * b for a, b in pairwise(self.widths))

    @property
    def widths(self) -> tuple[int, ...]:
        return (FEATURES, *[self.width] * self.depth, 1)

    @property
    def plan(self) -> TrainingPlan:
        return TrainingPlan(steps=10**6, batch_size=self.batch, learning_rate=RATE, schedule="constant", weight_decay=DECAY)

    @cached_property
    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(self.rows, FEATURES, generator=torch.Generator().manual_seed(0))
        y = torch.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2]
        return x.to(self.device), ((y - y.mean()) / y.std()).to(self.device)

    @cached_property
    def start(self) -> TrainingState:
        return initial_state(self.widths, self.activation, networks=self.networks, device=self.device)

    @cached_property
    def batches(self) -> torch.Tensor:
        """Row numbers [steps, networks, batch] on the device."""
        drawn = [minibatch(self.plan, 0, self.steps, self.rows, stream).to(torch.int32) for stream in range(self.networks)]
        return torch.stack(drawn, 1).to(self.device)

    @property
    def scales(self) -> tuple[list[float], list[float]]:
        """Of each step: the rate over the first moment's bias, and one over the root of the second's."""
        plan, steps = self.plan, range(1, self.steps + 1)
        return [RATE / (1 - plan.beta1**step) for step in steps], [(1 - plan.beta2**step) ** -0.5 for step in steps]


def groups(device: torch.device, dry: bool) -> Iterator[Group]:
    """W 64, depth 4 in silu and relu, 512 networks at once and one; W 128; one tiny group in a dry run."""
    if dry:
        yield group(Case("silu", 8, 2, 3, device, steps=5, rows=100, batch=16), dry)
        return
    for activation, width, networks in (("silu", 64, 512), ("relu", 64, 512), ("silu", 128, 264), ("silu", 64, 1)):
        yield group(Case(activation, width, 4, networks, device), dry)


def group(case: Case, dry: bool) -> Group:
    """Ours and its peers on one case."""
    subjects = [
        Subject(f"ours {name}", lambda name=name: ours_run(case, name)) for name in (["cpu", "reference"] if dry else ["cuda", "cuda_tf32x3"])
    ]
    subjects += [
        Subject("torch.func eager", lambda: Torch(case).run),
        Subject("torch.func CUDA graphs", lambda: Torch(case).graphed()),
        Subject("jax vmapped", lambda: jax_run(case, vmapped=True), own_stream=True),
        Subject("jax, one after another", lambda: jax_run(case, vmapped=False), own_stream=True),
    ]
    about: dict[str, Any] = {
        "op": "train",
        "width": case.width,
        "hidden": case.depth,
        "networks": case.networks,
        "batch": case.batch,
        "steps": case.steps,
    }
    about["bar"], about["bar_one_after_another"] = BARS.get((case.activation, case.width, case.networks), (None, None))
    return Group(f"train {case.activation} {case.width}x{case.depth} M={case.networks}", tuple(subjects), checker(case), case.flops, about=about)


def checker(case: Case) -> Callable[[Any], str | None]:
    """Whether the first layer of the first networks goes where the float64 reference goes; a kink may turn a few weights another way."""
    few = min(case.networks, 2)
    parts = (case.start.weights, case.start.biases, case.start.first_moments, case.start.second_moments)
    start = TrainingState(*(tuple(tensor[:few].double() for tensor in part) for part in parts))
    x, y = case.data
    after, _ = train(start, case.plan, x.double(), y.double(), until=case.steps, activation=case.activation, backend="reference")
    expected, before = after.weights[0], start.weights[0]

    def check(weights: Any) -> str | None:
        found = weights[:few] if isinstance(weights, torch.Tensor) else torch.from_numpy(np.array(weights[:few]))
        apart = float((found.to(expected) - expected).norm() / (expected - before).norm())
        return None if apart < 0.03 else f"the first layer ends {apart:.1%} of its way from where the reference ends"

    return check


def ours_run(case: Case, backend: str) -> Callable[[], torch.Tensor]:
    """All networks in one call of `ops.train`."""
    x, y = case.data

    def run(steps: int = case.steps) -> torch.Tensor:
        return train(case.start, case.plan, x, y, until=steps, activation=case.activation, backend=backend)[0].weights[0]

    try:
        run(1)
    except UnsupportedError as reason:
        raise MissingPeerError(str(reason)) from reason
    return run


class Torch:
    """torch.func's gradient, vmapped over the networks; Adam by multi-tensor operations. A counter on the device picks the step's minibatch."""

    def __init__(self, case: Case) -> None:
        self.case = case
        (self.x, self.y), self.batches = case.data, case.batches
        self.start = [tensor.clone() for tensor in case.start.weights + case.start.biases]
        self.parameters, self.first, self.second = ([torch.zeros_like(tensor) for tensor in self.start] for _ in range(3))
        self.rates, self.roots = (torch.tensor(scales, device=case.device) for scales in case.scales)
        self.counter = torch.zeros(1, dtype=torch.int64, device=case.device)
        self.gradient = torch.func.vmap(torch.func.grad(self._loss))

    def _loss(self, parameters: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        layers = len(parameters) // 2
        for weight, bias in zip(parameters[: layers - 1], parameters[layers:-1], strict=True):
            x = TORCH[self.case.activation](torch.nn.functional.linear(x, weight, bias))
        return (torch.nn.functional.linear(x, parameters[layers - 1], parameters[-1])[:, 0] - y).square().mean()

    def step(self) -> None:
        """One minibatch step of all networks."""
        plan, index = self.case.plan, self.batches.index_select(0, self.counter)[0].long()
        gradients = self.gradient(self.parameters, self.x[index], self.y[index])
        torch._foreach_lerp_(self.first, gradients, 1 - plan.beta1)
        torch._foreach_mul_(self.second, plan.beta2)
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - plan.beta2)
        scales = torch._foreach_sqrt(self.second)
        torch._foreach_mul_(scales, self.roots.index_select(0, self.counter)[0])
        torch._foreach_add_(scales, plan.epsilon)
        moves = torch._foreach_div(self.first, scales)
        torch._foreach_mul_(moves, self.rates.index_select(0, self.counter)[0])
        torch._foreach_mul_(self.parameters, 1 - RATE * DECAY)
        torch._foreach_sub_(self.parameters, moves)
        self.counter += 1

    def reset(self) -> None:
        """Back to the start."""
        torch._foreach_copy_(self.parameters, self.start)
        torch._foreach_zero_([*self.first, *self.second])
        self.counter.zero_()

    def run(self) -> torch.Tensor:
        """All steps, one kernel launch after another."""
        self.reset()
        for _ in range(self.case.steps):
            self.step()
        return self.parameters[0]

    def graphed(self) -> Callable[[], torch.Tensor]:
        """A step in a CUDA graph, replayed."""
        if self.case.device.type != "cuda":
            raise MissingPeerError("CUDA graphs need a GPU")
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.reset()
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()

        def replay() -> torch.Tensor:
            self.reset()
            for _ in range(self.case.steps):
                graph.replay()
            return self.parameters[0]

        return replay


def jax_run(case: Case, vmapped: bool) -> Callable[[], Any]:
    """One jitted scan over the steps, of all networks at once or of one after another, at the highest matrix precision."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as reason:
        raise MissingPeerError(f"jax cannot be imported ({reason})") from reason
    if case.device.type == "cuda" and jax.default_backend() != "gpu":
        raise MissingPeerError(f"jax finds no GPU (its backend is {jax.default_backend()})")
    plan, activation = case.plan, {"relu": jax.nn.relu, "silu": jax.nn.silu}[case.activation]
    x, y = (jnp.asarray(tensor.cpu().numpy()) for tensor in case.data)
    batches = jnp.asarray(case.batches.transpose(0, 1).contiguous().cpu().numpy())  # [networks, steps, batch]
    start = [jnp.asarray(tensor.cpu().numpy()) for tensor in case.start.weights + case.start.biases]
    scales = tuple(jnp.asarray(np.array(scale, dtype=np.float32)) for scale in case.scales)

    def loss(parameters: Any, rows: Any, targets: Any) -> Any:
        layers = len(parameters) // 2
        for weight, bias in zip(parameters[: layers - 1], parameters[layers:-1], strict=True):
            rows = activation(rows @ weight.T + bias)
        return jnp.mean(((rows @ parameters[layers - 1].T + parameters[-1])[:, 0] - targets) ** 2)

    def step(state: Any, given: Any) -> Any:
        (parameters, first, second), (index, rate, root) = state, given
        gradient = jax.grad(loss)(parameters, x[index], y[index])
        first = jax.tree.map(lambda m, g: plan.beta1 * m + (1 - plan.beta1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: plan.beta2 * v + (1 - plan.beta2) * g * g, second, gradient)
        move = lambda p, m, v: p * (1 - RATE * DECAY) - rate * m / (jnp.sqrt(v) * root + plan.epsilon)  # noqa: E731
        return (jax.tree.map(move, parameters, first, second), first, second), None

    def training(parameters: Any, index: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return jax.lax.scan(step, (parameters, zeros, zeros), (index, *scales))[0][0][0]

    loop = jax.jit(jax.vmap(training) if vmapped else training)

    def run() -> Any:
        with jax.default_matmul_precision("highest"):
            if vmapped:
                return jax.block_until_ready(loop(start, batches))
            ends = [loop([part[number] for part in start], batches[number]) for number in range(case.networks)]
            return jax.block_until_ready(jnp.stack(ends))

    return run
