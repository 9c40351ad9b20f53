"""Heston's equation on one grid: its solution read at today's price and variance, and the derivatives of that reading.

Points are columns (x, variance, reversion, mean, vol, correlation), x = log(forward / strike), the others but the correlation times the maturity. The
unknown is the time value of the option over its discounted strike, the same for call and put: u = 0 at the start, a source at the strike, and

    u_t = v / 2 (u_xx - u_x) + correlation vol v u_xv + vol^2 v / 2 u_vv + reversion (mean - v) u_v

without discounting or drift, which are in x and in the strike's discount. Results are rows (price over discounted strike of the option out of the
money, and its derivatives in the six).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pybackdoor.oracles.adi import Plane, plane, solve
from pybackdoor.oracles.adi_adjoint import Bars, bars, solve_adjoint
from pybackdoor.oracles.heston_coefficients import Coefficients, coefficients, through_coefficients
from pybackdoor.oracles.heston_reading import STENCIL, Reading, read, read_at
from pybackdoor.oracles.quads import QUAD


class Memory:
    """What `solve_grid` works in, for one grid and plan, kept for the next call: the system takes longer to hand out pages than a sweep to fill them.

    Each thread that solves at the same time takes one of its own. Copies made by pickling begin empty.
    """

    def __init__(self, nx: int, ny: int, plan: np.ndarray) -> None:
        self.nx, self.ny, self.plan = nx, ny, plan
        self._plans: dict[torch.device, torch.Tensor] = {}
        self._free: dict[bool, list[tuple[Plane, Bars]]] = {False: [], True: []}

    def __reduce__(self) -> tuple[type[Memory], tuple[int, int, np.ndarray]]:
        return Memory, (self.nx, self.ny, self.plan)

    def plan_on(self, device: torch.device) -> torch.Tensor:
        """The plan on a device, brought there once."""
        if device not in self._plans:
            self._plans[device] = torch.tensor(self.plan, device=device)
        return self._plans[device]

    @contextmanager
    def lent(self, gradient: bool) -> Iterator[tuple[Plane, Bars]]:
        """A plane, which keeps every step with `gradient`, and bars; back when the block ends."""
        try:
            pair = self._free[gradient].pop()
        except IndexError:
            pair = plane(self.nx, self.ny, len(self.plan) if gradient else 0), bars(self.nx, self.ny)
        yield pair
        self._free[gradient].append(pair)


def solve_grid(points: np.ndarray, memory: Memory, gradient: bool) -> np.ndarray:
    """Points [6, n] -> results [7, n] (value and gradient) or [1, n] (value), n a multiple of QUAD."""
    with memory.lent(gradient) as (grid, back):
        return _solve(points, memory, grid, back, gradient)


def _solve(points: np.ndarray, memory: Memory, grid: Plane, back: Bars, gradient: bool) -> np.ndarray:
    nx, ny, plan = memory.nx, memory.ny, memory.plan
    made = coefficients(points, nx, ny)
    reading = read_at(points, made)
    near, parts = np.empty((STENCIL, STENCIL, points.shape[1])), np.zeros((7, max(nx, ny), points.shape[1]))
    for start in range(0, points.shape[1], QUAD):
        block = slice(start, start + QUAD)
        _fill(grid, made, points[5], block)
        solve(grid, plan)
        for lane in range(QUAD):
            i, j = reading.first[:, start + lane]
            near[:, :, start + lane] = grid.u[i : i + STENCIL, j : j + STENCIL, lane]
        if gradient:
            _differentiate(grid, back, plan, reading, block, parts)
    results = np.zeros((7 if gradient else 1, points.shape[1]))
    read(points, made, reading, near, results)
    if gradient:
        through_coefficients(points, made, parts, results)
        results[1:, ~reading.inside] = 0.0
    return results


def _fill(grid: Plane, made: Coefficients, correlation: np.ndarray, block: slice) -> None:
    """One block's coefficients into the plane, and u = 0."""
    for to, values in zip((grid.x_lo, grid.x_up, grid.x_mix, grid.source, grid.f, grid.y_lo, grid.y_up), made.arrays(), strict=True):
        to[:] = values[:, block]
    grid.y_mix[:] = made.y_mix[:, None]
    grid.skew[:] = correlation[block]
    grid.u[:] = 0.0


def _differentiate(grid: Plane, back: Bars, plan: np.ndarray, reading: Reading, block: slice, parts: np.ndarray) -> None:
    """The adjoint of one block's reading; the derivatives in its coefficients into `parts`."""
    back.u_bar[:] = 0.0
    for lane in range(QUAD):
        point = block.start + lane
        i, j = reading.first[:, point]
        back.u_bar[i : i + STENCIL, j : j + STENCIL, lane] = reading.across[:, point, None] * reading.along[:, point]
    back.u_bar[[0, -1]] = 0.0
    solve_adjoint(grid, back, plan)
    for to, values in zip(parts, (back.x_lo, back.x_up, back.x_mix, back.source, back.y_lo, back.y_up, back.skew), strict=True):
        to[: len(values), block] = values
