"""What must not change a result by a bit: threads, splits, several callers, a fork; and the memory a call takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
from ascent_cases import INSTRUCTION_SETS, cube_points, random_network

from pybackdoor import settings
from pybackdoor.ops.ascent import ascend, value_and_input_gradient
from pybackdoor.ops.ascent.cpu import _threads
from pybackdoor.records import Ascents, AscentSchedule

COUNT, DIMENSION = 333, 5
NETWORK = random_network((40, 33), DIMENSION, "relu", seed=9)
SECOND = random_network((17,), DIMENSION, "gelu", seed=10)
STARTS = cube_points(COUNT, DIMENSION)
OFFSETS = cube_points(COUNT, 1, 3)[:, 0]
RADII = 0.2 * cube_points(COUNT, 1, 4)[:, 0]


@pytest.fixture(params=INSTRUCTION_SETS, autouse=True)
def _instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    with settings.use_instruction_set(request.param):
        yield


def climb(low: int = 0, high: int = COUNT, *, threads: int = 1, precision: str = "float32") -> Ascents:
    """Seeds low to high; the rules stop them after different numbers of steps, so that tiles are refilled and shrink."""
    schedule = AscentSchedule(steps=40, step_size=0.05, patience=2, improvement=1e-3)
    return ascend(
        NETWORK,
        STARTS[low:high],
        schedule=schedule,
        second=SECOND,
        offsets=OFFSETS[low:high],
        radii=RADII[low:high],
        slopes=STARTS[low:high],
        threads=threads,
        precision=precision,
        backend="cpu",
    )


def parts(result: Ascents) -> tuple[torch.Tensor, ...]:
    return result.points, result.values, result.objectives, result.status, result.steps


def test_the_scenario_stops_seeds_at_different_steps() -> None:
    assert climb().steps.unique().numel() > 10


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(threads: int, precision: str) -> None:
    assert all(map(torch.equal, parts(climb(threads=threads, precision=precision)), parts(climb(precision=precision))))
    one, many = (value_and_input_gradient(NETWORK, STARTS, threads=count, precision=precision) for count in (1, threads))
    assert all(map(torch.equal, one, many))


@pytest.mark.parametrize("cuts", [(0, 1, COUNT), (0, 100, 200, COUNT), (*range(0, COUNT, 37), COUNT), (0, 32, 64, 333)], ids=str)
def test_splits_change_nothing(cuts: tuple[int, ...]) -> None:
    pieces = [parts(climb(low, high, threads=2)) for low, high in pairwise(cuts)]
    assert all(torch.equal(torch.cat(joined), whole) for joined, whole in zip(zip(*pieces, strict=True), parts(climb()), strict=True))
    evaluated = [value_and_input_gradient(NETWORK, STARTS[low:high]) for low, high in pairwise(cuts)]
    assert all(
        torch.equal(torch.cat(joined), whole)
        for joined, whole in zip(zip(*evaluated, strict=True), value_and_input_gradient(NETWORK, STARTS), strict=True)
    )


def test_order_changes_nothing() -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    shuffled = value_and_input_gradient(NETWORK, STARTS[order])
    assert all(torch.equal(part, whole[order]) for part, whole in zip(shuffled, value_and_input_gradient(NETWORK, STARTS), strict=True))


def test_several_callers_at_once() -> None:
    expected = parts(climb())
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda threads: parts(climb(threads=threads)), [1, 2, 1, 3, 2, 1, 2, 5]))
    assert all(all(map(torch.equal, result, expected)) for result in results)


def test_a_child_of_fork_computes_the_same() -> None:
    expected = parts(climb(threads=2))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if all(map(torch.equal, parts(climb(threads=2)), expected)) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_thread_outlives_the_call() -> None:
    before = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
    climb(threads=5)
    assert (len(os.listdir("/proc/self/task")) if before else 0) == before


def test_the_package_setting_is_the_default() -> None:
    with settings.use_threads(3):
        assert _threads(None, COUNT) == 3
        assert _threads(4, COUNT) == 4
        assert _threads(None, 1) == 1


def test_memory_is_inputs_outputs_and_one_tile() -> None:
    program = """
import resource, torch
from ascent_cases import cube_points, random_network
from pybackdoor.ops.ascent import ascend
from pybackdoor.records import AscentSchedule
network = random_network((24, 24), 2, "relu")
ascend(network, cube_points(64, 2), schedule=AscentSchedule(steps=1))
starts = cube_points(400_000, 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = ascend(network, starts, schedule=AscentSchedule(steps=0), threads=2)
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
outputs = sum(part.nbytes for part in vars(result).values()) / 1024
assert kilobytes < outputs + 6 * 1024, (kilobytes, outputs)
"""
    folder = os.path.dirname(__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *sys.path])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=folder)  # not the sources: they hold no compiled module
