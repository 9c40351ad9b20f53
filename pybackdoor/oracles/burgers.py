"""Burgers' equation: a sine wave steepens into a front and fades.

    u_t + u u_x = viscosity u_xx,    u(x, 0) = amplitude sin(pi x),    u(0, t) = u(1, t) = 0

The features are viscosity, amplitude, position and time, the target is the velocity u there.

Known values, amplitude 1: .56963 and .62544 at positions 1/2 and 3/4, viscosity .1, time .4; .37158 at 1/2, viscosity 1, time .1: S. Kutluay, A. R.
Bahadir, A. Ozdes, Journal of Computational and Applied Mathematics 103 (1999), 251-261.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, nonnegative, positive
from pybackdoor.oracles.burgers_grid import memory, solve_grid
from pybackdoor.oracles.families import BEYOND
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.grids import Grid

DOMAIN = Domain(
    ("viscosity", "amplitude", "position", "time"),
    (0.002, 0.2, 0.0, 0.01),
    (1.0, 2.0, 1.0, 2.0),
    ("log", "linear", "linear", "linear"),
    target="velocity",
)
LEVELS = {"fast": (64, 24), "standard": (128, 48), "high": (256, 96)}  # cells, time steps

_ACCURACY = {
    "fast": "median 5e-6, 99 % 2e-4, largest 2e-3; in the corners 2e-2",
    "standard": "median 6e-7, 99 % 3e-5, largest 1e-4; in the corners 5e-4",
    "high": "median 6e-8, 99 % 2e-6, largest 1e-5; in the corners 6e-5",
}
_DAMPED = 2  # steps at the end, of two Euler halves each: what rings in a front is gone when it is read
_NO_TIME = 1e-9  # amplitude x time, below which u is that of the start


class Burgers(Gridded, BatchedOracle):
    """The velocity with its derivatives in all four features, those of the discrete solution.

    Three-point differences on nodes that crowd in the front, steps that are linear equations each (burgers_grid.py); derivatives are carried along
    with the solution, by the same matrices. With `extrapolate` the grid of half as many cells and steps is combined with it to cancel the leading
    error. In units of amplitude and time the problem has two numbers, amplitude x time and viscosity / amplitude; scaling holds on every grid.
    Positions beyond the walls are those of the odd wave of period 2 that the solution is part of. Time 0 is the wave at its start.

    level: "fast", "standard" or "high": 64 x 24, 128 x 48 or 256 x 96 cells and steps; `space` and `time` instead choose a grid by hand. Errors: see
    `accuracy`, and docs/oracles.md. Raises InputError on an unknown level, and on a grid of fewer than 16 cells or 8 steps, or whose cells are not a
    multiple of 4 or steps of 2.

    >>> Burgers("high").values([[0.1, 1.0, 0.5, 0.4]])
    tensor([0.5696], dtype=torch.float64)
    """

    name = "burgers"
    domain = DOMAIN
    conditions = positive("viscosity", "amplitude") + nonnegative("time")
    levels = LEVELS
    accuracies = _ACCURACY
    family = BEYOND
    method = "linearly implicit symmetric steps, fitted mesh, extrapolated; tangent gradient"
    gradient_cost = 1.1  # time of value and gradient over that of the value, less 1: 4,096 points of the domain, one core
    chunk = 2048

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run_blocks(partial(_velocity, self.grid), points, gradient)


def _velocity(grid: Grid, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [n] and gradients [n, 4]."""
    viscosity, amplitude, position, time = points.T
    phase = np.pi * _inside(position)
    sine, cosine = np.sin(phase), np.cos(phase)
    values = torch.from_numpy(amplitude * sine)
    slope = -(np.pi**2) * viscosity * amplitude * sine - np.pi * amplitude**2 * sine * cosine
    gradients = torch.from_numpy(np.stack([-(np.pi**2) * time * amplitude * sine, sine, np.pi * amplitude * cosine, slope], axis=1))
    rows = torch.from_numpy(np.flatnonzero(amplitude * time > _NO_TIME))
    if len(rows):
        values[rows], gradients[rows] = solved(grid, points[rows.numpy()], gradient, _posed, partial(_solve, gradient))
    return values, gradients


def _inside(position: np.ndarray) -> np.ndarray:
    """The place in [-1, 1] where the wave is as at `position`."""
    return position - 2.0 * np.round(0.5 * position)


def _posed(columns: list[torch.Tensor]) -> Posed:
    viscosity, amplitude, position, time = columns
    turns = torch.from_numpy(np.round(0.5 * position.detach().numpy()))
    place = position - 2.0 * turns
    sign = torch.where(place.detach() < 0.0, -1.0, 1.0).double()
    return Posed(sign * amplitude, [sign * place, amplitude * time, viscosity / amplitude])


def _solve(gradient: bool, frames: np.ndarray, space: int, time: int, values: np.ndarray, bars: np.ndarray) -> None:
    solve_grid(frames, *_schedule(time), memory(space + 1, gradient=gradient), values, bars)


def _schedule(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The lengths and weights of the solves that make up `steps` time steps."""
    lengths, weights = np.full(steps + _DAMPED, 0.5 / steps), np.full(steps + _DAMPED, 2.0)
    weights[steps - _DAMPED :] = 1.0
    return lengths, weights
