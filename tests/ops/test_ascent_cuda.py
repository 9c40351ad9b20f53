"""The CUDA backend: refused with the reason where it cannot run, packed as the kernels read it, and equal to the reference where a GPU is."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.errors import MemoryExhaustedError, UnsupportedError
from pybackdoor.ops.ascent import AscentProblem, ascend, chunks, forward, solve, value_and_input_gradient
from pybackdoor.ops.ascent.packing import folded, pack
from pybackdoor.ops.philox import normals, uniforms
from pybackdoor.records import ACTIVATIONS, AscentSchedule, Network
from pybackdoor.records.ascent import Ascents, AscentStatus

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
SHAPES = {"linear": (3, ()), "narrow": (2, (5,)), "odd": (5, (33, 70, 9)), "64x3": (8, (64, 64, 64)), "wide": (7, (130, 257)), "widest": (64, (512,))}
SCHEDULE = AscentSchedule(steps=20, step_size=0.03)
BACKENDS = ["cuda", "cuda_tf32x3", "cuda_tf32"]


def network(dimension: int, widths: tuple[int, ...], activation: str = "silu", *, seed: int = 0, curved: bool = False) -> Network:
    shapes = [(after, before) for before, after in zip((dimension, *widths), (*widths, 1), strict=True)]
    weights = tuple(normals(a * b, seed=seed, purpose="weights", stream=i).reshape(a, b) * (2 / b) ** 0.5 for i, (a, b) in enumerate(shapes))
    biases = tuple(0.3 * normals(a, seed=seed, purpose="biases", stream=i) for i, (a, _) in enumerate(shapes))
    shift, scale, rate = (normals(dimension, seed=seed, purpose="input", stream=i) for i in range(3))
    rate = torch.where(torch.arange(dimension) % 2 == 0, 0.5 * rate, 0.0) if curved else torch.zeros(dimension, dtype=torch.float64)
    return Network(weights, biases, activation, 0.3 * shift, scale, rate, output_shift=0.5, output_scale=2.0)


def points(count: int, dimension: int, stream: int = 0) -> torch.Tensor:
    return uniforms(count * dimension, seed=3, purpose="points", stream=stream).reshape(count, dimension)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_named_backend_without_a_device_is_refused_with_the_reason(backend):
    with pytest.raises(UnsupportedError, match=rf"backend '{backend}' cannot serve this call: .*(CUDA|triton).*these can: .*reference"):
        ascend(network(2, (4,)), points(3, 2), backend=backend)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_affine_maps_are_folded_into_the_weights(name, curved):
    net = network(*SHAPES[name], curved=curved)
    weights, biases = folded(net)
    zero, one = torch.zeros(net.dimension, dtype=torch.float64), torch.ones(net.dimension, dtype=torch.float64)
    u = points(11, net.dimension)
    mapped = torch.where(net.input_rate != 0, torch.exp(net.input_rate * u), u)
    plain = Network(tuple(weights), tuple(biases), net.activation, zero, one, zero)
    torch.testing.assert_close(forward(plain, mapped), forward(net, u), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fragments", [False, True], ids=["rows", "fragments"])
@pytest.mark.parametrize("tile", [32, 64])
@pytest.mark.parametrize("name", SHAPES)
def test_packed_weights_have_the_length_the_kernels_expect(name, tile, fragments):
    native = pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")
    net = network(*SHAPES[name])
    shape = native.NetworkShape(net.dimension, list(net.widths[:-1]), 0, False)
    packed = pack(net, tile, fragments=fragments)
    assert packed.dtype == torch.float32
    assert packed.numel() == shape.numbers(tile, fragments)
    if fragments:
        return  # their order is tested in test_ascent_cuda_host.py
    weights, _ = folded(net)
    first = packed[: weights[0].shape[0] * -(-net.dimension // 8) * 8] if net.widths[:-1] else packed
    torch.testing.assert_close(first[: net.dimension].double(), weights[0][0], rtol=1e-6, atol=0)


def on_gpu(net: Network, *tensors: torch.Tensor | None) -> tuple[Network, list[torch.Tensor | None]]:
    return net.to("cuda"), [None if tensor is None else tensor.to("cuda") for tensor in tensors]


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["cuda", "cuda_tf32x3"])
@pytest.mark.parametrize("count", [0, 1, 31, 257, 40009])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_equal_the_reference(name, count, backend):
    for activation in ACTIVATIONS:
        net, (u,) = on_gpu(network(*SHAPES[name], activation, curved=True), points(count, SHAPES[name][0]))
        out = torch.full((count,), torch.nan, dtype=torch.float64, device="cuda"), torch.full(u.shape, torch.nan, dtype=torch.float64, device="cuda")
        value_and_input_gradient(net, u, backend=backend, out=out)
        values, gradients = value_and_input_gradient(net, u, precision="float64", backend="reference")
        torch.testing.assert_close(out[0], values, rtol=1e-5, atol=2e-5)
        error, norm = (out[1] - gradients).norm(dim=1), gradients.norm(dim=1)
        kinked = activation in ("relu", "leaky_relu", "elu")
        assert int((error > 2e-5 * (norm + 1)).sum()) <= (0.01 * count + 1 if kinked else 0)  # rounding decides at a kink


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", ["odd", "64x3", "wide"])
def test_screening_is_close_and_no_closer(name):
    net, (u,) = on_gpu(network(*SHAPES[name], "tanh"), points(1009, SHAPES[name][0]))
    values, gradients = value_and_input_gradient(net, u, backend="cuda_tf32")
    expected, slopes = value_and_input_gradient(net, u, precision="float64", backend="reference")
    error = (gradients - slopes).norm(dim=1) / slopes.norm(dim=1)
    assert 5e-5 < float(error.median()) < 1e-2
    assert float((values - expected).abs().max()) < 2e-2 * float(1 + expected.abs().max())


def same(ours: Ascents, theirs: Ascents) -> torch.Tensor:
    close = (ours.objectives - theirs.objectives).abs() <= 2e-3 * (1 + theirs.objectives.abs())
    return (close & (ours.status == theirs.status)) | (ours.objectives.isnan() & theirs.objectives.isnan())


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 259, 40009])
@pytest.mark.parametrize("parts", [False, True], ids=["alone", "all-parts"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("backend", ["cuda", "cuda_tf32x3"])
def test_climbs_equal_the_reference(backend, name, parts, count):
    dimension = SHAPES[name][0]
    net, (starts, anchors, radii, offsets, slopes) = on_gpu(
        network(*SHAPES[name]),
        points(count, dimension),
        points(count, dimension, 1),
        0.3 * points(count, 1, 2)[:, 0],
        points(count, 1, 3)[:, 0],
        points(count, dimension, 4),
    )
    second = network(dimension, (40, 12), seed=5).to("cuda")
    chosen = {"anchors": anchors, "radii": radii, "offsets": offsets, "slopes": slopes, "second": second} if parts else {}
    starts[count // 2] = torch.nan
    ours = ascend(net, starts, schedule=SCHEDULE, backend=backend, **chosen)
    theirs = ascend(net, starts, schedule=SCHEDULE, precision="float64", backend="reference", **chosen)
    assert float((~same(ours, theirs)).double().mean()) <= 0.02 if count > 50 else bool(same(ours, theirs).all())
    assert int(ours.status[count // 2]) == AscentStatus.NOT_FINITE
    again = ascend(
        net,
        starts[: count // 2 + 1].clone(),
        schedule=SCHEDULE,
        backend=backend,
        **{key: part if isinstance(part, Network) else part[: count // 2 + 1] for key, part in chosen.items()},
    )
    if count > 1:  # other tiles or not
        assert torch.equal(again.objectives[: count // 2], ours.objectives[: count // 2])


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("parts", [False, True], ids=["alone", "all-parts"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_runs_on_the_callers_stream_and_inside_a_graph(backend, parts):
    net, (starts, anchors, radii, slopes) = on_gpu(
        network(5, (64, 64)), points(1000, 5), points(1000, 5, 1), 0.3 * points(1000, 1, 2)[:, 0], points(1000, 5, 4)
    )
    chosen = {"anchors": anchors, "radii": radii, "slopes": slopes} if parts else {}
    expected = ascend(net, starts, schedule=SCHEDULE, backend=backend, **chosen)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        captured = ascend(net, starts, schedule=SCHEDULE, backend=backend, **chosen)
    for _ in range(2):
        captured.objectives.fill_(torch.nan)
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(captured.objectives, expected.objectives)
        assert torch.equal(captured.points, expected.points)


@needs_gpu
@pytest.mark.gpu
def test_waits_for_nothing():
    net, (starts, anchors, radii) = on_gpu(network(5, (64, 64)), points(1000, 5), points(1000, 5, 1), 0.3 * points(1000, 1, 2)[:, 0])
    problem = AscentProblem(net, starts, SCHEDULE, anchors, radii)
    solve(problem, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        solve(problem, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.gpu
def test_chunks_change_no_bit(monkeypatch):
    net, (starts,) = on_gpu(network(5, (64, 64)), points(40009, 5))
    whole = ascend(net, starts, schedule=SCHEDULE, backend="cuda")
    monkeypatch.setattr(chunks, "WORKING_BYTES", 1 << 18)
    cut = ascend(net, starts, schedule=SCHEDULE, backend="cuda")
    assert torch.equal(cut.points, whole.points)
    assert torch.equal(cut.steps, whole.steps)


@needs_gpu
@pytest.mark.gpu
def test_ten_million_seeds_in_bounded_memory():
    """Beside what is given and returned, a quarter of a gigabyte."""
    net, (starts,) = on_gpu(network(8, (64, 64)), points(1000, 8).repeat(10_000, 1))
    ascend(net, starts[:1000], schedule=AscentSchedule(steps=2), backend="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    done = ascend(net, starts, schedule=AscentSchedule(steps=2), backend="cuda")
    results = sum(tensor.nbytes for tensor in (done.points, done.values, done.objectives, done.status, done.steps))
    assert torch.cuda.max_memory_allocated() - before - results < 1.1 * chunks.WORKING_BYTES + (1 << 27)
    assert torch.equal(done.points[:1000], done.points[-1000:])


@needs_gpu
@pytest.mark.gpu
def test_memory_that_is_not_there_is_said_with_what_fits():
    net, (starts,) = on_gpu(network(8, (64,)), points(1, 8))
    with pytest.raises(MemoryExhaustedError, match=r"ask for at most [0-9]+ seeds at a time"):
        ascend(net, starts.expand(2**31 - 1, 8), backend="cuda")


@needs_gpu
@pytest.mark.gpu
def test_what_it_cannot_serve_is_refused():
    wide, (starts,) = on_gpu(network(3, (600,)), points(4, 3))
    with pytest.raises(UnsupportedError, match="512 units"):
        ascend(wide, starts, backend="cuda")
    with pytest.raises(UnsupportedError, match="float32, not float64"):
        ascend(network(3, (6,)).to("cuda"), starts, backend="cuda", precision="float64")
