"""Calls of any number of seeds in bounded device memory: a backend's own copies and raw results exist for some seeds at a time.

A call holds what it was given, its results, and WORKING_BYTES at most beside them. Every seed's result is the same as in one piece.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pybackdoor.errors import MemoryExhaustedError
from pybackdoor.ops.ascent.problem import AscentProblem
from pybackdoor.records.ascent import Ascents

WORKING_BYTES = 1 << 28
_SINGLE, _DOUBLE = 4, 8


def ascend_in_chunks(problem: AscentProblem, climb: Callable[[AscentProblem, Ascents], None], working: int = 0) -> Ascents:
    """Results of all seeds, in `problem.out` where it is given; `climb(part, out)` fills those of some seeds.

    It works in float32 copies of what it is given, and in `working` bytes a seed beside them.

    Raises MemoryExhaustedError, with what fits, when the device has no room for it.
    """
    count, dimension = problem.starts.shape
    device = problem.starts.device
    a_result = 0 if problem.out is not None else _DOUBLE * (dimension + 4)
    a_copy = _SINGLE * 4 * (dimension + 1) + working  # starts, anchors, slopes and points; radii, offsets, values and objectives
    rows = rows_at_a_time(count, a_copy)
    with room(device, count, a_result, a_copy):
        out = problem.out if problem.out is not None else _new_ascents(count, dimension, device)
        if 0 < count <= rows:
            climb(problem, out)
            return out
        for begin in range(0, count, rows):
            here = slice(begin, begin + rows)
            parts = {name: part[here] for name in ("anchors", "radii", "offsets", "slopes") if (part := getattr(problem, name)) is not None}
            climb(problem._replace(starts=problem.starts[here], **parts), Ascents(*(tensor[here] for tensor in tensors_of(out))))
    return out


def evaluate_in_chunks(
    points: torch.Tensor,
    out: tuple[torch.Tensor, torch.Tensor] | None,
    evaluate: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None],
    working: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and gradients at all points, in `out` where it is given; `evaluate(points, values, gradients)` fills those of some.

    Works in, and raises, as `ascend_in_chunks`.
    """
    count, dimension = points.shape
    a_copy = _SINGLE * (2 * dimension + 1) + working
    rows = rows_at_a_time(count, a_copy)
    with room(points.device, count, 0 if out is not None else _DOUBLE * (dimension + 1), a_copy):
        values, gradients = out if out is not None else (points.new_empty(count), points.new_empty(count, dimension))
        for begin in range(0, count, rows):
            here = slice(begin, begin + rows)
            evaluate(points[here], values[here], gradients[here])
    return values, gradients


def rows_at_a_time(count: int, row_bytes: int) -> int:
    """Seeds, at least one, whose copies fit WORKING_BYTES: as many in every chunk, as nearly as can be."""
    most = max(1, WORKING_BYTES // row_bytes)
    chunks = max(1, -(-count // most))
    return max(1, -(-count // chunks))


@contextmanager
def room(device: torch.device, count: int, a_result: int, a_copy: int) -> Iterator[None]:
    """Refuses a large call that cannot fit the device, and explains one for which memory runs out after all; bytes of results and copies a seed."""
    if count * (a_result + a_copy) > WORKING_BYTES:  # for less, asking would take longer than it may save
        free = free_bytes(device)
        if free is not None and count > seeds_that_fit(free, a_result, a_copy):
            raise _exhausted(device, count, a_result, a_copy, free)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _exhausted(device, count, a_result, a_copy, free_bytes(device)) from error


def seeds_that_fit(free: int, a_result: int, a_copy: int) -> int:
    """The most seeds whose results, with the copies of as many as WORKING_BYTES hold, take at most `free` bytes."""
    whole, left = free // (a_result + a_copy), free - WORKING_BYTES
    if left < 0:
        return whole
    return max(whole, left // a_result) if a_result else sys.maxsize


def free_bytes(device: torch.device) -> int | None:
    """Bytes of the device's memory that torch can still hand out; None on the CPU, and while a CUDA graph is captured, when nothing may be asked."""
    if device.type != "cuda" or capturing(device):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def capturing(device: torch.device) -> bool:
    """Whether what is enqueued on the device goes into a CUDA graph: then nothing there can be looked at, and nothing waited for."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _exhausted(device: torch.device, count: int, a_result: int, a_copy: int, free: int | None) -> MemoryExhaustedError:
    working = min(count * a_copy, WORKING_BYTES)
    need = f"{_mebibytes(count * a_result)} for the results of {count} seeds and {_mebibytes(working)} to work in"
    fit = 0 if free is None else seeds_that_fit(free, a_result, a_copy)
    found = f"{device} has no room for {need}" if free is None else f"{device} has {_mebibytes(free)} free; needed: {need}"
    advice = f"ask for at most {fit} seeds at a time and move each part's results away" if 0 < fit < count else "ask for fewer seeds at a time"
    return MemoryExhaustedError(f"ascent: {found}; {advice}, or free tensors that are not needed")


def _mebibytes(number: int) -> str:
    return f"{number / 2**20:.0f} MiB"


def _new_ascents(count: int, dimension: int, device: torch.device) -> Ascents:
    def new(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    return Ascents(new(count, dimension), new(count), new(count), new(count, dtype=torch.int64), new(count, dtype=torch.int64))


def tensors_of(ascents: Ascents) -> tuple[torch.Tensor, ...]:
    """Its five tensors, in the record's order."""
    return ascents.points, ascents.values, ascents.objectives, ascents.status, ascents.steps
