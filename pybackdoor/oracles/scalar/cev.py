"""Price and gradient of a European option in the model of constant elasticity of variance, on one point.

Source: M. Schroder, "Computing the constant elasticity of variance option pricing formula", Journal of Finance 44 (1989), 211-219; noncentral
chi-square distributions summed to rounding.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.noncentral import noncentral

REFERENCE = 100.0  # the spot at which `volatility` is that of returns
SHORTEST = 1e-6  # years; a shorter maturity is the payoff


@scalar
def _growth(h):  # type: ignore[no-untyped-def]
    """(h / (e^h - 1), the derivative of its logarithm)."""
    if abs(h) < 1e-2:
        square = h * h
        return 1.0 / (1.0 + h * (0.5 + h * (1.0 / 6.0 + h * (1.0 / 24.0 + h * (1.0 / 120.0 + h / 720.0))))), -0.5 - h * (
            1.0 / 12.0 - square * (1.0 / 720.0 - square / 30240.0)
        )
    return h / math.expm1(h), 1.0 / h + 1.0 / math.expm1(-h)


@scalar
def cev(sign, point):  # type: ignore[no-untyped-def]
    """(price, derivatives) at point: spot, strike, volatility, elasticity, maturity, rate, dividend; sign 1 is the call, -1 the put.

    Below the shortest maturity the payoff, with no slope in volatility, elasticity, rate and dividend.
    """
    spot, strike, volatility, elasticity, maturity, rate, dividend = point[0], point[1], point[2], point[3], point[4], point[5], point[6]
    if maturity < SHORTEST:
        paid = 1.0 if sign * (spot - strike) > 0.0 else 0.0
        return paid * sign * (spot - strike), paid * sign, -paid * sign, 0.0, 0.0, paid * sign * (rate * strike - dividend * spot), 0.0, 0.0
    away, carry = 1.0 - elasticity, rate - dividend
    theta = 0.5 / away
    h = 2.0 * carry * away * maturity
    ratio, turn = _growth(h)
    scale = ratio / (2.0 * (volatility * away) ** 2 * maturity)
    log_spot, log_strike = math.log(spot / REFERENCE), math.log(strike / REFERENCE)
    x, y = scale * math.exp(2.0 * away * log_spot + h), scale * math.exp(2.0 * away * log_strike)
    first, first_a, first_x, first_y = noncentral(1.0 + theta, x, y)
    second, second_a, second_y, second_x = noncentral(theta, y, x)

    held, paid = spot * math.exp(-dividend * maturity), strike * math.exp(-rate * maturity)
    by_theta = -held * first_a - paid * second_a
    by_x, by_y = x * (-held * first_x - paid * second_x), y * (-held * first_y - paid * second_y)  # in the logarithms of x and y
    by_both, by_h = by_x + by_y, turn * (by_x + by_y) + by_x
    asset, cash = (held * (1.0 - first), paid * second) if sign > 0.0 else (-held * first, -paid * (1.0 - second))
    return (
        asset - cash,
        (asset + 2.0 * away * by_x) / spot,
        (2.0 * away * by_y - cash) / strike,
        -2.0 * by_both / volatility,
        by_theta * 2.0 * theta * theta + 2.0 * by_both / away - 2.0 * (log_spot * by_x + log_strike * by_y) - 2.0 * carry * maturity * by_h,
        -dividend * asset + rate * cash - by_both / maturity + 2.0 * carry * away * by_h,
        maturity * (cash + 2.0 * away * by_h),
        -maturity * (asset + 2.0 * away * by_h),
    )
