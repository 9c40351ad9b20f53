"""Price and gradient of a call on the larger of two assets, closed form, on one point.

Source: R. M. Stulz, "Options on the minimum or the maximum of two risky assets", Journal of Financial Economics 10 (1982), 161-185. The derivatives
in volatilities, correlation and maturity come from the cross gammas, of which none is a difference of close numbers.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.bivariate import bivariate_normal
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import log_ratio, normal


@scalar
def max_call_two(x):  # type: ignore[no-untyped-def]
    """(price, ten derivatives) at the features x, in the order of the oracle's; S_i S_j V_ij is written gamma_ij, with the strike for i = k."""
    one, two, rho = x[3], x[4], x[5]
    time, strike = max(x[6], INSTANT), x[2]
    root = math.sqrt(time)
    mixed = math.sqrt((one - two) ** 2 + 2.0 * (1.0 - rho) * one * two)  # volatility of S1 / S2
    apart = math.sqrt((1.0 - rho) * (1.0 + rho)) / mixed
    discount, growth1, growth2 = math.exp(-x[7] * time), math.exp(-x[8] * time), math.exp(-x[9] * time)
    d = (log_ratio(x[0], x[1]) + (x[9] - x[8]) * time) / (mixed * root) + 0.5 * mixed * root
    other = mixed * root - d
    y1 = (log_ratio(x[0], strike) + (x[7] - x[8]) * time) / (one * root) + 0.5 * one * root
    y2 = (log_ratio(x[1], strike) + (x[7] - x[9]) * time) / (two * root) + 0.5 * two * root
    tilt1, tilt2 = (one - rho * two) / mixed, (two - rho * one) / mixed
    first, second, third = 0.0, 0.0, 0.0
    for which in range(3):  # one call in the code, which a GPU's compiler inlines
        low = bivariate_normal(
            y1 if which == 0 else (y2 if which == 1 else one * root - y1),
            d if which == 0 else (other if which == 1 else two * root - y2),
            tilt1 if which == 0 else (tilt2 if which == 1 else rho),
        )
        first, second, third = low if which == 0 else first, low if which == 1 else second, low
    asset1, asset2, chance = x[0] * growth1 * first, x[1] * growth2 * second, 1.0 - third

    alive = 0.0 if x[6] <= INSTANT else 1.0 / root
    narrow1, narrow2 = two * apart, one * apart
    gamma12 = -alive * x[0] * growth1 * normal(d)[1] * normal((y1 - tilt1 * d) / narrow1)[0] / mixed
    gamma1k = -alive * x[0] * growth1 * normal(y1)[1] * normal((d - tilt1 * y1) / narrow1)[0] / one
    gamma2k = -alive * x[1] * growth2 * normal(y2)[1] * normal((other - tilt2 * y2) / narrow2)[0] / two
    gamma11, gamma22 = -gamma12 - gamma1k, -gamma12 - gamma2k

    cash = strike * discount * chance
    return (
        asset1 + asset2 - cash,
        asset1 / x[0],
        asset2 / x[1],
        -cash / strike,
        time * (one * gamma11 + rho * two * gamma12),
        time * (two * gamma22 + rho * one * gamma12),
        time * one * two * gamma12,
        0.5 * (one * one * gamma11 + two * two * gamma22) + rho * one * two * gamma12 - x[8] * asset1 - x[9] * asset2 + x[7] * cash,
        time * cash,
        -time * asset1,
        -time * asset2,
    )
