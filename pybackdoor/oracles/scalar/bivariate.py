"""The bivariate normal distribution function, to 1e-15.

Source: A. Genz, "Numerical computation of rectangular bivariate and trivariate normal and t probabilities", Statistics and Computing 14 (2004),
151-160: Plackett's integral over the angle for moderate correlations, and for strong ones its singular part in closed form.
"""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.vmath import normal, sine_cosine

_NODES, _WEIGHTS = (tuple(part.tolist()) for part in np.polynomial.legendre.leggauss(20))

STRONG = 0.925
_ROOT_TWO_PI = 2.5066282746310005024


@scalar
def bivariate_normal(x, y, correlation):  # type: ignore[no-untyped-def]
    """P(X <= x, Y <= y) for standard normal X, Y with -1 < correlation < 1."""
    x, y = min(max(x, -40.0), 40.0), min(max(y, -40.0), 40.0)  # nothing lies beyond
    if abs(correlation) < STRONG:
        return _moderate(-x, -y, correlation)
    return _strong(-x, -y, correlation)


@scalar
def _moderate(h, k, correlation):  # type: ignore[no-untyped-def]
    half, product, angle = 0.5 * (h * h + k * k), h * k, math.asin(correlation)
    total = 0.0
    for node in range(20):
        sine, _ = sine_cosine(0.5 * angle * (1.0 + _NODES[node]))
        total += _WEIGHTS[node] * math.exp((sine * product - half) / (1.0 - sine * sine))
    return total * angle / (4.0 * math.pi) + normal(-h)[0] * normal(-k)[0]


@scalar
def _strong(h, k, correlation):  # type: ignore[no-untyped-def]
    """P(X > h, Y > k): the integral from the correlation to +-1."""
    if correlation < 0.0:
        k = -k
    product = h * k
    gap = (1.0 - correlation) * (1.0 + correlation)
    a, square = math.sqrt(gap), (h - k) * (h - k)
    c, d = (4.0 - product) / 8.0, (12.0 - product) / 16.0
    total = a * math.exp(-0.5 * (square / gap + product)) * (1.0 - c * (square - gap) * (1.0 - d * square / 5.0) / 3.0 + c * d * gap * gap / 5.0)
    distance = abs(h - k)
    if product > -700.0:
        total -= math.exp(-0.5 * product) * _ROOT_TWO_PI * normal(-distance / a)[0] * distance * (1.0 - c * square * (1.0 - d * square / 5.0) / 3.0)
    for node in range(20):
        x = (0.5 * a * (1.0 + _NODES[node])) ** 2
        root = math.sqrt(1.0 - x)
        exponent = -0.5 * (square / x + product)
        if exponent > -700.0:
            total += (
                0.5
                * a
                * _WEIGHTS[node]
                * math.exp(exponent)
                * (math.exp(-0.5 * product * (1.0 - root) / (1.0 + root)) / root - (1.0 + c * x * (1.0 + d * x)))
            )
    total *= -0.5 / math.pi
    if correlation > 0.0:
        return total + normal(-max(h, k))[0]
    if k <= h:
        return -total
    between = normal(k)[0] - normal(h)[0] if h < 0.0 else normal(-h)[0] - normal(-k)[0]
    return between - total
