"""Means over paths on the device: the kernels around what one problem says of a point and of a path.

`prepare`, a thread a point: the frame, what all paths of a point share. `value` and `slopes`, a warp a point and stretch of the paths: lane l takes
paths l, l + 32 .. of the stretch, and the points of a block the same ones, which therefore come out of the first-level cache. `finish`, a thread a
point and copy: value and derivatives from the sums. `average`, a thread a point and column: the mean of the copies and its standard error. Sums are
added lane by lane, the lanes in order, the stretches in order: a result depends on the point and the number of paths, on nothing else.
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

LANES, POINTS = 32, 4  # of a block that adds
_WIDTH = LANES + 1  # of a row of lanes in shared memory, so that lanes that read rows meet no conflict


@dataclass(frozen=True)
class PathProblem:
    """A problem in the terms of the kernels, and how many numbers each hands on.

    prepare(point, constants, frame) and finish(point, constants, frame, sums, paths, answer) are the CPU's compiled functions, on short arrays;
    value and slopes(frames, point, numbers, table, place, sums) are device functions that add what one path is worth to the sums.
    """

    title: str
    prepare: Callable[..., None]
    value: Callable[..., None]  # `path` for the value alone, which needs the first of the sums
    slopes: Callable[..., None]  # and with derivatives, which needs all
    finish: Callable[..., None]
    features: int
    frame: int
    value_sums: int
    sums: int


class PathKernels(NamedTuple):
    """The kernels of one problem."""

    prepare: Kernel
    value: Kernel
    slopes: Kernel
    finish: Kernel


@cache
def kernels(problem: PathProblem) -> PathKernels:
    """Those of `problem`, made once a process."""

    def made(part: str, function: Any, lanes: int = 1) -> Kernel:
        function.__name__ = f"{problem.title}_{part}"
        return kernel(lanes=lanes)(function)

    return PathKernels(
        made("prepare", _prepare(problem)),
        made("value", _add(problem.value, problem.value_sums), LANES),
        made("slopes", _add(problem.slopes, problem.sums), LANES),
        made("finish", _finish(problem)),
    )


def _prepare(problem: PathProblem) -> Any:
    features, size, fill = problem.features, problem.frame, problem.prepare

    def prepare(points, constants, frames):  # type: ignore[no-untyped-def]
        """Points [n, features] -> frames [frame, n]."""
        row = cuda.grid(1)
        if row < points.shape[0]:
            point, frame = cuda.local.array(features, numba.float64), cuda.local.array(size, numba.float64)
            for k in range(features):
                point[k] = points[row, k]
            fill(point, constants, frame)
            for k in range(size):
                frames[k, row] = frame[k]

    return prepare


def _add(path: Callable[..., None], count: int) -> Any:
    def add(frames, numbers, table, layout, partial):  # type: ignore[no-untyped-def]
        """Puts sums into partial [sums, stretches, n]; layout: the stretch where the numbers begin, and the paths of one."""
        lane, group = cuda.threadIdx.x % LANES, cuda.threadIdx.x // LANES
        folded = cuda.shared.array((POINTS, count, _WIDTH), numba.float64)
        sums = cuda.local.array(count, numba.float64)
        first_stretch, length = layout
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
    features, size, count, conclude = problem.features, problem.frame, problem.sums, problem.finish
    columns = 1 + features

    def finish(points, constants, frames, partial, paths, answers):  # type: ignore[no-untyped-def]
        """Partial [sums or value_sums, copies * stretches of a copy, n] -> answers [copies, n, 1 or 1 + features]."""
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
                if k < partial.shape[0]:
                    for stretch in range(copy * each, (copy + 1) * each):
                        total += partial[k, stretch, row]
                sums[k] = total
            conclude(point, constants, frame, sums, paths, answer)
            for k in range(answers.shape[2]):
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
