"""What holds for all oracles on the GPU: where they compute, what is said, no wait, no copy, no spills."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from device_parity import PLACE, inside, needs_device, needs_numba_cuda

from pybackdoor.errors import UnsupportedError
from pybackdoor.oracles import ORACLES, CountedOracle, oracle
from pybackdoor.oracles.cuda import availability
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.oracle import say_once

ROOT = Path(__file__).resolve().parents[2]
LOCAL = {  # bytes a thread of kernels that index an array of their own by a number that is not known before
    "path_sums.european_finish": 56,
    "path_sums.barrier_prepare": 64,
    "path_sums.barrier_finish": 144,
    "path_sums.asian_finish": 112,
    "path_sums.max_call_5_finish": 288,
    "path_sums.max_call_5_value": 208,
    "path_sums.max_call_5_slopes": 336,  # the lines of five assets and their sums
}
SKIPPED = "basket_call_,max_call_2_,max_call_3_,pulse_"  # the kernels of max_call_5, for another payoff that needs less, or fewer assets; as CEV's
LIBRARIES = ("numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvrtc")


def installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not all(map(installed, LIBRARIES)), reason=f"compiling kernels without a device needs {', '.join(LIBRARIES)}")
def test_kernels_neither_spill_nor_use_local_memory():
    words = "-m", "benchmarks.kernel_resources", "--json", "--gradients", "--skip", SKIPPED
    found = [json.loads(line) for line in run(*words, NUMBA_ENABLE_CUDASIM="0").splitlines()]
    for kernel in found:
        print(kernel)
    names = {kernel["kernel"].split(",")[0] for kernel in found}
    assert {
        "european_vanilla.price",
        "down_and_out_put.price",
        "single_barriers.price",
        "max_call_two.price",
        "cev.price",
        "heston.price",
        "heston_adi.solve",
        "heston_adi.adjoint",
        "american.price",
        "steady.cev_gradient",
    } <= names
    assert [kernel for kernel in found if kernel["spilled"]] == []
    assert [kernel for kernel in found if kernel["local"] > LOCAL.get(kernel["kernel"].split(",")[0], 0)] == []
    assert all(kernel["registers"] * kernel["block"] <= 65536 for kernel in found)


def test_oracles_that_name_the_gpu_have_a_kernel_or_are_torch_expressions():
    names = {name for name in ORACLES if "cuda" in oracle(name).devices}
    kernels = {name for name in names if isinstance(oracle(name), OnDevice)}
    assert {"european_put", "european_call"} <= kernels
    assert names - kernels == {"branin", "ishigami", "hartmann6", "friedman1", "borehole"}


class Elsewhere(torch.Tensor):
    """A tensor of the CPU that says it lies on a GPU."""

    is_cuda = True


def test_without_numba_cuda_the_cpu_computes_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr("pybackdoor.oracles.on_device.unavailable", lambda: "numba-cuda is not installed")
    say_once.cache_clear()
    put = oracle("european_put")
    points = inside(put, 3).as_subclass(Elsewhere)
    with caplog.at_level(logging.INFO):
        found = [put.evaluate_inside(points), CountedOracle(put).evaluate_inside(points)]
    assert [record.message for record in caplog.records] == ["oracle european_put computes on the CPU for points on cpu: numba-cuda is not installed"]
    assert found[0].values.tolist() == found[1].values.tolist() == put.values(inside(put, 3)).tolist()


def test_an_oracle_without_a_kernel_says_so_once(caplog, monkeypatch):
    say_once.cache_clear()
    branin = oracle("branin")
    monkeypatch.setattr(branin, "devices", ("elsewhere",))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            branin.values(branin.domain.to_natural(torch.full((3, 2), 0.5, dtype=torch.float64)))
    assert [record.message for record in caplog.records] == ["oracle branin computes on the CPU for points on cpu: it has no kernel for them"]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(availability.importlib.util, "find_spec", lambda name: None)
    availability.unavailable.cache_clear()
    try:
        assert "pip install 'pybackdoor[gpu]'" in str(availability.unavailable())
    finally:
        availability.unavailable.cache_clear()


@needs_numba_cuda
def test_a_kernel_refuses_where_it_cannot_run(monkeypatch):
    from pybackdoor.oracles.cuda import european_vanilla, launch, rows

    monkeypatch.setattr(launch, "SIMULATED", False)
    points = inside(oracle("european_put"), 3)
    with pytest.raises(UnsupportedError, match="its tensors lie on cpu"):
        rows.solve(european_vanilla.price, points, True, 1.0)
    monkeypatch.setattr(launch, "unavailable", lambda: "numba-cuda finds no CUDA driver or device")
    with pytest.raises(UnsupportedError, match=r"european_vanilla\.price cannot run: numba-cuda finds no CUDA driver"):
        rows.solve(european_vanilla.price, points, True, 1.0)


class TestOnADevice:
    pytestmark = needs_device

    def test_nothing_waits_or_leaves_the_device(self):
        put = oracle("european_put")
        points = inside(put, 1000).to(PLACE)
        put.evaluate_inside(points, gradient=True)  # compiled now
        torch.cuda.set_sync_debug_mode("error")
        try:
            answer = put.evaluate_inside(points, gradient=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(answer.values.cpu(), put.values(points.cpu()), rtol=1e-10, atol=1e-10)

    def test_it_runs_on_the_current_stream(self):
        put, stream = oracle("european_put"), torch.cuda.Stream()
        points = inside(put, 1_000_000).to(PLACE)
        expected = put.evaluate_inside(points).values
        late = torch.empty_like(points)
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(100_000_000)
            late.copy_(points)  # a kernel on another stream would read what was there before
            found = put.evaluate_inside(late).values
        stream.synchronize()
        assert torch.equal(found, expected)

    def test_it_can_be_captured_in_a_graph(self):
        put, graph = oracle("european_put"), torch.cuda.CUDAGraph()
        points = inside(put, 1000).to(PLACE)
        expected = put.evaluate_inside(points, gradient=True)
        with torch.cuda.graph(graph):
            captured = put.evaluate_inside(points, gradient=True)
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(captured.values, expected.values)
        assert torch.equal(captured.gradients, expected.gradients)
