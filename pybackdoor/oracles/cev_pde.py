"""European put and call under constant elasticity of variance by finite differences, with the derivatives of the discrete price.

The model and known prices are those of cev.py; how it is solved is in cev_grid.py and parabolic.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from pybackdoor.oracles.batched import BatchedOracle
from pybackdoor.oracles.cev import CEV, DOMAIN, REFERENCE
from pybackdoor.oracles.cev_grid import solve_grid
from pybackdoor.oracles.differentiable import exp, log_ratio, mean_growth
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.lanes import aligned
from pybackdoor.oracles.on_device import OnDevice, solve_elsewhere
from pybackdoor.oracles.parabolic import workspace

LEVELS = {"fast": (64, 16), "standard": (128, 32), "high": (256, 64)}  # cells, time steps

_ACCURACY = {
    "fast": "median 1e-4, 99 % 9e-4, largest 4e-3; in the corners 1e-2",
    "standard": "median 7e-6, 99 % 5e-5, largest 2e-4; in the corners 3e-4",
    "high": "median 4e-7, 99 % 3e-6, largest 2e-5",
}
NO_SPREAD = 1e-12  # a variance, over the strike's square, up to this leaves the payoff of the forward
_REACH = 5.5  # deviations beyond the forward
_SHORT_SIDE, _LONG_SIDE = 0.8, 0.25  # the cells at the strike, of an even mesh's, on the shorter and on the longer side
_STRIKE_REACH = 0.75  # of the way from the forward to an end, beyond which the strike is not followed
_BOTTOM = -60.0  # log z that is no longer told from 0


class CEVPDE(OnDevice, Gridded, BatchedOracle):
    """Price in currency units with all seven derivatives, those of the discrete price, by its adjoint.

    The drift is taken out exactly: the forward is a martingale of the same elasticity, its clock the variance spent. Crank-Nicolson with a smoothing
    start and three-point differences, on a mesh about the strike that is even in the coordinate of constant variance and ends at 0, where the asset
    is absorbed, or 5.5 deviations from the forward. With `extrapolate` the grid of half as many cells and steps is combined with it to cancel the
    leading error. Call and put differ by the forward to rounding, on every grid.

    level: "fast", "standard" or "high": 64 x 16, 128 x 32 or 256 x 64 cells and steps; `space` and `time` instead choose a grid by hand. Errors: see
    `accuracy`, and docs/oracles.md; elasticities near 1 are no harder. Without spread, maturity 0 included, it is the payoff of the forward. Raises
    InputError on an unknown level, and on a grid of fewer than 16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.
    """

    domain = DOMAIN
    conditions = CEV.conditions
    levels = LEVELS
    accuracies = _ACCURACY
    family = ONE_DIMENSION
    method = "Crank-Nicolson, fitted mesh, extrapolated; adjoint gradient"
    gradient_cost = 1.2  # time of value and gradient over that of the value, less 1: 4,096 points of the domain, one core
    chunk = 2048
    sign: float

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run_blocks(partial(_price, self.grid, self.sign), points, gradient)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import barrier, cev_pde

        return cev_pde.solve(self, x, gradient) if self.grid.space < barrier.MOST_NODES else solve_elsewhere(self, x, gradient)


class CEVPutPDE(CEVPDE):
    """The put; see `CEVPDE`."""

    name = "cev_put_pde"
    sign = -1.0


class CEVCallPDE(CEVPDE):
    """The call; see `CEVPDE`.

    >>> CEVCallPDE("high").values([[100.0, 100.0, 0.25, 0.5, 0.5, 0.1, 0.0]])
    tensor([9.5845], dtype=torch.float64)
    """

    name = "cev_call_pde"
    sign = 1.0


def _price(grid: Grid, sign: float, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [n] and gradients [n, 7]."""
    values, gradients = payoff_of_forward(sign, torch.from_numpy(points))
    rows = torch.from_numpy(np.flatnonzero(spread(points) > NO_SPREAD))
    if len(rows):
        values[rows], gradients[rows] = solved(grid, points[rows.numpy()], gradient, partial(posed, sign), partial(_solve, gradient))
    return values, gradients


def spread(points: Any) -> Any:
    """The variance over the strike's square [n], of points [n, 7]: an array or a tensor."""
    _, strike, volatility, elasticity, maturity, _, _ = points.T
    return volatility**2 * maturity * (REFERENCE / strike) ** (2.0 * (1.0 - elasticity))


def payoff_of_forward(sign: float, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [n] and gradients [n, 7] where nothing is spread."""
    spot, strike, _, _, maturity, rate, dividend = points.unbind(dim=1)
    held, paid, zero = spot * exp(-dividend * maturity), strike * exp(-rate * maturity), torch.zeros_like(spot)
    gain = sign * (held - paid)
    slopes = torch.stack([held / spot, -paid / strike, zero, zero, rate * paid - dividend * held, maturity * paid, -maturity * held], dim=1)
    return gain.clamp(min=0.0), torch.where(gain[:, None] > 0.0, sign * slopes, 0.0)


def _solve(gradient: bool, frames: np.ndarray, space: int, time: int, values: np.ndarray, bars: np.ndarray) -> None:
    solve_grid(frames, workspace(space + 1, time, adjoint=gradient), aligned(2, space + 1), values, bars)


def posed(sign: float, columns: list[torch.Tensor]) -> Posed:
    """The put's numbers of cev_grid.COLUMNS; the call is that and the forward."""
    spot, strike, volatility, elasticity, maturity, rate, dividend = columns
    away, growth = 1.0 - elasticity, (rate - dividend) * maturity
    clock = volatility * volatility * maturity * mean_growth(2.0 * away * growth)
    variance, distance = clock * exp(2.0 * away * log_ratio(torch.full_like(strike, REFERENCE), strike)), log_ratio(spot, strike) + growth
    place, deviation, zero = distance * mean_growth(away * distance), variance.sqrt(), torch.zeros_like(spot)
    drift = -0.5 * elasticity * variance * exp(-away * distance)
    nearest, farthest = place + torch.minimum(drift, zero), place + torch.maximum(drift, zero)
    low, bottom, last = nearest - _REACH * deviation, _BOTTOM * mean_growth(_BOTTOM * away), farthest + _REACH * deviation
    absorbed = low <= bottom
    first = torch.where(absorbed, bottom, low)
    end = torch.where(absorbed, 0.0, exp(log_ratio(1.0 + away * torch.where(absorbed, zero, low), torch.ones_like(low)) / away))
    middle = torch.minimum(torch.maximum(zero, nearest - _STRIKE_REACH * _REACH * deviation), farthest + _STRIKE_REACH * _REACH * deviation)
    left, right = middle - first, last - middle
    at_left = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * right / (left + right)
    at_right = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * left / (left + right)
    paid = strike * exp(-rate * maturity)
    numbers = [end, middle, left * at_left, left * (1.0 - at_left), right * at_right, right * (1.0 - at_right), variance, away, distance]
    return Posed(paid, numbers, spot * exp(-dividend * maturity) - paid if sign > 0.0 else None)
