"""Oracles that solve for their values on a grid: levels, coarser forms, and derivatives carried from the solver's numbers to the features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import NamedTuple, Self

import numpy as np
import torch

from pybackdoor.oracles.grids import Grid, Solve, grid_of, solved_on
from pybackdoor.oracles.oracle import Oracle


class Gridded(Oracle):
    """Subclasses set `levels` (cells and time steps of each) and `accuracies` (what to say of each), and solve on `self.grid`.

    level: "fast", "standard" or "high"; `space` and `time` instead choose a grid by hand. extrapolate: whether the grid of half as many cells and
    steps is solved too and the two are combined to cancel the leading error.
    """

    levels: Mapping[str, tuple[int, int]]
    accuracies: Mapping[str, str]

    def __init__(self, level: str = "standard", *, space: int | None = None, time: int | None = None, extrapolate: bool = True) -> None:
        self._use(grid_of(self.name, self.levels, level, space, time, extrapolate))

    def _use(self, grid: Grid) -> None:
        self.grid = grid
        self.accuracy = "not measured on this grid" if grid.level is None or not grid.extrapolate else self.accuracies[grid.level]

    def coarser(self) -> Self | None:
        """The level below, or half as many cells and steps; None where there is none."""
        grid = self.grid.coarser(self.levels)
        return None if grid is None else self._on(grid)

    def _compared(self) -> Self:
        return self._on(self.grid.neighbour(self.levels))

    def _on(self, grid: Grid) -> Self:
        """The same oracle on another grid."""
        other = copy(self)
        other._use(grid)
        return other


class Posed(NamedTuple):
    """Points as a solver takes them: the values are scale u(numbers) + offset; each [n], `offset` None for 0."""

    scale: torch.Tensor
    numbers: list[torch.Tensor]
    offset: torch.Tensor | None = None


def solved(
    grid: Grid, points: np.ndarray, gradient: bool, pose: Callable[[list[torch.Tensor]], Posed], solve: Solve
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [n] and gradients [n, d] (with `gradient`; meaningless without) at points [n, d], d columns for `pose`."""

    def run(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u, bars = solved_on(grid, frames.numpy(), gradient, solve)
        return torch.from_numpy(u), torch.from_numpy(bars)

    return carried(torch.from_numpy(points), gradient, pose, run)


def carried(
    points: torch.Tensor,
    gradient: bool,
    pose: Callable[[list[torch.Tensor]], Posed],
    run: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """`solved`, by run(frames [numbers, n]) -> u [n] and its derivatives in the frames, [numbers, n], on the points' device."""
    with torch.inference_mode(False), torch.set_grad_enabled(gradient):
        columns = [column.requires_grad_(gradient) for column in points.detach().T.clone(memory_format=torch.contiguous_format)]
        posed = pose(columns)
        u, bars = run(torch.stack([number.detach() for number in posed.numbers]))
        scale = posed.scale.detach()
        values = scale * u
        if posed.offset is not None:
            values = values + posed.offset.detach()
        if not gradient:
            return values, torch.zeros(1, dtype=torch.float64)
        pairs = [(posed.scale, u)] + [(number, scale * bar) for number, bar in zip(posed.numbers, bars, strict=True)]
        if posed.offset is not None:
            pairs.append((posed.offset, torch.ones_like(u)))
        total = sum((number * bar).sum() for number, bar in pairs if number.requires_grad)  # given bars to start from, torch would import sympy
        slopes = torch.autograd.grad(total, columns)
        return values, torch.stack(slopes, dim=1)
