"""American put and call by finite differences, with the derivatives of the discrete price.

The problem and known prices are those of american.py; how it is solved is in american_grid.py and front.py.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from pybackdoor.oracles.american import DOMAIN, market_conditions
from pybackdoor.oracles.american_grid import memory, solve_grid
from pybackdoor.oracles.batched import BatchedOracle, nonnegative, positive
from pybackdoor.oracles.differentiable import log_ratio
from pybackdoor.oracles.european_vanilla import EuropeanPut
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.front import geometry
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.scalar.american_option import LONGEST

LEVELS = {"fast": (24, 24), "standard": (48, 48), "high": (96, 96)}  # cells, time steps

_ACCURACY = {
    "fast": "median 2e-4, 99 % 2e-3, largest 7e-3",
    "standard": "median 2e-5, 99 % 3e-4, largest 1e-3",
    "high": "median 2e-6, 99 % 4e-5, largest 5e-5",
}
_NO_SPREAD = 1e-12  # a variance sigma^2 T up to this is an option that is exercised now or never
_REACH = 5.0  # deviations beyond the spot, or beyond the strike, at which the mesh ends
_LEAST = 4.0  # deviations that it has at least beyond the boundary at maturity


class AmericanPDE(Gridded, BatchedOracle):
    """Price in currency units with all six derivatives.

    What early exercise adds to the European price, by finite differences on a mesh that begins at the exercise boundary and moves with it; the
    boundary is found in every step. With `extrapolate` (the default) the grid of half as many cells and steps is combined with it, which removes the
    leading error. The derivatives are those of the discrete price with the boundary's course held, which changes nothing to first order: as exact as
    the price, up to the boundary. A spot at or beyond the boundary is worth the payoff, with its derivatives (vega 0).

    level: "fast", "standard" or "high": 24, 48 or 96 cells and as many steps; `space` and `time` instead choose a grid by hand. Bad input are rows
    for which exercise pays between two boundaries (put: dividend < rate < 0, call: rate < dividend < 0), and rows, all beyond the domain, where
    dividend less rate (call: rate less dividend) moves the spot by more than 10 deviations. Raises InputError on an unknown level, and on a grid of
    fewer than 16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.
    """

    domain = DOMAIN
    levels = LEVELS
    accuracies = _ACCURACY
    family = ONE_DIMENSION
    method = "mesh moving with the exercise boundary, second order; adjoint gradient"
    gradient_cost = 0.4  # time of value and gradient over that of the value, less 1: 2,048 points of the domain, one core
    chunk = 2048
    right: str

    def __init__(self, level: str = "standard", *, space: int | None = None, time: int | None = None, extrapolate: bool = True) -> None:
        super().__init__(level, space=space, time=time, extrapolate=extrapolate)
        self.conditions = positive("spot", "strike", "volatility") + nonnegative("maturity") + market_conditions(self.right)

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
    """Values [n] and gradients [n, 6] of puts; those without spread by their limit, those never exercised early by the European formula."""
    spread, early = points[:, 2] ** 2 * points[:, 3] > _NO_SPREAD, (points[:, 4] > 0.0) | ((points[:, 4] == 0.0) & (points[:, 5] < 0.0))
    values, gradients = _at_once_or_never(points)
    for chosen, solve in ((spread & early, partial(_discrete, grid)), (spread & ~early, EuropeanPut()._solve)):
        rows = torch.from_numpy(np.flatnonzero(chosen))
        if len(rows):
            found = solve(points[rows.numpy()], gradient)
            values[rows] = found[0]
            if gradient:
                gradients[rows] = found[1]
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
        solve_grid(frames, geometry(space), memory(space + 1, time, adjoint=gradient), values, bars)

    return solved(grid, points, gradient, _posed, solve)


def _posed(columns: list[torch.Tensor]) -> Posed:
    spot, strike, volatility, maturity, rate, dividend = columns
    rising = (rate - dividend).clamp(min=1e-300)
    maturity = torch.minimum(maturity, (LONGEST * volatility / rising) ** 2)  # beyond, the price does not depend on it
    numbers = [volatility * volatility * maturity, rate * maturity, dividend * maturity, log_ratio(spot, strike)]
    return Posed(strike, numbers + _mesh(*(number.detach() for number in numbers)))


def _mesh(variance: torch.Tensor, waiting: torch.Tensor, holding: torch.Tensor, distance: torch.Tensor) -> list[torch.Tensor]:
    """The mesh's end, the logarithms of the boundary at maturity and, as a distance from it, of the perpetual put's, each [n]."""
    deviation, drift, zero = variance.sqrt(), waiting - holding - 0.5 * variance, torch.zeros_like(variance)
    limit = torch.where(waiting < holding, (waiting / holding).log(), zero)
    far = torch.minimum(distance + drift.clamp(min=0.0), -drift.clamp(max=0.0)) + _REACH * deviation
    carry = (holding - waiting) / variance
    power = 0.5 - carry + ((carry - 0.5) ** 2 + 2.0 * holding / variance).clamp(min=0.0).sqrt()
    deepest = torch.log1p((power / (power - 1.0).clamp(min=1e-8) * limit.exp().reciprocal() - 1.0).clamp(1e-4, 1e4))
    return [torch.maximum(far, limit + _LEAST * deviation), limit, deepest]
