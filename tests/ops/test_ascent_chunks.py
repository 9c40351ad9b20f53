"""Ascents of any number of seeds in bounded memory: cut into chunks that change nothing, refused with what fits when the device is too small."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from ascent_cases import cube_points, random_network

from pybackdoor.errors import MemoryExhaustedError, PybackdoorError
from pybackdoor.ops.ascent import chunks, reference
from pybackdoor.ops.ascent.chunks import WORKING_BYTES, ascend_in_chunks, evaluate_in_chunks, rows_at_a_time, seeds_that_fit
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records import AscentSchedule
from pybackdoor.records.ascent import Ascents

DIMENSION, COUNT = 3, 41
FIELDS = ("points", "values", "objectives", "status", "steps")


class Backend:
    """Climbs by the reference in one piece a chunk; `rows`: seeds of each."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def climb(self, problem: AscentProblem, out: Ascents) -> None:
        self.rows.append(problem.starts.shape[0])
        for part in (problem.anchors, problem.slopes, problem.radii, problem.offsets):
            assert part is None or part.shape[0] == problem.starts.shape[0]
        made = reference.ascend(problem)
        for name in FIELDS:
            getattr(out, name).copy_(getattr(made, name))


def problem(count: int = COUNT, **parts: torch.Tensor) -> AscentProblem:
    net = random_network((7,), DIMENSION, "tanh")
    return AscentProblem(net, cube_points(count, DIMENSION), AscentSchedule(steps=6, step_size=0.05), precision="float64", **parts)


def every_part(count: int = COUNT) -> dict[str, torch.Tensor]:
    return {
        "anchors": cube_points(count, DIMENSION, seed=2),
        "radii": 0.3 * cube_points(count, 1, seed=3)[:, 0],
        "offsets": cube_points(count, 1, seed=4)[:, 0],
        "slopes": cube_points(count, DIMENSION, seed=5),
    }


def poisoned(count: int = COUNT) -> Ascents:
    numbers = torch.full((count, DIMENSION), torch.nan, dtype=torch.float64), *(torch.full((count,), torch.nan, dtype=torch.float64) for _ in "ab")
    return Ascents(*numbers, *(torch.full((count,), -9) for _ in "ab"))


@pytest.mark.parametrize("working", [200, 700, 2000, WORKING_BYTES])
@pytest.mark.parametrize("parts", [{}, every_part()], ids=["alone", "all-parts"])
@pytest.mark.parametrize("filled", [False, True], ids=["new", "out"])
def test_chunks_change_nothing(monkeypatch, working, parts, filled):
    monkeypatch.setattr(chunks, "WORKING_BYTES", working)
    backend, out = Backend(), poisoned() if filled else None
    ascents = ascend_in_chunks(problem(**parts)._replace(out=out), backend.climb)
    assert (ascents is out) == filled
    assert sum(backend.rows) == COUNT
    assert max(backend.rows) - min(backend.rows) <= len(backend.rows)
    assert max(backend.rows) == 1 or max(backend.rows) * 16 * (DIMENSION + 1) <= working
    whole = reference.ascend(problem(**parts))
    for name in FIELDS:
        torch.testing.assert_close(getattr(ascents, name), getattr(whole, name), rtol=1e-12, atol=1e-12)


def test_the_reference_works_in_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "WORKING_BYTES", 5000)
    seen, given = [], problem(**every_part())
    monkeypatch.setattr(reference, "ascend", lambda part, whole=reference.ascend: seen.append(part.starts.shape[0]) or whole(part))
    ascents = reference.BACKEND.ascend(given)
    values, gradients = reference.BACKEND.value_and_input_gradient(given.network, given.starts, "float64", None, None)
    assert len(seen) > 3
    assert sum(seen) == COUNT
    monkeypatch.undo()
    whole = reference.ascend(given)
    for name in FIELDS:
        torch.testing.assert_close(getattr(ascents, name), getattr(whole, name), rtol=1e-12, atol=1e-12)
    for found, expected in zip((values, gradients), reference.value_and_input_gradient(given.network, given.starts), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("working", [1, 300, WORKING_BYTES])
def test_values_and_gradients_in_chunks(monkeypatch, working):
    monkeypatch.setattr(chunks, "WORKING_BYTES", working)
    net, points = random_network((7,), DIMENSION, "tanh"), cube_points(COUNT, DIMENSION)

    def evaluate(some: torch.Tensor, values: torch.Tensor, gradients: torch.Tensor) -> None:
        made = reference.value_and_input_gradient(net, some)
        values.copy_(made[0])
        gradients.copy_(made[1])

    whole = reference.value_and_input_gradient(net, points)
    out = poisoned()
    for target in (None, (out.values, out.points)):
        found = evaluate_in_chunks(points, target, evaluate)
        assert target is None or found[0] is target[0]
        torch.testing.assert_close(found[0], whole[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found[1], whole[1], rtol=1e-12, atol=1e-12)


def test_no_seeds_are_no_work():
    backend = Backend()
    assert ascend_in_chunks(problem(0), backend.climb).points.shape == (0, DIMENSION)
    assert backend.rows == []


@pytest.mark.parametrize("dimension", [1, 8, 64])
@pytest.mark.parametrize("count", [1, 1000, 10**6, 10**7, 10**9])
def test_chunks_are_large_even_and_bounded(dimension, count):
    size = 16 * (dimension + 1)
    rows = rows_at_a_time(count, size)
    assert rows * size <= WORKING_BYTES
    assert rows >= min(count, 2**17)  # launches stay long
    assert rows * (-(-count // rows)) - count < -(-count // rows)  # no chunk is much shorter than the others


def test_ten_million_seeds_need_little_beside_their_results(monkeypatch):
    """On the host, at a hundredth of the size: what is allocated at the peak is the results and the working memory, whatever the number of seeds."""
    monkeypatch.setattr(chunks, "WORKING_BYTES", WORKING_BYTES // 100)
    starts = torch.zeros(10**5, DIMENSION, dtype=torch.float64)
    held: list[int] = []

    def climb(part: AscentProblem, out: Ascents) -> None:
        numbers = [np.empty((part.starts.shape[0], DIMENSION + 1), dtype=np.float32) for _ in range(4)]
        held.append(sum(array.nbytes for array in numbers))
        for name in FIELDS:
            getattr(out, name).fill_(1)

    tracemalloc.start()
    try:
        done = ascend_in_chunks(problem()._replace(starts=starts), climb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(held) >= 3
    assert max(held) <= chunks.WORKING_BYTES
    assert peak <= 1.1 * chunks.WORKING_BYTES
    assert int(done.steps.sum()) == 10**5


def test_what_cannot_fit_is_refused_before_it_begins_with_what_fits(monkeypatch):
    """A device that says it has 1 GiB free, asked for 8 GB of results."""
    monkeypatch.setattr(chunks, "free_bytes", lambda device: 1 << 30)
    asked = problem(4)._replace(starts=torch.zeros(1, DIMENSION, dtype=torch.float64).expand(150_000_000, DIMENSION))
    backend = Backend()
    with pytest.raises(MemoryExhaustedError, match=r"cpu has 1024 MiB free; needed: 8011 MiB for the results of 150000000 seeds") as caught:
        ascend_in_chunks(asked, backend.climb)
    assert backend.rows == []
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, PybackdoorError)
    fits = int(str(caught.value).split("at most ")[1].split()[0])
    assert 10_000_000 < fits < (1 << 30) / 56
    with chunks.room(torch.device("cpu"), fits, 56, 64):  # what it says fits does
        pass


@pytest.mark.parametrize(("a_result", "a_copy"), [(56, 64), (544, 1040), (0, 64)])
@pytest.mark.parametrize("free", [0, 1, 119, 120, 10**6, WORKING_BYTES, 10**9, 10**11])
def test_as_many_seeds_fit_as_said_and_no_more(free, a_result, a_copy):
    def bytes_of(count: int) -> int:
        return count * a_result + min(count * a_copy, WORKING_BYTES)

    fits = seeds_that_fit(free, a_result, a_copy)
    if a_result == 0 and free >= WORKING_BYTES:
        assert fits > 10**9  # only the working memory is needed, whatever their number
        return
    assert bytes_of(fits) <= free
    assert bytes_of(fits + 1) > free


def test_a_small_call_does_not_ask_for_the_memory(monkeypatch):
    monkeypatch.setattr(chunks, "free_bytes", lambda device: pytest.fail("asked"))
    ascend_in_chunks(problem(), Backend().climb)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (None, "cpu has no room for .*; ask for fewer seeds at a time, or"),
        (1200, "cpu has 0 MiB free; .*; ask for at most 10 seeds at a time and"),
        (3 << 20, "cpu has 3 MiB free; .*; ask for fewer seeds at a time, or"),  # it lies in too small pieces
    ],
)
def test_memory_that_runs_out_on_the_way_is_explained(monkeypatch, free, said):
    monkeypatch.setattr(chunks, "free_bytes", lambda device: free)

    def climb(problem: AscentProblem, out: Ascents) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(MemoryExhaustedError, match=said) as caught:
        ascend_in_chunks(problem(), climb)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert "free tensors that are not needed" in str(caught.value)


def test_results_given_need_no_room(monkeypatch):
    """With `out` only the working memory is asked for."""
    monkeypatch.setattr(chunks, "WORKING_BYTES", 2000)
    monkeypatch.setattr(chunks, "free_bytes", lambda device: 2000)
    ascend_in_chunks(problem()._replace(out=poisoned()), Backend().climb)
    with pytest.raises(MemoryExhaustedError):
        ascend_in_chunks(problem(), Backend().climb)
