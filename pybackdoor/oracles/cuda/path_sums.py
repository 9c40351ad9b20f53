"""Means over paths on the device: the kernels around what one problem says of a point and of a path.

`prepare`, a thread a point: the frame, what all paths of a point share. `add`, a warp a point and stretch of the paths: lane l takes paths l, l + 32 .. of
the stretch, and the points of a block the same ones, which therefore come out of the first-level cache. `finish`, a thread a point and copy: value
and derivatives from the sums. `average`, a thread a point and column: the mean of the copies and its standard error. Sums are added lane by lane,
the lanes in order, the stretches in order: a result depends on the point and the number of paths, on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numba
from numba import cuda

from pybackdoor.oracles.cuda.launch import Kernel, kernel
from pybackdoor.oracles.draws import COPIES

LANES, POINTS = 32, 4  # of a block of `add`
_WIDTH = LANES + 1  # of a row of lanes in shared memory, so that lanes that read rows meet no conflict


@dataclass(frozen=True)
class PathProblem:
    """A problem in the terms of the kernels, and how many numbers each hands on.

    prepare(point, constants, frame) and finish(point, constants, frame, sums, paths, answer) are the CPU's compiled functions, on short arrays;
    path(frames, point, numbers, table, place, sums) is a device function that adds what one path is worth to the sums, which lie in registers.
    """

    title: str
    prepare: Callable[..., None]
    path: Callable[..., Any]
    finish: Callable[..., None]
    features: int
    frame: int
    sums: int
    columns: int  # 1, or 1 + features


class PathKernels(NamedTuple):
    """The kernels of one problem."""

    prepare: Kernel
    add: Kernel
    finish: Kernel


@cache
def kernels(problem: PathProblem) -> PathKernels:
    """Those of `problem`, made once a process."""
    parts = (_prepare, 1), (_add, LANES), (_finish, 1)
    return PathKernels(*(kernel(lanes=lanes)(_titled(part(problem), problem.title)) for part, lanes in parts))


def _titled(function: Any, title: str) -> Any:
    function.__name__ = f"{title}_{function.__name__}"
    return function


def _prepare(problem: PathProblem) -> Any:
    features, size, fill = problem.features, problem.frame, problem.prepare

    def prepare(points, constants, frames):  # type: ignore[no-untyped-def]
        """points [n, features] -> frames [frame, n]."""
        row = cuda.grid(1)
        if row < points.shape[0]:
            point, frame = cuda.local.array(features, numba.float64), cuda.local.array(size, numba.float64)
            for k in range(features):
                point[k] = points[row, k]
            fill(point, constants, frame)
            for k in range(size):
                frames[k, row] = frame[k]

    return prepare


def _add(problem: PathProblem) -> Any:
    count, path = problem.sums, problem.path

    def add(frames, numbers, table, layout, partial):  # type: ignore[no-untyped-def]
        """Puts the sums of stretches layout[0] .. [1], of layout[2] paths each, into partial [sums, stretches, n]; numbers begin with the first one."""
        lane, group = cuda.threadIdx.x % LANES, cuda.threadIdx.x // LANES
        folded = cuda.shared.array((POINTS, count, _WIDTH), numba.float64)
        sums = cuda.local.array(count, numba.float64)
        first_stretch, stretches, length = layout
        groups = (frames.shape[1] + POINTS - 1) // POINTS
        point, stretch = cuda.blockIdx.x % groups * POINTS + group, cuda.blockIdx.x // groups
        for k in range(count):
            sums[k] = 0.0
        if point < frames.shape[1]:
            for place in range(stretch * length + lane, (stretch + 1) * length, LANES):
                path(frames, point, numbers, table, place, sums)
        for k in range(count):
            folded[group, k, lane] = sums[k]
        cuda.syncthreads()
        if point < frames.shape[1]:
            for k in range(lane, count, LANES):
                total = 0.0
                for i in range(LANES):
                    total += folded[group, k, i]
                partial[k, first_stretch + stretch, point] = total

    return add


def _finish(problem: PathProblem) -> Any:
    features, size, count, columns, conclude = problem.features, problem.frame, problem.sums, problem.columns, problem.finish

    def finish(points, constants, frames, partial, paths, answers):  # type: ignore[no-untyped-def]
        """partial [sums, copies * stretches of a copy, n] -> answers [copies, n, columns]."""
        thread = cuda.grid(1)
        copy, row = thread // points.shape[0], thread % points.shape[0]
        if copy < answers.shape[0]:
            point, frame = cuda.local.array(features, numba.float64), cuda.local.array(size, numba.float64)
            sums, answer = cuda.local.array(count, numba.float64), cuda.local.array(columns, numba.float64)
            for k in range(features):
                point[k] = points[row, k]
            for k in range(size):
                frame[k] = frames[k, row]
            each = partial.shape[1] // answers.shape[0]
            for k in range(count):
                total = 0.0
                for stretch in range(copy * each, (copy + 1) * each):
                    total += partial[k, stretch, row]
                sums[k] = total
            conclude(point, constants, frame, sums, paths, answer)
            for k in range(columns):
                answers[copy, row, k] = answer[k]

    return finish


@kernel()
def average(answers, means, errors):  # type: ignore[no-untyped-def]
    """The mean [n, columns] of answers [copies, n, columns], exact where all are equal, and the standard error [n] of the first column's."""
    thread = cuda.grid(1)
    columns = answers.shape[2]
    row, column = thread // columns, thread % columns
    if row < answers.shape[1]:
        first, total = answers[0, row, column], 0.0
        for copy in range(1, COPIES):
            total += answers[copy, row, column] - first
        mean = first + total / COPIES
        means[row, column] = mean
        if column == 0:
            first_square, total = (first - mean) * (first - mean), 0.0
            for copy in range(1, COPIES):
                deviation = answers[copy, row, 0] - mean
                total += deviation * deviation - first_square
            errors[row] = math.sqrt((first_square + total / COPIES) / (COPIES - 1))
