"""What `MonteCarloOracle._estimate` does, on the device of the points: the draws, the sums over the paths, the mean of the copies.

Memory is bounded whatever the number of points and paths: points go in chunks, the draws' copies in groups of at least one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles.bridge import bridge_plan
from pybackdoor.oracles.cuda import path_draws
from pybackdoor.oracles.cuda.path_sums import POINTS, PathProblem, average, kernels
from pybackdoor.oracles.draws import COPIES, Draws
from pybackdoor.oracles.sobol import DIMENSIONS
from pybackdoor.records.evaluation import EvaluationStatus

_NUMBERS = 2**25  # float64 numbers of draws, and as many of sums and answers, held at a time
_STRETCH, _STRETCHES = 1024, 128  # paths that a warp takes at least, where there are as many, and the most stretches of a copy

Rows = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
Solution = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def estimate(
    problem: PathProblem,
    draws: Draws,
    points: torch.Tensor,
    gradient: bool,
    constants: tuple[float, ...],
    *,
    walk: int = 0,
    summed: bool = False,
    table: torch.Tensor | None = None,
    further: Rows | None = None,
) -> Solution:
    """Values, gradients [n, 0 or d], status and standard errors at points [n, d].

    walk: how many dimensions, the last ones, are handed on as Brownian motion; summed: one row, their sum over the root of their number, is;
    further(numbers): the numbers that paths are computed from, made of those; table: what else the paths read.
    """
    points = points.contiguous()
    columns, sums = (1 + problem.features, problem.sums) if gradient else (1, problem.value_sums)
    means, errors = points.new_empty(len(points), columns), points.new_empty(len(points))
    stretches = max(1, min(draws.size // _STRETCH, _STRETCHES))
    rows = 1 if summed else draws.dimensions
    group = max(1, min(COPIES, _NUMBERS // (rows * draws.size)))
    chunk = max(POINTS, _NUMBERS // (COPIES * (sums * stretches + columns)))
    plan = _plan(walk, points.device)
    made = kernels(problem)
    add = made.slopes if gradient else made.value
    table = points.new_empty(1, 1) if table is None else table
    numbers: tuple[torch.Tensor, ...] = ()
    for start in range(0, len(points), chunk):
        batch = points[start : start + chunk]
        frames = batch.new_empty(problem.frame, len(batch))
        made.prepare(len(batch), batch, constants, frames)
        partial = batch.new_empty(sums, COPIES * stretches, len(batch))
        for copy in range(0, COPIES, group):
            copies = min(group, COPIES - copy)
            if start == 0 or group < COPIES:
                numbers = _drawn(draws, copy, copies, rows, plan, points)
                numbers = further(numbers[0]) if further else numbers
            layout = copy * stretches, draws.size // stretches
            tasks = -(-len(batch) // POINTS) * POINTS * copies * stretches
            add(tasks, frames, *numbers, table, layout, partial)
        answers = batch.new_empty(COPIES, len(batch), columns)
        made.finish(len(batch) * COPIES, batch, constants, frames, partial, draws.size, answers)
        average(answers[0].numel(), answers, means[start : start + chunk], errors[start : start + chunk])
    return _result(means, errors)


def _result(means: torch.Tensor, errors: torch.Tensor) -> Solution:
    """Rows that are not finite are NaN, and their status says so."""
    finite = torch.isfinite(means).all(dim=1) & torch.isfinite(errors)
    status = torch.where(finite, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).to(torch.int64)
    means = torch.where(finite[:, None], means, torch.nan)
    return means[:, 0], means[:, 1:], status, torch.where(finite, errors, torch.nan)


def _drawn(draws: Draws, copy: int, copies: int, rows: int, plan: tuple[torch.Tensor, torch.Tensor], like: torch.Tensor) -> tuple[torch.Tensor]:
    """Numbers [rows, copies * size] of the copies from `copy` on."""
    numbers = like.new_empty(rows, copies * draws.size)
    key = np.uint64(draws.seed), np.uint64(purpose_word(draws.purpose))
    if draws.method == "philox" and rows < draws.dimensions:
        path_draws.philox_sums(copies * draws.size // 4, key, copy, copies, draws.size, draws.dimensions, numbers)
        return (numbers,)
    if draws.method == "philox":
        block = copy, draws.size // 2, 1, 0
        path_draws.philox(copies * draws.size // 4, key, block, copies, draws.dimensions, *plan, numbers)
        return (numbers,)
    columns, shifts = _scramble(draws, like.device)
    path_draws.sobol(copies * draws.size // path_draws.BESIDE, columns, shifts, copy, copies, draws.size, draws.dimensions, *plan, numbers)
    if draws.dimensions > DIMENSIONS:
        path_draws.philox(copies * draws.size // 2, key, (copy, draws.size, 0, DIMENSIONS), copies, draws.dimensions, *plan, numbers)
    return (numbers,)


@lru_cache(maxsize=8)
def _scramble(draws: Draws, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a Sobol sequence: kept, so that a call waits for no copy from the host."""
    return tuple(torch.from_numpy(part.astype(np.int64)).to(device) for part in draws.scramble)  # type: ignore[return-value]


@lru_cache(maxsize=16)
def _plan(walk: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """How a walk is put together: (place, left, right) [3, walk] and the shares of left, right and the number [3, walk]; empty without one."""
    if walk < 2:
        return torch.empty(3, 0, dtype=torch.int64, device=device), torch.empty(3, 0, dtype=torch.float64, device=device)
    plan = bridge_plan(walk)
    return torch.from_numpy(np.stack(plan[:3])).to(device), torch.from_numpy(np.stack(plan[3:])).to(device)
