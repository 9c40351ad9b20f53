"""The integrands of an American put's exercise boundary and premium, on one point, with their derivatives.

Source: L. Andersen, M. Lake and D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20 (2016), 39-87, system
"FP-A" (smooth pasting). In units of the strike, with the boundary B(tau) = X exp(-y(tau)), X = min(1, r/q) its limit at tau = 0, the system is
F = 0 for F(tau) = n - e d, e = B(tau), and

    n = exp(-r tau) phi(d0-) / v0 + int_0^tau r E1 / v dt,        d = exp(-q tau) (phi(d0+) / v0 + N(d0+)) + int_0^tau q (E3 + E2 / v) dt,
    v = sigma sqrt(t),      d-+ = (y(tau - t) - y(tau) + (r - q -+ sigma^2 / 2) t) / v,
    E1 = exp(-r t) phi(d-),     E2 = exp(-q t) phi(d+),     E3 = exp(-q t) N(d+),

d0 and v0 the same with the strike for B(tau - t) and t = tau. From e E2 = b E1 with b = B(tau - t), most terms of the derivatives cancel, and
E1 / v is left. All derivatives here hold the y fixed; those in y itself are `slope`.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.vmath import bell, exp, mills_ratio


@inlined
def tail(x, peak, whole):  # type: ignore[no-untyped-def]
    """The product whole * N(x), where peak = whole * phi(x)."""
    part = peak * mills_ratio(abs(x))
    return part if x <= 0.0 else whole - part


@inlined
def boundary_point(time, own, there, edge, volatility, rate, dividend):  # type: ignore[no-untyped-def]
    """(r E1 / v, F's integrand, slope: its derivative in y(tau - t) - y(tau)); own = y(tau), there = y(tau - t), edge = log X."""
    v = volatility * math.sqrt(time)
    low = (there - own + (rate - dividend) * time) / v - 0.5 * v
    peak = bell(low, -rate * time)
    e, b = exp(edge - own), exp(edge - there)
    upper = tail(low + v, b / e * peak, exp(-dividend * time))
    density = peak / v
    gain = rate - dividend * b
    return rate * density, gain * density - e * dividend * upper, -gain * density * low / v


@inlined
def boundary_partials(time, own, there, edge, volatility, rate, dividend):  # type: ignore[no-untyped-def]
    """F's integrand differentiated in (volatility, log maturity, rate, dividend), dt growing with maturity."""
    v = volatility * math.sqrt(time)
    gap = (there - own) / v
    low = gap + (rate - dividend) * time / v - 0.5 * v
    high = low + v
    peak = bell(low, -rate * time)
    e, b = exp(edge - own), exp(edge - there)
    upper = e * tail(high, b / e * peak, exp(-dividend * time))
    density = peak / v
    gain = rate - dividend * b
    turn = time / v * low * gain
    late_low, late_high = 0.5 * low - gap, 0.5 * high - gap
    by_maturity = (
        gain * density
        - dividend * upper
        + density * (rate * (-rate * time - low * late_low - 0.5) - dividend * b * (v * late_high - dividend * time - high * late_high - 0.5))
        + dividend * dividend * time * upper
    )
    return (
        density / volatility * (gain * (low * high - 1.0) + dividend * b * v * low),
        by_maturity,
        density * (1.0 - time * rate - turn),
        density * (turn - b + dividend * time * b) - upper * (1.0 - dividend * time),
    )


@inlined
def boundary_end(time, own, edge, volatility, rate, dividend):  # type: ignore[no-untyped-def]
    """(n's, F's first term, and the derivatives of the latter in volatility, log maturity, rate, dividend; its slope is 0)."""
    v = volatility * math.sqrt(time)
    gap = (edge - own) / v
    low = gap + (rate - dividend) * time / v - 0.5 * v
    high = low + v
    peak = bell(low, -rate * time)
    e = exp(edge - own)
    upper = e * tail(high, peak / e, exp(-dividend * time))
    density = peak / v
    late_low, late_high = 0.5 * low - gap, 0.5 * high - gap
    by_maturity = density * (-rate * time - low * late_low - v * late_high + dividend * time + high * late_high) + dividend * time * upper
    return density, -upper, peak * low / volatility, by_maturity, -time * density, time * (density + upper)


@inlined
def premium_point(time, distance, moneyness, below, volatility, rate, dividend):  # type: ignore[no-untyped-def]
    """The integrand of the early-exercise premium, in units of the strike.

    distance = log(S / B(T - t)), moneyness S / K, below = B(T - t) / K. Returns (integrand, slope in distance with its spot factor fixed,
    d/d(volatility), d/d(log maturity), d/d(rate), d/d(dividend), the spot factor's part of the derivative in log S).
    """
    v = volatility * math.sqrt(time)
    gap = distance / v
    low = gap + (rate - dividend) * time / v - 0.5 * v
    high = low + v
    peak = bell(low, -rate * time)
    cash = tail(-low, peak, exp(-rate * time))
    asset = moneyness * tail(-high, below / moneyness * peak, exp(-dividend * time))
    gain = rate - dividend * below
    value = rate * cash - dividend * asset
    return (
        value,
        -peak / v * gain,
        peak / volatility * (rate * high - dividend * below * low),
        value - time * (rate * rate * cash - dividend * dividend * asset) - peak * (rate * (0.5 * low - gap) - dividend * below * (0.5 * high - gap)),
        cash - rate * time * cash - gain * peak * time / v,
        -asset + dividend * time * asset + gain * peak * time / v,
        -dividend * asset,
    )
