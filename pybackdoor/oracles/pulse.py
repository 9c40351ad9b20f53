"""Advection, diffusion and reaction: a pulse that a flow carries and stretches while it spreads and decays.

    u_t + (velocity + strain x) u_x = diffusivity u_xx - reaction u,    u(x, 0) = exp(-(x - centre)^2 / (2 width^2)),    on the whole line

The features are velocity, strain, diffusivity, reaction, centre, width, position and time, the target is the concentration u at position and time.

Known solution: with E = e^(strain time) and q = diffusivity (E^2 - 1) / (strain E^2 width^2), u = e^(-reaction time) (1 + q)^(-1/2) e^(-z^2 / (2 (1 +
q))), z = (position - m) / (E width), m = centre E + velocity (E - 1) / strain. Without a flow, at the centre, diffusivity .005, width .1, time 1:
1 / sqrt(2).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, nonnegative, positive
from pybackdoor.oracles.differentiable import exp, log_ratio, mean_growth
from pybackdoor.oracles.families import BEYOND
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.lanes import aligned
from pybackdoor.oracles.on_device import OnDevice, solve_elsewhere
from pybackdoor.oracles.parabolic import workspace
from pybackdoor.oracles.pulse_grid import solve_grid

DOMAIN = Domain(
    ("velocity", "strain", "diffusivity", "reaction", "centre", "width", "position", "time"),
    (-0.5, -1.0, 0.001, 0.0, 0.2, 0.03, 0.0, 0.05),
    (0.5, 1.0, 0.05, 2.0, 0.8, 0.2, 1.0, 1.0),
    ("linear", "linear", "log", "linear", "linear", "log", "linear", "linear"),
    target="concentration",
)
LEVELS = {"fast": (64, 16), "standard": (128, 32), "high": (256, 64)}  # cells, time steps

_ACCURACY = {
    "fast": "median 7e-6, 99 % 4e-4, largest 2e-3",
    "standard": "median 3e-7, 99 % 3e-5, largest 1e-4",
    "high": "median 2e-8, 99 % 3e-6, largest 1e-5",
}
_REACH = 6.0  # widths on either side


class Pulse(OnDevice, Gridded, BatchedOracle):
    """The concentration with its derivatives in all eight features, those of the discrete solution, by its adjoint.

    Crank-Nicolson with a smoothing start and three-point differences about the pulse's centre, on nodes that resolve its first width and its last.
    With `extrapolate` the grid of half as many cells and steps is combined with it to cancel the leading error. The centre's path and the reaction's
    factor are exact, and so are the units of length and time. Beyond the mesh, more than 6 widths away, the concentration is 0.

    level: "fast", "standard" or "high": 64 x 16, 128 x 32 or 256 x 64 cells and steps; `space` and `time` instead choose a grid by hand. Errors: see
    `accuracy`, and docs/oracles.md. Diffusivity and time may be 0; velocity, strain and reaction may have either sign. Raises InputError on an
    unknown level, and on a grid of fewer than 16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.

    >>> Pulse("high").values([[0.0, 0.0, 0.005, 0.0, 0.5, 0.1, 0.5, 1.0]])
    tensor([0.7071], dtype=torch.float64)
    """

    name = "advection_diffusion_reaction"
    domain = DOMAIN
    conditions = positive("width") + nonnegative("diffusivity", "time")
    levels = LEVELS
    accuracies = _ACCURACY
    family = BEYOND
    method = "Crank-Nicolson about the pulse, fitted mesh, extrapolated; adjoint gradient"
    gradient_cost = 1.5  # time of value and gradient over that of the value, less 1: 4,096 points of the domain, one core
    chunk = 2048

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        def concentration(points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
            return solved(self.grid, points, gradient, posed, partial(_solve, gradient))

        return self._run_blocks(concentration, points, gradient)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import barrier, pulse

        return pulse.solve(self, x, gradient) if self.grid.space < barrier.MOST_NODES else solve_elsewhere(self, x, gradient)


def posed(columns: list[torch.Tensor]) -> Posed:
    """The numbers of pulse_grid.COLUMNS."""
    velocity, strain, diffusivity, reaction, centre, width, position, time = columns
    spread, turn = diffusivity * time / (width * width), strain * time
    middle = centre * exp(turn) + velocity * time * mean_growth(turn)
    last = exp(2.0 * turn) + 2.0 * spread * mean_growth(2.0 * turn)
    end = _REACH * (1.0 + last).sqrt()
    return Posed(exp(-reaction * time), [spread, turn, log_ratio(end + (1.0 + end * end).sqrt(), torch.ones_like(end)), (position - middle) / width])


def _solve(gradient: bool, frames: np.ndarray, space: int, time: int, values: np.ndarray, bars: np.ndarray) -> None:
    solve_grid(frames, workspace(space + 1, time, adjoint=gradient), aligned(space + 1), values, bars)
