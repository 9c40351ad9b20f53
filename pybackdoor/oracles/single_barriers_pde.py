"""The eight European options with a single barrier and a rebate by finite differences, with the derivatives of the discrete price.

The problem, source and known prices are those of single_barriers.py; how it is solved is in barrier_frame.py, barrier_grid.py and parabolic.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from pybackdoor.oracles.barrier_frame import AWAY, RESTING, TOWARDS_BARRIER, frame, motion
from pybackdoor.oracles.barrier_grid import solve_grid
from pybackdoor.oracles.batched import BatchedOracle, nonnegative, positive
from pybackdoor.oracles.differentiable import exp, log_ratio
from pybackdoor.oracles.european_vanilla import EuropeanCall, EuropeanPut
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.gridded import Gridded, Posed, solved
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.lanes import aligned
from pybackdoor.oracles.on_device import OnDevice, solve_elsewhere
from pybackdoor.oracles.parabolic import level_times, workspace
from pybackdoor.oracles.single_barriers import KINDS, SingleBarrier

LEVELS = {"fast": (64, 24), "standard": (128, 40), "high": (256, 96)}  # cells, time steps

_ACCURACY = {
    "fast": "median 6e-5, 99 % 2e-3, largest 7e-2",
    "standard": "median 5e-6, 99 % 2e-4, largest 5e-3",
    "high": "median 2e-7, 99 % 1e-5, largest 3e-4",
}
OF_PLAIN = [0, 1, 4, 5, 6, 7]  # the features of a European option
NO_SPREAD = 1e-12  # a variance sigma^2 T up to this leaves nothing to be solved for


class SingleBarrierPDE(OnDevice, Gridded, BatchedOracle):
    """Price of one of the eight `KINDS`, in currency units, with all eight derivatives.

    Crank-Nicolson with a smoothing start and three-point differences, second order in both, on a mesh with nodes at barrier and strike that moves
    with a strong drift. With `extrapolate` the grid of half as many cells and steps is solved too and the two are combined to cancel the leading
    error, which leaves the fourth order for a quarter more work. Gradients are the exact derivatives of the discrete price, by its adjoint. A
    knock-in is the European price, closed form, less the knock-out that pays the rebate short at maturity: its error is that of the knock-out. What
    has touched, and what has no spread (sigma^2 T <= 1e-12), is taken from the closed form, maturity 0 being the payoff.

    kind: for example "down_out_put". level: "fast", "standard" or "high": 64 x 24, 128 x 40 or 256 x 96 cells and steps; `space` and `time` instead
    choose a grid by hand. Where the drift is above WEAK deviations, half as many cells more and twice the steps are taken, and towards the barrier
    steps that begin short. Errors: see `accuracy`, and docs/oracles.md. Raises InputError on an unknown kind or level, and on a grid of fewer than
    16 cells or 8 steps, or whose cells are not a multiple of 4 or steps of 2.

    >>> SingleBarrierPDE("down_out_call").values([[100.0, 90.0, 95.0, 3.0, 0.25, 0.5, 0.08, 0.04]])
    tensor([9.0246], dtype=torch.float64)
    """

    levels = LEVELS
    accuracies = _ACCURACY
    family = ONE_DIMENSION
    method = "Crank-Nicolson, fitted mesh, extrapolated; adjoint gradient"
    gradient_cost = 1.6  # time of value and gradient over that of the value, less 1: 4,096 points of the domain, one core
    chunk = 2048

    def __init__(self, kind: str, level: str = "standard", *, space: int | None = None, time: int | None = None, extrapolate: bool = True) -> None:
        self.closed = SingleBarrier(kind)
        self.kind, self.name, self.domain = kind, f"{self.closed.name}_pde", self.closed.domain
        self.conditions = positive("spot", "strike", "barrier", "volatility") + nonnegative("rebate", "maturity")
        super().__init__(level, space=space, time=time, extrapolate=extrapolate)
        self.side = 1.0 if kind in ("up_in_call", "up_out_call", "down_in_put", "down_out_put") else -1.0

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        alive = points[:, 0] > points[:, 2] if self.kind.startswith("down") else points[:, 0] < points[:, 2]
        alive &= points[:, 4] ** 2 * points[:, 5] > NO_SPREAD
        values, status = torch.empty(len(points), dtype=torch.float64), torch.empty(len(points), dtype=torch.int64)
        gradients = torch.empty(len(points) if gradient else 0, 8, dtype=torch.float64)
        solved_for, closed = self._run_blocks(self._price, points[alive], gradient), self.closed._solve(points[~alive], gradient)
        for rows, answer in ((alive, solved_for), (~alive, closed)):
            values[rows], slopes, status[rows] = answer
            if gradient:
                gradients[rows] = slopes
        return values, gradients, status

    def _price(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [n] and gradients [n, 8] at points whose price has to be solved for."""
        values, gradients = torch.empty(len(points), dtype=torch.float64), torch.zeros(len(points), 8, dtype=torch.float64)
        variance, carry = points[:, 4] ** 2 * points[:, 5], (points[:, 6] - points[:, 7]) * points[:, 5]
        moving = motion(torch.from_numpy(variance), torch.from_numpy(carry if self.kind.startswith("down") else -carry))
        for way in (RESTING, AWAY, TOWARDS_BARRIER):
            rows = (moving == way).nonzero()[:, 0]
            if len(rows):
                values[rows], gradients[rows] = self._discrete(points[rows.numpy()], gradient, way)
        if "_in_" in self.kind:
            plain = (EuropeanCall if self.kind.endswith("call") else EuropeanPut)()
            whole, slopes, _ = plain._solve(np.ascontiguousarray(points[:, OF_PLAIN]), gradient)
            values, gradients = whole - values, -gradients
            if gradient:
                gradients[:, OF_PLAIN] += slopes
        return values, gradients

    def _discrete(self, points: np.ndarray, gradient: bool, way: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The knock-out's part; all meshes move in one way."""

        def solve(frames: np.ndarray, space: int, time: int, values: np.ndarray, bars: np.ndarray) -> None:
            times, pace = clock(time, way)
            memory = workspace(space + 1, time, adjoint=gradient)
            solve_grid(frames, self.side, times, pace, way != RESTING, memory, aligned(2, space + 1), values, bars)

        return solved(self.grid_for(way), points, gradient, self.pose(way), solve)

    def grid_for(self, way: int) -> Grid:
        """The grid for meshes that move in one of the ways of barrier_frame.py."""
        return self.grid if way == RESTING else Grid(self.grid.space // 8 * 12, 2 * self.grid.time, self.grid.extrapolate)

    def pose(self, way: int) -> Callable[[list[torch.Tensor]], Posed]:
        """From the features to the frames of such meshes."""

        def pose(columns: list[torch.Tensor]) -> Posed:
            terms = _terms(self.kind, columns)
            shape = frame(terms.distance, terms.strike, terms.variance, terms.growth, terms.waiting, moving=way != RESTING)
            return Posed(terms.scale, [*shape, terms.constant, terms.slope, terms.rebate, terms.waiting])

        return pose

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import barrier, single_barriers_pde

        fits = self.grid_for(AWAY).space < barrier.MOST_NODES
        return single_barriers_pde.solve(self, x, gradient) if fits else solve_elsewhere(self, x, gradient)


def clock(steps: int, way: int) -> tuple[np.ndarray, np.ndarray]:
    """(t at the solver's levels, its pace in the solves): even, or with steps that begin short."""
    levels = np.array(level_times(steps))
    times = levels**2 if way == TOWARDS_BARRIER else levels
    return times, np.diff(times) / np.diff(levels)


class _Terms(NamedTuple):
    """A point as the solver sees it, each [n]: see barrier_frame.py. The price is scale u, for a knock-in the European less that."""

    distance: torch.Tensor
    strike: torch.Tensor
    variance: torch.Tensor
    growth: torch.Tensor
    constant: torch.Tensor
    slope: torch.Tensor
    rebate: torch.Tensor
    waiting: torch.Tensor
    scale: torch.Tensor


def _terms(kind: str, columns: list[torch.Tensor]) -> _Terms:
    spot, strike, barrier, rebate, volatility, maturity, rate, dividend = columns
    variance, carry, zero = volatility * volatility * maturity, (rate - dividend) * maturity, torch.zeros_like(spot)
    if kind.startswith("up"):
        waiting, paid = rate * maturity, rebate / barrier
        place = log_ratio(barrier, spot), log_ratio(barrier, strike), variance, -carry
        scale, late = barrier * exp(-waiting), (-paid, zero)
    else:
        waiting, paid = dividend * maturity, rebate / strike
        place = log_ratio(spot, barrier), log_ratio(strike, barrier), variance, carry
        scale, late = spot * strike / barrier * exp(-waiting), (zero, -paid)
    if "_out_" in kind:
        return _Terms(*place, zero, zero, paid, waiting, scale)
    return _Terms(*place, *late, zero, waiting, scale)


_ALL = tuple(SingleBarrierPDE(kind) for kind in KINDS)
DOWN_IN_CALL, DOWN_IN_PUT, DOWN_OUT_CALL, DOWN_OUT_PUT, UP_IN_CALL, UP_IN_PUT, UP_OUT_CALL, UP_OUT_PUT = _ALL
