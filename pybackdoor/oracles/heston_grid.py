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
from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.adi import Plane, plane, solve
from pybackdoor.oracles.adi_adjoint import Bars, bars, solve_adjoint
from pybackdoor.oracles.heston_coefficients import Coefficients, coefficients, through_coefficients
from pybackdoor.oracles.quads import QUAD

STENCIL = 6


class Memory:
    """What `solve_grid` works in, for one grid and plan, kept for the next call: the system takes longer to hand out pages than a sweep to fill them.

    Each thread that solves at the same time takes one of its own. Copies made by pickling begin empty.
    """

    def __init__(self, nx: int, ny: int, plan: np.ndarray) -> None:
        self.nx, self.ny, self.plan = nx, ny, plan
        self._free: dict[bool, list[tuple[Plane, Bars]]] = {False: [], True: []}

    def __reduce__(self) -> tuple[type[Memory], tuple[int, int, np.ndarray]]:
        return Memory, (self.nx, self.ny, self.plan)

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
    reading = _reading(points, made)
    near, parts = np.empty((STENCIL, STENCIL, points.shape[1])), np.zeros((6, max(nx, ny), points.shape[1]))
    for start in range(0, points.shape[1], QUAD):
        block = slice(start, start + QUAD)
        _fill(grid, made, block)
        solve(grid, plan)
        for lane in range(QUAD):
            i, j = reading.first[:, start + lane]
            near[:, :, start + lane] = grid.u[i : i + STENCIL, j : j + STENCIL, lane]
        if gradient:
            _differentiate(grid, back, plan, reading, block, parts)
    results = np.zeros((7 if gradient else 1, points.shape[1]))
    _read(points, made, reading, near, results)
    if gradient:
        through_coefficients(points, made, parts, results)
        results[1:, ~reading.inside] = 0.0
    return results


class Reading(NamedTuple):
    """Where and how the solution is read: `inside` the mesh or not [n], the stencil's first nodes [2, n], weights and their slopes [STENCIL, n]."""

    inside: np.ndarray
    first: np.ndarray
    across: np.ndarray
    across_slope: np.ndarray
    along: np.ndarray
    along_slope: np.ndarray


def _reading(points: np.ndarray, made: Coefficients) -> Reading:
    x, variance = points[0], points[1]
    nx, nodes = len(made.s), made.nodes
    place = (np.arcsinh(x / made.width[0]) / made.stretch[0] + 1.0) * (0.5 * (nx - 1))
    inside = (place > 0.0) & (place < nx - 1.0)  # beyond there is no time value
    i = np.clip(np.where(inside, place, 0.0).astype(np.int64) - STENCIL // 2 + 1, 0, nx - STENCIL)
    level = variance / made.unit[0]
    j = np.clip(np.searchsorted(nodes, level, side="left") - STENCIL // 2, 0, len(nodes) - STENCIL)
    steps = np.arange(STENCIL)[:, None]
    across = _lagrange((i + steps).astype(float), np.where(inside, place, 0.0))
    along = _lagrange(nodes[j + steps], level)
    return Reading(inside, np.stack([i, j]), *across, *along)


def _lagrange(nodes: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [STENCIL, n] of values at the nodes [STENCIL, n] in the polynomial through them at a place [n], and in its slope there."""
    shares, slopes = np.ones_like(nodes), np.zeros_like(nodes)
    for node in range(STENCIL):
        for other in range(STENCIL):
            if other != node:
                gap = nodes[node] - nodes[other]
                slopes[node] = slopes[node] * (at - nodes[other]) / gap + shares[node] / gap
                shares[node] *= (at - nodes[other]) / gap
    return shares, slopes


def _fill(grid: Plane, made: Coefficients, block: slice) -> None:
    """One block's coefficients into the plane, and u = 0."""
    for to, values in zip((grid.x_lo, grid.x_up, grid.x_mix, grid.source, grid.f, grid.y_lo, grid.y_up), made.arrays(), strict=True):
        to[:] = values[:, block]
    grid.y_mix[:] = made.y_mix[:, None]
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
    for to, values in zip(parts, (back.x_lo, back.x_up, back.x_mix, back.source, back.y_lo, back.y_up), strict=True):
        to[: len(values), block] = values


def _read(points: np.ndarray, made: Coefficients, reading: Reading, near: np.ndarray, results: np.ndarray) -> None:
    """The values, and where wanted their derivatives in x and variance and through the mesh, at a fixed solution."""
    x, variance = points[0], points[1]
    width, stretch, unit = made.width[0], made.stretch[0], made.unit[0]
    s = made.s[reading.first[0] + np.arange(STENCIL)[:, None]]
    side = np.where(x <= 0.0, 1.0, -1.0)  # out of the money is the call, the put
    out = side * s > 0.0
    node = np.where(out, width * np.sinh(stretch * s), 0.0)
    payoff = side * np.expm1(node)
    value, by_place, by_level, by_width, by_stretch = np.zeros((5, len(x)))
    for i in range(STENCIL):
        row, slope = payoff[i].copy(), np.zeros_like(x)
        for j in range(STENCIL):
            row += reading.along[j] * near[i, j]
            slope += reading.along_slope[j] * near[i, j]
        value += reading.across[i] * row
        by_place += reading.across_slope[i] * row
        by_level += reading.across[i] * slope
        grown = np.where(out[i], reading.across[i] * side * (payoff[i] * side + 1.0), 0.0)
        by_width += grown * node[i] / width
        by_stretch += grown * width * s[i] * np.cosh(stretch * s[i])
    results[0] = np.where(reading.inside, value, 0.0)
    if len(results) > 1:
        per_step = 0.5 * (len(made.s) - 1) / stretch
        slope = by_place * per_step / np.sqrt(x * x + width * width)
        results[1] = slope
        results[2] = by_level / unit
        by_width -= slope * x / width
        by_stretch -= by_place * per_step * np.arcsinh(x / width) / stretch
        results[2:6] += by_width * made.width[1:] + by_stretch * made.stretch[1:] - by_level * variance / (unit * unit) * made.unit[1:]
