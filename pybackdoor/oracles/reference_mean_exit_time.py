"""Independent truth for mean exit times, by integrals in arbitrary precision (mpmath, a test dependency)."""

from __future__ import annotations

from typing import Any


def mean_exit_time(start: Any, reversion: Any, mean: Any, volatility: Any, lower: Any, upper: Any) -> Any:
    """The expected first time out of (lower, upper), in the working precision of mpmath; start between the bounds, any reversion.

    With psi(z) = exp(reversion z^2 / volatility^2), z = x - mean: T = G(upper) S(start) / S(upper) - G(start), where S(x) is the integral of psi
    from lower to x and G that of psi(z) times 2 / volatility^2 times the integral of 1 / psi from 0 to z (C. W. Gardiner, "Handbook of Stochastic
    Methods", section 5.2.7).
    """
    import mpmath

    x, k, m, sigma, low, high = (mpmath.mpf(value) for value in (start, reversion, mean, volatility, lower, upper))
    rate = k / sigma**2

    def psi(z: Any) -> Any:
        return mpmath.exp(rate * z * z)

    def push(z: Any) -> Any:
        """Int_0^z 1 / psi, by Kummer's function, which takes either sign of the rate."""
        return psi(z) * z * mpmath.hyp1f1(0.5, 1.5, -rate * z * z) * 2 / sigma**2

    def integral(function: Any, end: Any) -> Any:
        return mpmath.quad(function, [low - m, (low + end) / 2 - m, end - m])

    return integral(push, high) * integral(psi, x) / integral(psi, high) - integral(push, x)
