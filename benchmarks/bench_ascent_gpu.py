"""Ascents of many seeds on a GPU, fp32: ours beside torch eager, torch in CUDA graphs, torch.compile and JAX. Run by `python -m benchmarks.device`.

A run is STEPS normalised gradient steps on Y^2 of every seed, projected onto the cube; ours keeps the best point, statuses and stop rules besides.
Peers may work in chunks that stay in the cache: each size of CHUNKS is tried and the fastest counts. Operations: 4 (dW + (L - 1) W^2 + W) a seed and
step. Peers compute in true fp32 (no TF32), as ours does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_groups import Group, MissingPeerError, Subject
from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.ascent import ascend
from pybackdoor.records import AscentSchedule, Network

STEPS, SIZE, DIMENSION = 20, 0.002, 8
SCHEDULE = AscentSchedule(steps=STEPS, step_size=SIZE, decay=0.0, patience=0, step_tolerance=0.0)
CHUNKS = (1 << 13, 1 << 15, 1 << 17)
COMPILED_FROM = 10**6  # seeds: torch.compile takes long to compile each shape, and is timed in one chunk size, where it matters
TORCH = {"relu": torch.relu, "silu": torch.nn.functional.silu}
BARS = {  # ratio to the stronger of graphed torch and JAX, and share of the calibrated fp32 rate, by width and seeds
    (64, 1024): (6.0, None),
    (64, 10**4): (2.5, None),
    (64, 10**6): (2.0, 0.5),
    (128, 10**6): (1.3, 0.5),
}


@dataclass(frozen=True)
class Case:
    """A network of `depth` hidden layers of `width`, and `seeds` that climb it."""

    activation: str
    width: int
    depth: int
    seeds: int
    device: torch.device

    @property
    def flops(self) -> float:
        """Useful operations of a run."""
        return 4.0 * (DIMENSION * self.width + (self.depth - 1) * self.width**2 + self.width) * self.seeds * STEPS

    def network(self) -> Network:
        """As training would start it."""
        generator = torch.Generator().manual_seed(0)
        sizes = (DIMENSION, *[self.width] * self.depth, 1)
        weights = tuple(torch.randn(b, a, generator=generator, dtype=torch.float64) * (2 / a) ** 0.5 for a, b in pairwise(sizes))
        biases = tuple(0.3 * torch.randn(b, generator=generator, dtype=torch.float64) for b in sizes[1:])
        zero = torch.zeros(DIMENSION, dtype=torch.float64)
        return Network(weights, biases, self.activation, zero, zero + 1, zero).to(self.device)

    def starts(self) -> torch.Tensor:
        """[seeds, d] float32."""
        generator = torch.Generator().manual_seed(1)
        return (0.1 + 0.8 * torch.rand(self.seeds, DIMENSION, generator=generator)).to(self.device)


def groups(device: torch.device, dry: bool) -> Iterator[Group]:
    """64x3 and 128x4 at N = 1024, 1e4 and 1e6 on a GPU; one tiny group in a dry run."""
    cases = [("relu", width, depth, seeds) for seeds in (1024, 10**4, 10**6) for width, depth in ((64, 3), (128, 4))]
    for activation, width, depth, seeds in [("relu", 16, 2, 48)] if dry else [*cases, ("silu", 64, 3, 10**6)]:
        yield group(Case(activation, width, depth, seeds, device), dry)
    for width, depth, seeds in [(16, 2, 48)] if dry else [(64, 3, 10**6), (128, 4, 10**6)]:
        yield tensor_group(Case("relu", width, depth, seeds, device), dry)


def group(case: Case, dry: bool) -> Group:
    """Ours and its peers on one case."""
    backends = ["cpu", "reference"] if dry else ["cuda", "triton"]
    ours = [Subject(f"ours {name}", lambda name=name: ours_run(case, name)) for name in backends]
    graphed = [Subject(f"ours {name} graphed", lambda name=name: captured(ours_run(case, name), case.device)) for name in backends]
    peers = [
        Subject("torch eager", lambda: Torch(case).run),
        Subject("torch CUDA graphs", lambda: fastest(Torch(case).graphed, case, dry)),
        Subject("jax", lambda: fastest(jax_run(case), case, dry), own_stream=True),
    ]
    if dry or case.seeds >= COMPILED_FROM:
        chunk = min(case.seeds, CHUNKS[-1])
        peers.append(Subject("torch.compile", lambda: Torch(case, compiled="eager" if dry else "inductor").graphed(chunk)))
    ratio, share = BARS.get((case.width, case.seeds), (None, None))
    about = {"op": "ascent", "width": case.width, "hidden": case.depth, "dimension": DIMENSION, "seeds": case.seeds, "bar": ratio, "bar_share": share}
    name = f"ascent {case.activation} {case.width}x{case.depth} d={DIMENSION} N={case.seeds}"
    return Group(name, (*ours, *graphed, *peers), checker(case), case.flops, bytes=8.0 * case.seeds * DIMENSION, about=about)


def tensor_group(case: Case, dry: bool) -> Group:
    """Ours on tensor cores beside ours in float32 and torch's graphs in float32: a group of its own, since the bars of the others are for float32.

    Of 64x3 the bar is 60 TFLOP/s of useful arithmetic with three products for one ("cuda_tf32x3"); "cuda_tf32" screens.
    """
    names = ["cpu", "reference"] if dry else ["cuda_tf32x3", "cuda_tf32", "cuda"]
    ours = [Subject(f"ours {name}", lambda name=name: ours_run(case, name)) for name in names]
    peer = Subject("torch CUDA graphs", lambda: fastest(Torch(case).graphed, case, dry))
    name = f"ascent on tensor cores {case.activation} {case.width}x{case.depth} d={DIMENSION} N={case.seeds}"
    about = {"width": case.width, "hidden": case.depth, "dimension": DIMENSION, "seeds": case.seeds}  # no "op": the order of `auto` is not for these
    return Group(name, (*ours, peer), checker(case), case.flops, bytes=8.0 * case.seeds * DIMENSION, about=about)


def checker(case: Case) -> Callable[[Any], str | None]:
    """Whether the first seeds end where the float64 reference ends; one that meets a kink within rounding may turn the other way."""
    few = case.starts()[:64].double()
    expected = ascend(case.network(), few, schedule=SCHEDULE, backend="reference", precision="float64")

    def check(points: Any) -> str | None:
        found = points[:64] if isinstance(points, torch.Tensor) else torch.from_numpy(np.array(points[:64]))
        apart = (found.to(few) - expected.points).norm(dim=1)[expected.steps == STEPS]
        agreeing = float((apart < 0.05 * SIZE * STEPS).double().mean())
        return None if agreeing > 0.8 else f"only {agreeing:.0%} of the seeds end where the reference does"

    return check


def ours_run(case: Case, backend: str) -> Callable[[], torch.Tensor]:
    """Whole ascents by the named backend; float64 starts, as the search holds them."""
    network, starts = case.network(), case.starts().double()
    try:
        ascend(network, starts[:16], schedule=SCHEDULE, backend=backend)
    except UnsupportedError as reason:
        raise MissingPeerError(str(reason)) from reason
    return lambda: ascend(network, starts, schedule=SCHEDULE, backend=backend).points


def captured(run: Callable[[], torch.Tensor], device: torch.device) -> Callable[[], torch.Tensor]:
    """The same in a CUDA graph."""
    if device.type != "cuda":
        raise MissingPeerError("CUDA graphs need a GPU")
    run()  # packs the weights and compiles
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def fastest(make: Callable[[int], Callable[[], torch.Tensor]], case: Case, dry: bool) -> Callable[[], torch.Tensor]:
    """Of the chunk sizes that the seeds fill, the one whose run is shortest."""
    from benchmarks.gpu_groups import measure

    sizes = [case.seeds, *[chunk for chunk in CHUNKS if chunk < case.seeds]]
    runs = [make(size) for size in sizes]
    if len(runs) == 1 or dry:
        return runs[0]
    medians = [measure(run, torch.device("cpu") if make.__name__ == "jax_chunked" else case.device, 0.2).median for run in runs]
    return runs[medians.index(min(medians))]


class Torch:
    """Autograd's gradient of the sum, true fp32."""

    def __init__(self, case: Case, compiled: str | None = None) -> None:
        network, self.points = case.network(), case.starts()
        self.weights, self.biases = [weight.float() for weight in network.weights], [bias.float() for bias in network.biases]
        self.activation, self.device = TORCH[case.activation], case.device
        self.step = self._step if compiled is None else torch.compile(self._step, backend=compiled)

    def _values(self, points: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            points = self.activation(torch.nn.functional.linear(points, weight, bias))
        return torch.nn.functional.linear(points, self.weights[-1], self.biases[-1])[:, 0]

    def _step(self, points: torch.Tensor) -> torch.Tensor:
        gradients, values = torch.func.grad_and_value(lambda u: (lambda y: (y.sum(), y))(self._values(u)), has_aux=True)(points)
        signs = torch.sign(values[1])[:, None]
        return (points + SIZE * signs * gradients / gradients.norm(dim=1, keepdim=True)).clamp(0, 1)

    def run(self) -> torch.Tensor:
        """All steps, one kernel launch after another."""
        points = self.points
        for _ in range(STEPS):
            points = self.step(points)
        return points

    def graphed(self, chunk: int) -> Callable[[], torch.Tensor]:
        """All steps of a chunk in one CUDA graph, replayed chunk by chunk."""
        whole = self.points
        if self.device.type != "cuda":
            if self.step == self._step:
                raise MissingPeerError("CUDA graphs need a GPU")
            return self.run
        static, result = whole[:chunk].clone(), torch.empty_like(whole)
        self.points = static
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = self.run()

        def replay() -> torch.Tensor:
            for first in range(0, whole.shape[0], chunk):
                count = min(chunk, whole.shape[0] - first)
                static[:count].copy_(whole[first : first + count])
                graph.replay()
                result[first : first + count].copy_(out[:count])
            return result

        return replay


def jax_run(case: Case) -> Callable[[int], Callable[[], torch.Tensor]]:
    """One jitted loop over steps, mapped over chunks, at the highest matrix precision."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as reason:
        raise MissingPeerError(f"jax cannot be imported ({reason})") from reason
    if case.device.type == "cuda" and jax.default_backend() != "gpu":
        raise MissingPeerError(f"jax finds no GPU (its backend is {jax.default_backend()})")
    network, activation = case.network().to("cpu"), {"relu": jax.nn.relu, "silu": jax.nn.silu}[case.activation]
    weights = [jnp.asarray(weight.float().numpy().T) for weight in network.weights]
    biases = [jnp.asarray(bias.float().numpy()) for bias in network.biases]
    starts = jnp.asarray(case.starts().cpu().numpy())

    def total(points: Any) -> Any:
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            points = activation(points @ weight + bias)
        values = (points @ weights[-1] + biases[-1])[:, 0]
        return jnp.sum(values), values

    def step(_: Any, points: Any) -> Any:
        gradients, values = jax.grad(total, has_aux=True)(points)
        return jnp.clip(points + SIZE * jnp.sign(values)[:, None] * gradients / jnp.linalg.norm(gradients, axis=1, keepdims=True), 0, 1)

    def jax_chunked(chunk: int) -> Callable[[], torch.Tensor]:
        chunks = -(-case.seeds // chunk)
        padded = jnp.resize(starts, (chunks, chunk, DIMENSION))
        loop = jax.jit(lambda all_points: jax.lax.map(lambda points: jax.lax.fori_loop(0, STEPS, step, points), all_points))

        def run() -> Any:
            with jax.default_matmul_precision("highest"):
                return jax.block_until_ready(loop(padded))[0]

        return run

    return jax_chunked
