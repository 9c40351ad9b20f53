"""Independent truth for the oracles, in arbitrary precision (mpmath, a test dependency): slow, short, and sharing no formula with the kernels."""

from __future__ import annotations

from typing import Any


def down_and_out_put(strike: float, barrier: float, volatility: float, maturity: float, rate: float, *, spot: float = 100.0, digits: int = 30) -> Any:
    """The price (an mpmath number) as the payoff integrated against the density of survivors, in closed form for each of its two images.

    The density of log(S_T / B) without a touch is that of a normal variable minus its image (B/S)^(2 mu) (reflection principle; I. Karatzas and
    S. E. Shreve, "Brownian Motion and Stochastic Calculus", section 2.8). Arguments are taken as the exact values of the floats.
    """
    import mpmath

    with mpmath.workdps(2 * digits + 30):
        k, b, sigma, t, r, s = (mpmath.mpf(value) for value in (strike, barrier, volatility, maturity, rate, spot))
        if k <= b or s <= b:
            return mpmath.mpf(0)
        deviation, drift = sigma * mpmath.sqrt(t), (r - sigma**2 / 2) * t

        def share(mean: Any, tilt: int) -> Any:
            """E[exp(tilt X); log b < X < log k] for X normal about `mean`."""
            centre = mean + tilt * deviation**2
            weight = mpmath.exp(tilt * mean + tilt * deviation**2 / 2)
            return weight * (_normal(mpmath, (mpmath.log(k) - centre) / deviation) - _normal(mpmath, (mpmath.log(b) - centre) / deviation))

        start, image = mpmath.log(s) + drift, 2 * mpmath.log(b) - mpmath.log(s) + drift
        weight = (b / s) ** (2 * drift / deviation**2)
        return +(mpmath.exp(-r * t) * (k * share(start, 0) - share(start, 1) - weight * (k * share(image, 0) - share(image, 1))))


def down_and_out_put_gradient(point: tuple[float, ...], *, spot: float = 100.0, digits: int = 30) -> list[Any]:
    """Derivatives of `down_and_out_put` in its five features, by sixth-order central differences in 2 digits + 30 digits arithmetic."""
    import mpmath

    gradient = []
    with mpmath.workdps(2 * digits + 30):
        x = [mpmath.mpf(value) for value in point]
        for feature in range(5):
            step = mpmath.mpf(10) ** (-digits // 4 - 6)
            total = mpmath.mpf(0)
            for offset, weight in ((1, 45), (2, -9), (3, 1)):
                up, down = list(x), list(x)
                up[feature] += offset * step
                down[feature] -= offset * step
                total += weight * (down_and_out_put(*up, spot=spot, digits=digits) - down_and_out_put(*down, spot=spot, digits=digits))
            gradient.append(total / (60 * step))
    return gradient


def _normal(mpmath: Any, x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2
