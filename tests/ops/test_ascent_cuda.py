"""The CUDA backend: refused with the reason where it cannot run, packed as the kernels read it, and equal to the reference where a GPU is."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.ascent import ascend, forward, value_and_input_gradient
from pybackdoor.ops.ascent.packing import folded, pack
from pybackdoor.ops.philox import normals, uniforms
from pybackdoor.records import ACTIVATIONS, AscentSchedule, Network
from pybackdoor.records.ascent import Ascents, AscentStatus

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
SHAPES = {"linear": (3, ()), "narrow": (2, (5,)), "odd": (5, (33, 70, 9)), "64x3": (8, (64, 64, 64)), "wide": (7, (130, 257)), "widest": (64, (512,))}
SCHEDULE = AscentSchedule(steps=20, step_size=0.03)


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
@pytest.mark.parametrize("backend", ["cuda"])
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


@pytest.mark.parametrize("tile", [32, 64])
@pytest.mark.parametrize("name", SHAPES)
def test_packed_weights_have_the_length_the_kernels_expect(name, tile):
    native = pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")
    net = network(*SHAPES[name])
    shape = native.NetworkShape(net.dimension, list(net.widths[:-1]), 0, False)
    packed = pack(net, tile)
    assert packed.dtype == torch.float32
    assert packed.numel() == shape.numbers(tile)
    weights, _ = folded(net)
    first = packed[: weights[0].shape[0] * -(-net.dimension // 8) * 8] if net.widths[:-1] else packed
    torch.testing.assert_close(first[: net.dimension].double(), weights[0][0], rtol=1e-6, atol=0)


def on_gpu(net: Network, *tensors: torch.Tensor | None) -> tuple[Network, list[torch.Tensor | None]]:
    return net.to("cuda"), [None if tensor is None else tensor.to("cuda") for tensor in tensors]


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("count", [0, 1, 31, 257, 40009])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_equal_the_reference(name, count):
    for activation in ACTIVATIONS:
        net, (u,) = on_gpu(network(*SHAPES[name], activation, curved=True), points(count, SHAPES[name][0]))
        out = torch.full((count,), torch.nan, dtype=torch.float64, device="cuda"), torch.full(u.shape, torch.nan, dtype=torch.float64, device="cuda")
        value_and_input_gradient(net, u, backend="cuda", out=out)
        values, gradients = value_and_input_gradient(net, u, precision="float64", backend="reference")
        torch.testing.assert_close(out[0], values, rtol=1e-5, atol=2e-5)
        error, norm = (out[1] - gradients).norm(dim=1), gradients.norm(dim=1)
        kinked = activation in ("relu", "leaky_relu", "elu")
        assert int((error > 2e-5 * (norm + 1)).sum()) <= (0.01 * count + 1 if kinked else 0)  # rounding decides at a kink


def same(ours: Ascents, theirs: Ascents) -> torch.Tensor:
    close = (ours.objectives - theirs.objectives).abs() <= 2e-3 * (1 + theirs.objectives.abs())
    return (close & (ours.status == theirs.status)) | (ours.objectives.isnan() & theirs.objectives.isnan())


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 259, 40009])
@pytest.mark.parametrize("parts", [False, True], ids=["alone", "all-parts"])
@pytest.mark.parametrize("name", SHAPES)
def test_climbs_equal_the_reference(name, parts, count):
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
    ours = ascend(net, starts, schedule=SCHEDULE, backend="cuda", **chosen)
    theirs = ascend(net, starts, schedule=SCHEDULE, precision="float64", backend="reference", **chosen)
    assert float((~same(ours, theirs)).double().mean()) <= 0.02 if count > 50 else bool(same(ours, theirs).all())
    assert int(ours.status[count // 2]) == AscentStatus.NOT_FINITE
    again = ascend(
        net,
        starts[: count // 2 + 1].clone(),
        schedule=SCHEDULE,
        backend="cuda",
        **{key: part if isinstance(part, Network) else part[: count // 2 + 1] for key, part in chosen.items()},
    )
    if count <= 259:  # the same tile
        assert torch.equal(again.objectives[: count // 2], ours.objectives[: count // 2])


@needs_gpu
@pytest.mark.gpu
def test_runs_on_the_callers_stream_and_inside_a_graph():
    net, (starts,) = on_gpu(network(5, (64, 64)), points(1000, 5))
    expected = ascend(net, starts, schedule=SCHEDULE, backend="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        captured = ascend(net, starts, schedule=SCHEDULE, backend="cuda")
    for _ in range(2):
        captured.objectives.fill_(torch.nan)
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(captured.objectives, expected.objectives)


@needs_gpu
@pytest.mark.gpu
def test_what_it_cannot_serve_is_refused():
    wide, (starts,) = on_gpu(network(3, (600,)), points(4, 3))
    with pytest.raises(UnsupportedError, match="512 units"):
        ascend(wide, starts, backend="cuda")
    with pytest.raises(UnsupportedError, match="float32, not float64"):
        ascend(network(3, (6,)).to("cuda"), starts, backend="cuda", precision="float64")
