"""py-pde's values at rows of features: Burgers' equation, a pulse in a flow, CEV puts; one call solves one row, on CELLS even cells.

As fast as we could make it: equations as a subclass of its PDEBase, so that its compiled operators are made once and kept, boundary conditions parsed
once a row, time by SciPy's LSODA through its own solver, told that the Jacobian is tridiagonal; the value is read by a cubic spline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pde
import torch
from scipy.interpolate import CubicSpline

CELLS = 256
WALLS = {"value": 0.0}


class Equation(pde.PDEBase):
    """u_t = rate(u)."""

    def __init__(self, rate: Callable[[Any], Any]) -> None:
        super().__init__()
        self.rate = rate

    def evolution_rate(self, state: Any, t: float = 0.0) -> Any:
        return self.rate(state)


@cache
def _grid(low: float, high: float) -> Any:
    return pde.CartesianGrid([[low, high]], CELLS)


def _value(grid: Any, start: np.ndarray, rate: Callable[[Any], Any], time: float, place: float, ends: tuple[float, float] = (0.0, 0.0)) -> float:
    """The value at a place and time."""
    state = pde.ScalarField(grid, start)
    options = {"method": "LSODA", "rtol": 1e-6, "atol": 1e-8, "lband": 1, "uband": 1}
    end = Equation(rate).solve(state, t_range=time, tracker=None, solver="scipy", backend="numpy", **options)
    (low, high), inner = grid.axes_bounds[0], grid.axes_coords[0]
    return float(CubicSpline([low, *inner, high], [ends[0], *end.data, ends[1]])(place))


def burgers(points: torch.Tensor) -> torch.Tensor:
    """Velocities at rows of `burgers.DOMAIN`, the flux in conservative form."""
    grid = _grid(0.0, 1.0)
    x, walls = grid.axes_coords[0], grid.get_boundary_conditions(WALLS)

    def one(row: list[float]) -> float:
        viscosity, amplitude, position, time = row

        def rate(u: Any) -> Any:
            return viscosity * u.laplace(walls) - 0.5 * (u * u).gradient(walls)[0]

        return _value(grid, amplitude * np.sin(math.pi * x), rate, time, position)

    return _each(one, points)


def pulses(points: torch.Tensor) -> torch.Tensor:
    """Concentrations at rows of `pulse.DOMAIN`, on -3 < x < 4: nearly all of every pulse of the domain."""
    grid = _grid(-3.0, 4.0)
    x, walls = grid.axes_coords[0], grid.get_boundary_conditions(WALLS)

    def one(row: list[float]) -> float:
        velocity, strain, diffusivity, reaction, centre, width, position, time = row
        flow = pde.ScalarField(grid, velocity + strain * x)

        def rate(u: Any) -> Any:
            return diffusivity * u.laplace(walls) - flow * u.gradient(walls)[0] - reaction * u

        return _value(grid, np.exp(-0.5 * ((x - centre) / width) ** 2), rate, time, position)

    return _each(one, points)


def cev_puts(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows of `cev.DOMAIN`: the put on the forward over the strike, a martingale, up to 6 deviations above both."""
    grid = _grid(0.0, 1.0)
    walls = grid.get_boundary_conditions([{"value": 1.0}, {"value": 0.0}])

    def one(row: list[float]) -> float:
        spot, strike, volatility, elasticity, maturity, rate, dividend = row
        away, carry = 1.0 - elasticity, rate - dividend
        growth = 2.0 * away * carry * maturity
        variance = volatility**2 * maturity * (100.0 / strike) ** (2 * away) * (math.expm1(growth) / growth if growth else 1.0)
        forward = spot / strike * math.exp(carry * maturity)
        end = (max(forward, 1.0) ** away + 6.0 * away * math.sqrt(variance)) ** (1.0 / away)
        z = end * grid.axes_coords[0]
        spread = pde.ScalarField(grid, 0.5 * variance * z ** (2 * elasticity) / end**2)
        put = _value(grid, np.maximum(1.0 - z, 0.0), lambda u: spread * u.laplace(walls), 1.0, forward / end, (1.0, 0.0))
        return strike * math.exp(-rate * maturity) * put

    return _each(one, points)


def _each(value: Callable[[list[float]], float], points: torch.Tensor) -> torch.Tensor:
    return torch.tensor([value(row) for row in points.tolist()], dtype=torch.float64)
