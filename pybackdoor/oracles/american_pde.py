"""American put and call by finite differences, with the derivatives of the discrete price.

The problem and known prices are those of american.py; how it is solved is in american_grid.py, exercise.py and parabolic.py.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from pybackdoor.oracles.american import DOMAIN, _single_boundary
from pybackdoor.oracles.american_grid import solve_grid
from pybackdoor.oracles.batched import BatchedOracle, Condition, Row, nonnegative, positive
from pybackdoor.oracles.differentiable import log_ratio
from pybackdoor.oracles.exercise import exercise
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.lanes import aligned
from pybackdoor.oracles.parabolic import level_times, workspace

LEVELS = {"fast": (80, 24), "standard": (160, 48), "high": (320, 96)}  # cells, time steps

_ACCURACY = {
    "fast": "median 5e-4, 99 % 4e-2, largest 0.2",
    "standard": "median 5e-5, 99 % 7e-3, largest 6e-2",
    "high": "median 5e-6, 99 % 1e-3, largest 1e-2",
}
_NO_SPREAD = 1e-12  # a variance sigma^2 T up to this is an option that is exercised now or never
_REACH = 6.0  # deviations beyond spot and forward
_SHORT_SIDE, _LONG_SIDE = 1.0, 0.3  # the cells at the strike, of an even mesh's, on the shorter and on the longer side
_STRIKE_REACH = 0.75  # of the way from spot or forward to an end, beyond which the strike is not followed
_CLOCK = 2  # t is the solver's own time to this power


class AmericanPDE(Gridded, BatchedOracle):
    """Price in currency units with all six derivatives, those of the discrete scheme almost everywhere, by its adjoint.

    Crank-Nicolson with a smoothing start, steps that begin short, and three-point differences on a mesh about the strike; each step's
    complementarity problem is solved exactly. With `extrapolate` (the default) the grid of half as many cells and steps is combined with it, which
    removes the leading error of the region that does not exercise. A spot that exercises is worth the payoff, with its derivatives (vega 0).

    level: "fast", "standard" or "high": 80 x 24, 160 x 48 or 320 x 96 cells and steps; `space` and `time` instead choose a grid by hand. Rows for
    which exercise pays between two boundaries (put: dividend < rate < 0, call: rate < dividend < 0) are bad input. Raises InputError on an unknown
    level, and on a grid of fewer than 16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.
    """

    domain = DOMAIN
    levels = LEVELS
    accuracies = _ACCURACY
    family = ONE_DIMENSION
    method = "Crank-Nicolson, complementarity solved exactly; adjoint gradient"
    gradient_cost = 1.2  # time of value and gradient over that of the value, less 1: 2,048 points of the domain, one core
    chunk = 2048
    right: str

    def __init__(self, level: str = "standard", *, space: int | None = None, time: int | None = None, extrapolate: bool = True) -> None:
        super().__init__(level, space=space, time=time, extrapolate=extrapolate)
        self.conditions = (
            positive("spot", "strike", "volatility")
            + nonnegative("maturity")
            + (Condition("dividend" if self.right == "put" else "rate", "a market with at most one exercise boundary", self._single_boundary),)
        )

    def _single_boundary(self, row: Row) -> torch.Tensor:
        return _single_boundary(self.right, row)

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        swapped = [1, 0, 2, 3, 5, 4] if self.right == "call" else [0, 1, 2, 3, 4, 5]  # C(S, K, r, q) = P(K, S, q, r)
        values, gradients, status = self._run_blocks(partial(_price, self.grid), np.ascontiguousarray(points[:, swapped]), gradient)
        return values, gradients[:, swapped].contiguous(), status


class AmericanPutPDE(AmericanPDE):
    """The put; see `AmericanPDE`.

    >>> AmericanPutPDE("high").values([[100.0, 100.0, 0.25, 1.0, 0.05, 0.05]]).round(decimals=2)
    tensor([9.5700], dtype=torch.float64)
    """

    name = "american_put_pde"
    right = "put"


class AmericanCallPDE(AmericanPDE):
    """The call, as the put with spot and strike, rate and dividend exchanged; see `AmericanPDE`."""

    name = "american_call_pde"
    right = "call"


def _price(grid: Grid, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [n] and gradients [n, 6] of puts; those without spread by their limit, the payoff now or the forward's."""
    values, gradients = _at_once_or_never(points)
    rows = torch.from_numpy(np.flatnonzero(points[:, 2] ** 2 * points[:, 3] > _NO_SPREAD))
    if len(rows):
        values[rows], gradients[rows] = _discrete(grid, points[rows.numpy()], gradient)
    return values, gradients


def _at_once_or_never(points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    spot, strike, _, maturity, rate, dividend = torch.from_numpy(points).unbind(dim=1)
    held, paid, zero = spot * torch.exp(-dividend * maturity), strike * torch.exp(-rate * maturity), torch.zeros_like(spot)
    now, later = strike - spot, paid - held
    wait = later > now
    slopes = [-held / spot, paid / strike, zero, dividend * held - rate * paid, -maturity * paid, maturity * held]
    sooner = [-torch.ones_like(spot), torch.ones_like(spot), zero, zero, zero, zero]
    gradients = torch.stack([torch.where(wait, a, b) for a, b in zip(slopes, sooner, strict=True)], dim=1)
    worth = torch.maximum(now, later)
    return worth.clamp(min=0.0), torch.where(worth[:, None] > 0.0, gradients, 0.0)


def _discrete(grid: Grid, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    def solve(frames: np.ndarray, space: int, time: int, values: np.ndarray, bars: np.ndarray) -> None:
        levels = np.array(level_times(time))
        times = levels**_CLOCK
        memory = workspace(space + 1, time, adjoint=gradient)
        solve_grid(frames, times, np.diff(times) / np.diff(levels), memory, exercise(space + 1, time), aligned(space + 1), values, bars)

    return solved(grid, points, gradient, _posed, solve)


def _posed(columns: list[torch.Tensor]) -> Posed:
    return Posed(columns[1], _frame(columns))


def _frame(columns: list[torch.Tensor]) -> list[torch.Tensor]:
    """The numbers of american_grid.COLUMNS, each [n]."""
    spot, strike, volatility, maturity, rate, dividend = columns
    variance, growth, waiting = volatility * volatility * maturity, (rate - dividend) * maturity, rate * maturity
    distance, deviation, drift = log_ratio(spot, strike), variance.sqrt(), growth - 0.5 * variance
    zero = torch.zeros_like(spot)
    nearest, farthest = distance + torch.minimum(drift, zero), distance + torch.maximum(drift, zero)
    first, last = nearest - _REACH * deviation, farthest + _REACH * deviation
    middle = torch.minimum(torch.maximum(zero, nearest - _STRIKE_REACH * _REACH * deviation), farthest + _STRIKE_REACH * _REACH * deviation)
    left, right = middle - first, last - middle
    at_left = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * right / (left + right)
    at_right = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * left / (left + right)
    return [middle, left * at_left, left * (1.0 - at_left), right * at_right, right * (1.0 - at_right), variance, growth, waiting, distance]
