"""The Asian option by quasi-Monte Carlo: a thread finds a path's threshold and integrates its dates; nothing of a path is stored but the draws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numba import cuda

from pybackdoor.oracles.asian import geometric_share
from pybackdoor.oracles.cuda.launch import device, kernel
from pybackdoor.oracles.cuda.path_engine import Solution
from pybackdoor.oracles.cuda.path_engine import estimate as over_paths
from pybackdoor.oracles.cuda.path_sums import PathProblem
from pybackdoor.oracles.draws import Draws
from pybackdoor.oracles.scalar import asian_path as one
from pybackdoor.oracles.scalar.asian_path import ASSET, CASH, DRIFT, MOVED, NEWTON, SIGN, START, TIMED, S
from pybackdoor.oracles.scalar.threshold import nearer
from pybackdoor.oracles.scalar.vmath import exp

_SHARE, _OF_MEAN = 0, 1  # rows of the table: the dates' covariance with the geometric mean's number, and that over its sum


@kernel()
def project(numbers, table):  # type: ignore[no-untyped-def]
    """Takes from every path, a thread each, its mean's part."""
    path = cuda.grid(1)
    if path < numbers.shape[1]:
        total = 0.0
        for date in range(numbers.shape[0]):
            total += numbers[date, path]
        for date in range(numbers.shape[0]):
            numbers[date, path] -= table[_OF_MEAN, date] * total


@device
def _threshold(frames, point, numbers, table, place):  # type: ignore[no-untyped-def]
    """As scalar/threshold.py: from where one date alone is enough."""
    dates, s, drift = numbers.shape[0], frames[S, point], frames[DRIFT, point]
    root, centre = 1e300, frames[START, point]
    for date in range(dates):
        centre += drift
        root = min(root, -(centre + s * numbers[date, place]) / (s * table[_SHARE, date]))
    for _ in range(NEWTON):
        total, slope, centre = 0.0, 0.0, frames[START, point]
        for date in range(dates):
            centre += drift
            c = s * table[_SHARE, date]
            part = exp(centre + s * numbers[date, place] + c * root)
            total += part
            slope += c * part
        root = nearer(root, total, slope)
    return root


@device
def _path(frames, point, numbers, table, place, sums):  # type: ignore[no-untyped-def]
    root = _threshold(frames, point, numbers, table, place)
    dates, s, drift, sign = numbers.shape[0], frames[S, point], frames[DRIFT, point], frames[SIGN, point]
    centre = frames[START, point]
    for date in range(dates):
        centre += drift
        rest, share = numbers[date, place], table[_SHARE, date]
        part, by_s = one.date_parts(centre + s * rest, rest, root, sign, s * share, share)
        sums[ASSET] += part
        sums[TIMED] += (date + 1) / dates * part
        sums[MOVED] += by_s
    sums[CASH] += one.chance(root, sign)


_PROBLEM = PathProblem("asian", one.prepare, _path, _path, one.finish, 6, one.FRAME, one.SUMS, one.SUMS)


@lru_cache(maxsize=8)
def _table(dates: int, device: torch.device) -> torch.Tensor:
    share = geometric_share(dates)
    return torch.from_numpy(np.stack([share, share / share.sum()])).to(device)


def estimate(draws: Draws, points: torch.Tensor, gradient: bool, sign: float) -> Solution:
    """Value, gradient, status and standard error at points [n, 6]; sign: 1 for the call, -1 for the put; a date a dimension of the draws."""
    dates = draws.dimensions
    table = _table(dates, points.device)

    def apart(numbers: torch.Tensor) -> tuple[torch.Tensor]:
        project(numbers.shape[1], numbers, table)
        return (numbers,)

    return over_paths(_PROBLEM, draws, points, gradient, (sign, float(dates)), walk=dates, table=table, further=apart)
