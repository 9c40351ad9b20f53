"""Grids of finite-difference oracles: which one a level or a user's numbers mean, the next coarser one, and the extrapolation from two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.oracles.lanes import LANES
from pybackdoor.oracles.levels import check_level, lower_level, neighbour_level

# (frames [numbers, blocks, LANES], cells, steps, values [blocks, LANES], bars [numbers, blocks, LANES] or with 0 blocks)
Solve = Callable[[np.ndarray, int, int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Grid:
    """`space` cells by `time` steps, combined with half as many of both if `extrapolate`; `level` is None for a user's own numbers."""

    space: int
    time: int
    extrapolate: bool = True
    level: str | None = None

    def coarser(self, levels: Mapping[str, tuple[int, int]]) -> Grid | None:
        """The level below, or half as many cells and steps; None where there is none."""
        if self.level is not None:
            below = lower_level(self.level)
            return None if below is None else Grid(*levels[below], self.extrapolate, below)
        space, time = self.space // 8 * 4, self.time // 4 * 2
        return None if space < 16 or time < 8 else Grid(space, time, self.extrapolate)

    def neighbour(self, levels: Mapping[str, tuple[int, int]]) -> Grid:
        """What an error is estimated against: the coarser grid, for the coarsest a finer one."""
        if self.level is not None:
            other = neighbour_level(self.level)
            return Grid(*levels[other], self.extrapolate, other)
        return self.coarser(levels) or Grid(2 * self.space, 2 * self.time, self.extrapolate)


def grid_of(name: str, levels: Mapping[str, tuple[int, int]], level: str, space: int | None, time: int | None, extrapolate: bool) -> Grid:
    """The grid of a level, or, where one of `space` and `time` is given, those numbers, the level's in place of one that is not.

    Raises InputError on an unknown level and on a grid of fewer than 16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.
    """
    cells, steps = levels[check_level(name, level, levels)]
    if space is None and time is None:
        return Grid(cells, steps, extrapolate, level)
    cells, steps = cells if space is None else space, steps if time is None else time
    if cells < 16 or cells % 4 or steps < 8 or steps % 2:
        raise InputError(
            f"{name}: a grid of {cells} cells by {steps} steps; at least 16 cells, a multiple of 4, and at least 8 steps, an even number, are needed"
        )
    return Grid(cells, steps, extrapolate)


def extrapolated(grid: Grid, once: Callable[[int, int], tuple[Any, Any]]) -> tuple[Any, Any]:
    """What once(cells, steps), two arrays or tensors, gives on the grid; with `extrapolate` combined with what it gives on the coarse one."""
    values, bars = once(grid.space, grid.time)
    if grid.extrapolate:
        coarse_values, coarse_bars = once(grid.space // 2, grid.time // 2)
        values += (values - coarse_values) / 3.0
        bars += (bars - coarse_bars) / 3.0
    return values, bars


def solved_on(grid: Grid, frames: np.ndarray, gradient: bool, solve: Solve) -> tuple[np.ndarray, np.ndarray]:
    """Values [n] and, with `gradient`, their derivatives in the frames, [numbers, n] ([numbers, 0] without), from frames [numbers, n]."""
    numbers, count = frames.shape
    blocks = -(-count // LANES)
    padded = np.take(frames, np.arange(blocks * LANES) % max(count, 1), axis=1).reshape(numbers, blocks, LANES)

    def once(space: int, time: int) -> tuple[np.ndarray, np.ndarray]:
        values, bars = np.empty((blocks, LANES)), np.empty((numbers, blocks if gradient else 0, LANES))
        solve(padded, space, time, values, bars)
        return values, bars

    values, bars = extrapolated(grid, once)
    return values.reshape(-1)[:count], bars.reshape(numbers, -1)[:, : count if gradient else 0]
