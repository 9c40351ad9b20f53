"""Independent truth for the single-barrier options and the European ones, in arbitrary precision (mpmath, a test dependency)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath


def _normal(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _between(mean: Any, deviation: Any, low: Any, high: Any, tilt: int) -> Any:
    """E[exp(tilt X); low < X < high] for X normal."""
    centre = mean + tilt * deviation**2
    return mpmath.exp(tilt * mean + tilt * deviation**2 / 2) * (_normal((high - centre) / deviation) - _normal((low - centre) / deviation))


def european(call: bool, spot: Any, strike: Any, volatility: Any, maturity: Any, rate: Any, dividend: Any) -> Any:
    """The payoff against the lognormal density."""
    s, drift = volatility * mpmath.sqrt(maturity), (rate - dividend - volatility**2 / 2) * maturity
    low, high = (mpmath.log(strike / spot), mpmath.inf) if call else (-mpmath.inf, mpmath.log(strike / spot))
    paid = spot * _between(drift, s, low, high, 1) - strike * _between(drift, s, low, high, 0)
    return mpmath.exp(-rate * maturity) * (paid if call else -paid)


def single_barrier(
    kind: str,
    spot: Any,
    strike: Any,
    barrier: Any,
    rebate: Any,
    volatility: Any,
    maturity: Any,
    rate: Any,
    dividend: Any,
    *,
    by_density: bool = False,
) -> Any:
    """The payoff against the density of the survivors (a normal density less its mirror image, reflection principle) on the living side.

    The rebate of a knock-out is the Laplace transform of the first passage's density up to maturity: in closed form, or with `by_density` by
    quadrature of that density.
    """
    direction, action, right = kind.split("_")
    call, down, h = right == "call", direction == "down", mpmath.log(barrier / spot)
    vanilla = european(call, spot, strike, volatility, maturity, rate, dividend)
    if h >= 0 if down else h <= 0:
        return vanilla if action == "in" else rebate
    s, drift = volatility * mpmath.sqrt(maturity), (rate - dividend - volatility**2 / 2) * maturity
    weight, discount = mpmath.exp(2 * drift * h / s**2), mpmath.exp(-rate * maturity)
    low, high = (h, mpmath.inf) if down else (-mpmath.inf, h)
    k = mpmath.log(strike / spot)
    paying = (max(low, k), high) if call else (low, min(high, k))

    def survivors(bounds: tuple[Any, Any], tilt: int) -> Any:
        return _between(drift, s, *bounds, tilt) - weight * _between(drift + 2 * h, s, *bounds, tilt)

    alive = mpmath.mpf(0)
    if paying[0] < paying[1]:
        alive = (spot * survivors(paying, 1) - strike * survivors(paying, 0)) * (discount if call else -discount)
    if action == "in":
        return vanilla - alive + rebate * discount * survivors((low, high), 0)
    return alive + rebate * _touch(h, volatility, maturity, drift / maturity, rate, by_density)


def _touch(h: Any, volatility: Any, maturity: Any, drift: Any, rate: Any, by_density: bool) -> Any:
    """E[exp(-r t); t < T] of the first passage t of h by a Brownian motion with drift."""
    distance = abs(h)
    toward = drift if h > 0 else -drift
    if by_density:

        def density(t: Any) -> Any:
            bell = mpmath.exp(-rate * t - (distance - toward * t) ** 2 / (2 * volatility**2 * t))
            return bell * distance / (volatility * mpmath.sqrt(2 * mpmath.pi * t**3))

        return mpmath.quad(density, [maturity * mpmath.mpf(2) ** -power for power in range(12, -1, -1)]) + mpmath.quad(density, [0, maturity / 4096])
    speed = mpmath.sqrt(toward**2 + 2 * rate * volatility**2)
    s = volatility * mpmath.sqrt(maturity)
    return sum(mpmath.exp(distance * (toward - sign * speed) / volatility**2) * _normal((sign * speed * maturity - distance) / s) for sign in (1, -1))


def gradient(function: Callable[..., Any], point: tuple[float, ...], *, digits: int = 50) -> list[Any]:
    """Derivatives of function(*features) by central differences of fourth order, in `digits` digits: good to about a third of them."""
    with mpmath.workdps(digits):
        x = [mpmath.mpf(float(value)) for value in point]
        answer = []
        for feature, value in enumerate(x):
            step = mpmath.mpf(10) ** (-digits // 5) * max(abs(value), mpmath.mpf("1e-3"))
            total = mpmath.mpf(0)
            for offset, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                moved = list(x)
                moved[feature] = value + offset * step
                total += weight * function(*moved)
            answer.append(total / (12 * step))
        return answer
