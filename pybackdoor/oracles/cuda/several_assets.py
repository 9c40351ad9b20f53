"""The basket and the largest of 2 to 5 assets by quasi-Monte Carlo: kernels for each number of assets, whose lines lie in registers."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numba
import torch
from numba import cuda

from pybackdoor.oracles import assets as several
from pybackdoor.oracles.cuda.launch import device
from pybackdoor.oracles.cuda.path_engine import Solution
from pybackdoor.oracles.cuda.path_engine import estimate as over_paths
from pybackdoor.oracles.cuda.path_sums import PathProblem
from pybackdoor.oracles.draws import Draws
from pybackdoor.oracles.scalar import asset_lines
from pybackdoor.oracles.scalar.asset_lines import NEVER, NEWTON, PARALLEL
from pybackdoor.oracles.scalar.threshold import nearer
from pybackdoor.oracles.scalar.vmath import exp


def _start_of_basket(d: int) -> Any:
    """A device function: where the lines' exponentials sum to 1, into low and high [d] for every asset, and returned."""

    @device
    def start(level, slope, low, high):  # type: ignore[no-untyped-def]
        root = NEVER
        for i in range(d):
            root = min(root, -level[i] / slope[i])
        for _ in range(NEWTON):
            total, by_root = 0.0, 0.0
            for i in range(d):
                part = exp(level[i] + slope[i] * root)
                total += part
                by_root += slope[i] * part
            root = nearer(root, total, by_root)
        for i in range(d):
            low[i] = root
        return root

    return start


def _start_of_largest(d: int) -> Any:
    """A device function: between low and high [d] an asset is the largest and above the strike; returned: where any is above it."""

    @device
    def start(level, slope, low, high):  # type: ignore[no-untyped-def]
        root = NEVER
        for i in range(d):
            low[i], high[i] = -level[i] / slope[i], NEVER
            root = min(root, low[i])
        for one in range(d):
            for two in range(d):
                if slope[one] > slope[two] or (slope[one] == slope[two] and one > two):
                    crossing = (level[two] - level[one]) / max(slope[one] - slope[two], PARALLEL * slope[one])
                    low[one], high[two] = max(low[one], crossing), min(high[two], crossing)
        return root

    return start


def _path(d: int, start_of: Any, basket: bool, slopes: bool) -> Any:
    """The device function of a path: its lines, where it is paid, and what it adds to the d + 1 sums or, with slopes, 3 d + 2."""
    count = d - 1

    @device
    def path(frames, point, numbers, table, place, sums):  # type: ignore[no-untyped-def]
        y, level, slope = cuda.local.array(d, numba.float64), cuda.local.array(d, numba.float64), cuda.local.array(d, numba.float64)
        low, high = cuda.local.array(d, numba.float64), cuda.local.array(d, numba.float64)
        wide, radius, scale, gain = frames[3 * d, point], 0.0, 1.0, 0.0
        for i in range(d):
            y[i], low[i], high[i] = 0.0, 0.0, NEVER
        for k in range(count):
            z = numbers[k, place]
            radius += z * z
            scale *= wide
            for i in range(d):
                if i <= k + 1:
                    y[i] += wide * table[k, i] * z
        for i in range(d):
            level[i], slope[i] = frames[i, point] + frames[d + i, point] * y[i], frames[2 * d + i, point]
        share = asset_lines.weight(radius, wide, scale)
        start = start_of(level, slope, low, high)
        for i in range(d):
            if basket:
                part, by_slope = asset_lines.above(level[i], slope[i], start, share)
            else:
                part, by_slope = asset_lines.between(level[i], slope[i], low[i], high[i], share)
            sums[i] += part
            gain += part
            if slopes:
                sums[d + 1 + i] += part * y[i]
                sums[2 * d + 1 + i] += by_slope
        paid = asset_lines.chance(start, share)
        sums[d] += paid
        if slopes:
            sums[3 * d + 1] += radius * (gain - paid)

    return path


@cache
def _problem(payoff: str, d: int) -> PathProblem:
    basket = payoff == "basket_call"
    start_of, features = _start_of_basket(d) if basket else _start_of_largest(d), 3 * d + 4
    value, slopes = (_path(d, start_of, basket, wanted) for wanted in (False, True))
    return PathProblem(f"{payoff}_{d}", asset_lines.prepare, value, slopes, asset_lines.finish, features, 3 * d + 1, d + 1, 3 * d + 2)


@lru_cache(maxsize=8)
def _table(assets: int, device_of_points: torch.device) -> torch.Tensor:
    return torch.from_numpy(several.plane(assets)).to(device_of_points)


def estimate(payoff: str, assets: int, draws: Draws, points: torch.Tensor, gradient: bool) -> Solution:
    """Value, gradient, status and standard error at points [n, 3 assets + 4]; payoff: "basket_call" or "max_call"."""
    constants = (1.0 / assets if payoff == "basket_call" else 1.0,)
    return over_paths(_problem(payoff, assets), draws, points, gradient, constants, table=_table(assets, points.device))
