"""The mean exit time of an Ornstein-Uhlenbeck process by Monte Carlo, with standard errors and pathwise derivatives."""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.draws import check_seed
from pybackdoor.oracles.families import BEYOND
from pybackdoor.oracles.levels import check_level
from pybackdoor.oracles.mean_exit_time import CONDITIONS, DOMAIN
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.scalar.block import BLOCK, NOT_CONVERGED, OK, cache_lines
from pybackdoor.oracles.scalar.exit_step import touch, transition
from pybackdoor.oracles.scalar.philox import uniform_pair
from pybackdoor.oracles.scalar.vmath import inverse_normal
from pybackdoor.records.evaluation import Evaluation

LEVELS = {"fast": 1.0, "standard": 0.1, "high": 0.01}  # the most that a bound may bend over one step: k^2 distance D^(3/2), see exit_step.py

_FORGOTTEN = 1e-7  # a path is given up once it survives with this probability
_CHUNK = 1
PATH, POSITION, PULLED, DECAYED, ALIVE, TOTAL = range(0, 6 * BLOCK, BLOCK)  # whether a lane has a path, its place ...
ALIVE_SLOPES, TOTAL_SLOPES, NORMAL = 6 * BLOCK, 9 * BLOCK, 12 * BLOCK  # three rows each, two of normal numbers
BY_STAY, BY_SURVIVE = 14 * BLOCK, 17 * BLOCK  # three rows each: one step's derivatives,
STAY, SURVIVE, BEFORE = range(20 * BLOCK, 23 * BLOCK, BLOCK)  # and its factors
ROWS = 23


class MeanExitTimeMonteCarlo(Oracle):
    """The expected time as a mean over `paths` paths, with its standard error and all six derivatives.

    A path moves by the exact transition of the process; the exit between two times is integrated out (see scalar/exit_step.py): a path carries its
    probability of survival, to 1e-7, and its expected time is summed. What is left is an error of the third order or so in the step where the process
    pulls hard: at `level` "fast" below 5e-3, "standard" below 1e-3 of the value, at "high" less than noise lets one see; steps are as short as a
    point needs. The sum is a continuous function of the features, up to those errors where the steps change, and its derivative along each path
    exact. All points share one set of draws (common random numbers); another `seed` is an independent one. A point with a path of more than `most`
    pairs of steps is NOT_CONVERGED. 0 with gradient 0 where the start lies on a bound or beyond. Raises InputError on an unknown level, fewer than 2
    paths or 2^32, or a seed not in 0 .. 2^64 - 1.

    >>> MeanExitTimeMonteCarlo().values([[0.0, 1.0, 0.0, 1.0, -1.0, 1.0]]).round(decimals=1)
    tensor([1.4000], dtype=torch.float64)
    """

    name = "mean_exit_time_mc"
    domain = DOMAIN
    sampled = True
    family = BEYOND
    method = "Monte Carlo, exact transitions, exits between steps integrated out"
    gradient_cost = 0.5  # time of value and gradient over that of the value, less 1: 64 points, one core
    conditions = CONDITIONS
    most = 2**21

    def __init__(self, level: str = "standard", *, paths: int = 4096, seed: int = 0) -> None:
        if not 2 <= paths < 2**32:
            raise InputError(f"oracle {self.name}: {paths} paths; a whole number from 2 to 2^32 - 1 is needed")
        check_seed(f"oracle {self.name}", seed)
        self.level, self.paths, self.seed = check_level(self.name, level, LEVELS), paths, seed
        self.accuracy = f"standard error a point, {paths} paths"

    def coarser(self) -> MeanExitTimeMonteCarlo | None:
        """A quarter of the paths; None below 64."""
        fewer = self.paths // 4
        return MeanExitTimeMonteCarlo(self.level, paths=fewer, seed=self.seed) if fewer >= 64 else None

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        points = np.ascontiguousarray(x.cpu().numpy())
        count = len(points)
        results, status = np.empty((count, 8 if gradient else 2)), np.empty(count, dtype=np.int64)
        draws = np.uint64(purpose_word(self.name)), np.uint64(self.seed)

        def work(start: int, stop: int) -> None:
            _estimate(points[start:stop], LEVELS[self.level], (self.paths, self.most), draws, results[start:stop], status[start:stop])

        in_chunks(work, count, _CHUNK)
        answer = torch.from_numpy(results).to(x.device)
        codes = torch.from_numpy(status).to(x.device)
        return Evaluation(answer[:, 0], answer[:, 2:] if gradient else None, answer[:, 1], codes, self.cost(count, gradient))


@kernel
def _estimate(points, bend, size, draws, results, status):  # type: ignore[no-untyped-def]
    """Points [n, 6] -> results [n, 8] (mean, standard error, six derivatives) or [n, 2], status [n]."""
    paths = size[0]
    w, counters, sums = cache_lines(ROWS * BLOCK), np.empty((2, BLOCK), dtype=np.uint64), np.empty(5)
    for row in range(points.shape[0]):
        start, reversion, mean, volatility, lower, upper = points[row]
        width = upper - lower
        time = (width / volatility) ** 2
        y, m, pull = (start - lower) / width, (mean - lower) / width, reversion * time
        status[row] = OK
        results[row, :] = 0.0
        if not 0.0 < y < 1.0:
            continue
        step = _step(pull * pull * max(abs(m), abs(1.0 - m)), bend)
        if not _walk((y, m, pull, step), size, draws, results.shape[1] > 2, w, counters, sums):
            status[row] = NOT_CONVERGED
            results[row, :] = np.nan
            continue
        value, by_y, by_m, by_pull = time * sums[0] / paths, time * sums[2] / paths, time * sums[3] / paths, time * sums[4] / paths
        results[row, 0] = value
        results[row, 1] = time * math.sqrt(max(sums[1] / paths - (sums[0] / paths) ** 2, 0.0) / (paths - 1))
        if results.shape[1] > 2:
            longer = 2.0 * (value + pull * by_pull)
            results[row, 2], results[row, 3], results[row, 4] = by_y / width, time * by_pull, by_m / width
            results[row, 5] = -longer / volatility
            results[row, 6] = (-longer + (y - 1.0) * by_y + (m - 1.0) * by_m) / width
            results[row, 7] = (longer - y * by_y - m * by_m) / width


@scalar
def _step(curvature, bend):  # type: ignore[no-untyped-def]
    """The longest step of 2^-4, 2^-5 ... over which a bound bends by no more; a power of 2, so that it does not move with the features."""
    step = 0.0625
    while curvature * step * math.sqrt(step) > bend:
        step *= 0.5
    return step


@scalar
def _walk(problem, size, draws, gradient, w, counters, sums):  # type: ignore[no-untyped-def]
    """Sums over the paths: time, its square, its derivatives in the start, the mean and the pull. False when a path has no end.

    A lane takes the next path when its own is over, so that which lane walks a path, and the order of the sums, depend on the problem alone.
    """
    steps = transition(problem[2], problem[3])
    sums[:] = 0.0
    w[:NORMAL] = 0.0
    paths, most = size
    following, left = 0, 0
    while True:
        for i in range(BLOCK):
            if w[ALIVE + i] >= _FORGOTTEN:
                if counters[0, i] > most:
                    return False
                continue
            if w[PATH + i] > 0.0:
                left -= 1
                sums[0] += w[TOTAL + i]
                sums[1] += w[TOTAL + i] ** 2
                for part in range(3):
                    sums[2 + part] += w[TOTAL_SLOPES + part * BLOCK + i]
            for part in range(0, NORMAL, BLOCK):
                w[part + i] = 0.0
            w[POSITION + i] = 0.5
            if following < paths:
                counters[0, i], counters[1, i] = np.uint64(0), np.uint64(following)
                w[POSITION + i], w[ALIVE + i], w[DECAYED + i], w[PATH + i] = problem[0], 1.0, 1.0, 1.0
                following += 1
                left += 1
        if left == 0:
            return True
        _draw(draws, counters, w)
        for half in range(2):
            if half == 1:
                for i in range(BLOCK):
                    w[NORMAL + i] = w[NORMAL + BLOCK + i]
            if gradient:
                _advance_with_slopes(problem, steps, w)
            else:
                _advance(problem, steps, w)


@scalar
def _draw(draws, counters, w):  # type: ignore[no-untyped-def]
    """Two normal numbers a lane; counters [2, BLOCK]: pairs drawn on this path, number of the path."""
    for i in range(BLOCK):
        first, second = uniform_pair(counters[0, i], counters[1, i], draws[0], draws[1])
        w[NORMAL + i], w[NORMAL + BLOCK + i] = first, second
        counters[0, i] += np.uint64(1)
    for i in range(2 * BLOCK):
        w[NORMAL + i] = inverse_normal(w[NORMAL + i] + 2.0**-54)


@scalar
def _advance(problem, steps, w):  # type: ignore[no-untyped-def]
    """One step of every lane; lanes between paths have nothing alive."""
    _, m, pull, step = problem
    decay, deviation, v = steps[0], steps[1], steps[2]
    root_v = math.sqrt(v)
    bend = 0.5 * pull * pull * step * root_v  # for a mean at distance 1
    for i in range(BLOCK):
        y = w[POSITION + i]
        z = m + (y - m) * decay + deviation * w[NORMAL + i]
        low, high = touch(max(y, 0.0), z, v, root_v, bend * m), touch(max(1.0 - y, 0.0), 1.0 - z, v, root_v, bend * (1.0 - m))
        w[TOTAL + i] += step * w[ALIVE + i] * (1.0 - low[1] - high[1])
        w[ALIVE + i] *= (1.0 - low[0]) * (1.0 - high[0])
        w[POSITION + i] = z


@scalar
def _advance_with_slopes(problem, steps, w):  # type: ignore[no-untyped-def]
    """`_advance`, with derivatives in start, mean and pull."""
    _, m, pull, step = problem
    decay, deviation, v, by_decay, by_deviation, by_v = steps
    root_v = math.sqrt(v)
    bend = 0.5 * pull * pull * step * root_v
    by_pull = pull * step * root_v + 0.5 * bend * by_v / v  # of the bend
    for i in range(BLOCK):
        y, normal, alive = w[POSITION + i], w[NORMAL + i], w[ALIVE + i]
        z = m + (y - m) * decay + deviation * normal
        before, pulled = w[DECAYED + i], w[PULLED + i]
        after, pulled_on = before * decay, pulled * decay + (y - m) * by_decay + by_deviation * normal
        low, high = touch(max(y, 0.0), z, v, root_v, bend * m), touch(max(1.0 - y, 0.0), 1.0 - z, v, root_v, bend * (1.0 - m))
        stay, survive = 1.0 - low[1] - high[1], (1.0 - low[0]) * (1.0 - high[0])
        stay_y, stay_z, stay_v = high[6] - low[6], high[7] - low[7], -high[8] - low[8]
        safe_low, safe_high = 1.0 - low[0], 1.0 - high[0]
        survive_y = high[2] * safe_low - low[2] * safe_high
        survive_z = high[3] * safe_low - low[3] * safe_high
        survive_v = -high[4] * safe_low - low[4] * safe_high
        stay_m, survive_m = bend * (high[9] - low[9]), bend * (high[5] * safe_low - low[5] * safe_high)
        stay_pull = -by_pull * (high[9] * (1.0 - m) + low[9] * m) + stay_v * by_v
        survive_pull = -by_pull * (high[5] * (1.0 - m) * safe_low + low[5] * m * safe_high) + survive_v * by_v
        w[BY_STAY + i] = stay_y * before + stay_z * after
        w[BY_STAY + BLOCK + i] = stay_y * (1.0 - before) + stay_z * (1.0 - after) + stay_m
        w[BY_STAY + 2 * BLOCK + i] = stay_y * pulled + stay_z * pulled_on + stay_pull
        w[BY_SURVIVE + i] = survive_y * before + survive_z * after
        w[BY_SURVIVE + BLOCK + i] = survive_y * (1.0 - before) + survive_z * (1.0 - after) + survive_m
        w[BY_SURVIVE + 2 * BLOCK + i] = survive_y * pulled + survive_z * pulled_on + survive_pull
        w[STAY + i], w[SURVIVE + i], w[BEFORE + i] = stay, survive, alive
        w[TOTAL + i] += step * alive * stay
        w[ALIVE + i] = alive * survive
        w[POSITION + i], w[DECAYED + i], w[PULLED + i] = z, after, pulled_on
    for part in range(3):
        for i in range(BLOCK):
            slope = w[ALIVE_SLOPES + part * BLOCK + i]
            w[TOTAL_SLOPES + part * BLOCK + i] += step * (slope * w[STAY + i] + w[BEFORE + i] * w[BY_STAY + part * BLOCK + i])
            w[ALIVE_SLOPES + part * BLOCK + i] = slope * w[SURVIVE + i] + w[BEFORE + i] * w[BY_SURVIVE + part * BLOCK + i]
