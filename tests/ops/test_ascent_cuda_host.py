"""What surrounds the CUDA ascent's launches, without a device: packing, plans, chunks, results in place, and what a CUDA graph may capture.

Packing and plans are the compiled module's own; a launch unpacks what it is given the addresses of, as csrc/include/pybackdoor/cuda_ascent.hpp lays
it out, and runs the reference on it. The kernels themselves run on the host in csrc/tests/test_cuda_ascent.cpp.
"""

from __future__ import annotations

import contextlib
import ctypes
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ascent_cases import cube_points, random_network
from torch.overrides import TorchFunctionMode

from pybackdoor.errors import InputError, UnsupportedError
from pybackdoor.ops import ascent
from pybackdoor.ops.ascent import ascend, chunks, cuda, reference, value_and_input_gradient
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records import ACTIVATIONS, AscentSchedule, Network

H200 = (132, 227 * 1024)
BACKENDS = ["cuda", "cuda_tf32x3", "cuda_tf32"]
SHAPES = {"linear": (3, ()), "odd": (5, (33, 70, 9)), "64x3": (8, (64, 64, 64)), "widest": (64, (512, 20))}
SCHEDULE = AscentSchedule(steps=4, step_size=0.05)
NUMBERS = {torch.float32: ctypes.c_float, torch.int64: ctypes.c_int64}


def at(address: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor | None:
    if address == 0:
        return None
    count = int(torch.Size(shape).numel())
    return torch.frombuffer((NUMBERS[dtype] * count).from_address(address), dtype=dtype).reshape(shape)


def out_of_fragments(numbers: torch.Tensor, rows: int, columns: int, tile: int) -> torch.Tensor:
    """Element by element, from where mma.m16n8k8 wants it."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    piece = ((row // tile) * (columns // 8) + column // 8) * (tile // 16) + row % tile // 16
    lane, number = 4 * (row % 8) + column % 4, row // 8 % 2 + 2 * (column // 4 % 2)
    return numbers[(piece * 32 + lane) * 4 + number]


class HostModule:
    """`_native_cuda` whose launches run the reference in float32; `counts`: seeds of each, `exact`: whether three products for one are asked for."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.counts: list[int] = []
        self.exact: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def limits(self, device: int) -> tuple[int, int]:
        return H200

    def NetworkShape(self, dimension: int, widths: list[int], activation: int, curved: bool) -> SimpleNamespace:
        made = self.module.NetworkShape(dimension, widths, activation, curved)
        return SimpleNamespace(made=made, sizes=(dimension, *widths), activation=ACTIVATIONS[activation], refusal=made.refusal)

    def Parts(self, *addresses: int) -> SimpleNamespace:
        return SimpleNamespace(addresses=addresses)

    def Outputs(self, *addresses: int) -> SimpleNamespace:
        return SimpleNamespace(addresses=addresses)

    def StepRule(self, *numbers: Any) -> tuple[Any, ...]:
        return numbers

    def plan(self, first: Any, second: Any, count: int, parts: Any, multiprocessors: int, shared_bytes: int, tensor: bool) -> SimpleNamespace:
        made = self.module.plan(first.made, second and second.made, count, self.module.Parts(*parts.addresses), multiprocessors, shared_bytes, tensor)
        return SimpleNamespace(tile=made.tile, workspace_bytes=made.workspace_bytes, tensor=tensor)

    def climb(
        self, plan: Any, first: Any, second: Any, parts: Any, rule: Any, outputs: Any, count: int, workspace: int, stream: int, exact: bool
    ) -> None:
        assert stream == 7
        self.counts.append(count)
        self.exact.append(exact)
        d = first[0].sizes[0]
        starts, anchors, radii, offsets, slopes = (
            at(address, count, *wide) for address, wide in zip(parts.addresses, ((d,), (d,), (), (), (d,)), strict=True)
        )
        points, values, objectives = (at(address, count, *wide) for address, wide in zip(outputs.addresses, ((d,), (), ()), strict=False))
        status, steps = (at(address, count, dtype=torch.int64) for address in outputs.addresses[3:])
        net, other = self.unpacked(plan, *first), second and self.unpacked(plan, *second)
        if rule is None:
            made = reference.value_and_input_gradient(net, starts)
            values.copy_(made[0])
            points.copy_(made[1])
            return
        assert rule[:2] == (SCHEDULE.steps, SCHEDULE.step_size)
        done = reference.ascend(AscentProblem(net, starts.double(), SCHEDULE, *map(double, (anchors, radii)), other, *map(double, (offsets, slopes))))
        for target, source in zip((points, values, objectives, status, steps), chunks.tensors_of(done), strict=True):
            target.copy_(source)

    @staticmethod
    def unpacked(plan: Any, shape: Any, address: int) -> Network:
        made, tile = shape.made, plan.tile
        numbers = at(address, made.numbers(tile, plan.tensor)).double()
        place, weights, biases = 0, [], []

        def take(count: int) -> torch.Tensor:
            nonlocal place
            place += count
            return numbers[place - count : place]

        columns = -(-shape.sizes[0] // 8) * 8
        for layer, (before, width) in enumerate(zip(shape.sizes[:-1], shape.sizes[1:], strict=True)):
            rows = -(-width // tile) * tile
            part = take(rows * columns)
            matrix = out_of_fragments(part, rows, columns, tile) if plan.tensor else part.reshape(rows, columns)
            assert int(matrix.count_nonzero()) == int(matrix[:width, :before].count_nonzero())
            weights.append(matrix[:width, :before])
            biases.append(take(rows)[:width])
            if plan.tensor and layer > 0:
                assert torch.equal(out_of_fragments(take(rows * columns), columns, rows, tile), matrix.T)
            columns = rows
        weights.append(take(columns)[None, : shape.sizes[-1]])
        biases.append(take(4)[:1])
        rate = take(-(-shape.sizes[0] // 8) * 8)[: shape.sizes[0]]
        assert place == numbers.numel()
        zero = torch.zeros(shape.sizes[0], dtype=torch.float64)
        return Network(tuple(weights), tuple(biases), shape.activation, zero, zero + 1, rate)


def double(part: torch.Tensor | None) -> torch.Tensor | None:
    return None if part is None else part.double()


@pytest.fixture
def host(monkeypatch):
    """The CUDA backends serve CPU tensors through a HostModule."""
    made = HostModule(pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built"))
    monkeypatch.setattr(cuda, "native", lambda: made)
    monkeypatch.setattr(cuda.CudaBackend, "unsupported", lambda *call, **options: None)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=7))
    return made


def parts_of(count: int, dimension: int) -> dict[str, Any]:
    return {
        "anchors": cube_points(count, dimension, seed=2),
        "radii": 0.3 * cube_points(count, 1, seed=3)[:, 0],
        "offsets": cube_points(count, 1, seed=4)[:, 0],
        "slopes": cube_points(count, dimension, seed=5),
        "second": random_network((40, 12), dimension, "tanh", seed=6),
    }


@pytest.mark.parametrize("count", [1, 37, 30_000])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_and_gradients_reach_the_kernel_and_come_back(host, backend, name, count):
    dimension, widths = SHAPES[name]
    if count > 1000 and name != "odd":
        pytest.skip("the tile is the same for another count")
    net, u = random_network(widths, dimension, "silu"), cube_points(count, dimension)
    out = torch.full((count,), torch.nan, dtype=torch.float64), torch.full((count, dimension), torch.nan, dtype=torch.float64)
    value_and_input_gradient(net, u, backend=backend, out=out)
    values, gradients = value_and_input_gradient(net, u, backend="reference", precision="float64")
    torch.testing.assert_close(out[0], values, rtol=1e-5, atol=1e-5)
    assert float(((out[1] - gradients).norm(dim=1) / gradients.norm(dim=1)).max()) < 2e-5
    assert host.exact == [backend != "cuda_tf32"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("parts", [False, True], ids=["alone", "all-parts"])
def test_climbs_in_chunks_are_as_in_one_piece(host, monkeypatch, backend, parts):
    count, dimension = 61, 5
    net, starts = random_network((33, 9), dimension, "gelu"), cube_points(count, dimension)
    chosen = parts_of(count, dimension) if parts else {}
    whole = ascend(net, starts, schedule=SCHEDULE, backend=backend, **chosen)
    theirs = ascend(net, starts, schedule=SCHEDULE, backend="reference", precision="float64", **chosen)
    torch.testing.assert_close(whole.points, theirs.points, rtol=1e-4, atol=1e-4)
    assert torch.equal(whole.status, theirs.status)
    monkeypatch.setattr(chunks, "WORKING_BYTES", 16 * (dimension + 1) * 25)
    filled = chunks._new_ascents(count, dimension, starts.device)
    for tensor in chunks.tensors_of(filled):
        tensor.fill_(-9)
    assert ascend(net, starts, schedule=SCHEDULE, backend=backend, out=filled, **chosen) is filled
    assert host.counts == [61, 21, 21, 19]
    for one, other in zip(chunks.tensors_of(filled), chunks.tensors_of(whole), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


class NothingIsLookedAt(TorchFunctionMode):
    """Fails where a call must know a tensor's content on the host, which cannot be while a CUDA graph is captured."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        assert name not in {"item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero", "equal", "is_nonzero"}
        return function(*arguments, **(named or {}))


@pytest.fixture
def capture(host, monkeypatch):
    """As if a CUDA graph were being captured: the launch itself is left out."""

    @contextlib.contextmanager
    def captured():
        with monkeypatch.context() as patch, NothingIsLookedAt():
            for module in (ascent, cuda, chunks):
                patch.setattr(module, "capturing", lambda device: True)
            patch.setattr(host, "climb", lambda *call: host.counts.append(call[6]))
            yield

    return captured


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_part_can_be_captured(host, capture, backend):
    """Anchors and radii too: what is checked by looking at them otherwise is then taken as it is."""
    count, dimension = 61, 5
    net, starts, parts = random_network((33,), dimension, "silu"), cube_points(count, dimension), parts_of(count, dimension)
    options = {"schedule": SCHEDULE, "backend": backend, **parts}
    ascend(net, starts, **options)
    with capture():
        ascend(net, starts, **options)
        value_and_input_gradient(net, starts, backend=backend)
    assert host.counts == [count] * 3
    with pytest.raises(InputError, match="radii"):
        ascend(net, starts, **{**options, "radii": -parts["radii"]})


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_not_packed_yet_cannot_be_captured(host, capture, backend):
    net, starts = random_network((33,), 5, "silu"), cube_points(4, 5)
    with capture(), pytest.raises(UnsupportedError, match="make the same call once before the capture"):
        ascend(net, starts, schedule=SCHEDULE, backend=backend)
    ascend(net, starts, schedule=SCHEDULE, backend=backend)
    more = cube_points(10**5, 5)  # other tiles, packed otherwise
    with capture(), pytest.raises(UnsupportedError, match="make the same call once before the capture"):
        ascend(net, more, schedule=SCHEDULE, backend=backend)


def test_a_device_too_small_is_refused(host, monkeypatch):
    monkeypatch.setattr(host, "limits", lambda device: (10, 48 * 1024))
    with pytest.raises(UnsupportedError, match=r"bytes of shared memory a block for this network; the device has 49152; the reference serves it"):
        ascend(random_network((512,), 3, "relu"), cube_points(4, 3), schedule=SCHEDULE, backend="cuda")
