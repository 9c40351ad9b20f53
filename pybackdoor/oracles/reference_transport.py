"""Independent truth for transport equations, in float64 by formulas that share nothing with the solvers: for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_PIECES = 4000
_NEGLIGIBLE = 40.0  # e to minus this is nothing


def burgers(viscosity: complex, amplitude: complex, position: complex, time: complex) -> complex:
    """Velocity of Burgers' equation from amplitude sin(pi x), u = 0 at 0 and 1: Cole's and Hopf's integral by the trapezoidal rule.

    u = integral of (x - s) / t e^-G over that of e^-G, G = (amplitude / pi (1 - cos pi s) + (x - s)^2 / (2 t)) / (2 viscosity): J. D. Cole, Quarterly
    of Applied Mathematics 9 (1951), 225-236. Within 1e-12; arguments may be complex, for derivatives by a complex step.
    """
    depth = amplitude.real / (np.pi * viscosity.real) + _NEGLIGIBLE
    reach = np.sqrt(4.0 * viscosity.real * time.real * depth)
    away = np.linspace(-reach, reach, _PIECES + 1)
    height = (amplitude / np.pi * (1.0 - np.cos(np.pi * (position - away))) + away * away / (2.0 * time)) / (2.0 * viscosity)
    weight = np.exp(height.real.min() - height)
    return complex((away / time * weight).sum() / weight.sum())


def pulse(
    velocity: complex, strain: complex, diffusivity: complex, reaction: complex, centre: complex, width: complex, position: complex, time: complex
) -> complex:
    """Concentration of a Gaussian pulse of height 1 in the flow velocity + strain x, strain other than 0: see pulse.py."""
    growth = np.exp(strain * time)
    q = diffusivity * (growth * growth - 1.0) / (strain * growth * growth * width * width)
    z = (position - centre * growth - velocity * (growth - 1.0) / strain) / (growth * width)
    return complex(np.exp(-reaction * time - z * z / (2.0 * (1.0 + q))) / np.sqrt(1.0 + q))


def gradient(formula: Callable[..., complex], row: Sequence[float]) -> list[float]:
    """The derivatives of an analytic formula in every argument, by a complex step: exact to rounding."""
    step = 1e-30
    return [formula(*(complex(value, step if place == at else 0.0) for place, value in enumerate(row))).imag / step for at in range(len(row))]
