"""Price and gradient of a European call or put, Black-Scholes-Merton, on one point.

Source: R. C. Merton, "Theory of rational option pricing", Bell Journal of Economics 4 (1973), 141-183. The density terms of the derivatives are
joined by S exp(-q T) phi(d1) = K exp(-r T) phi(d2), so that nothing cancels.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.vmath import exp, log_ratio, normal

INSTANT = 1e-100  # years: a maturity of 0 is taken as this, where every price is the payoff


@inlined
def european(sign, spot, strike, volatility, maturity, rate, dividend):  # type: ignore[no-untyped-def]
    """(value, d/d spot, d/d strike, d/d volatility, d/d maturity, d/d rate, d/d dividend); sign 1 is the call, -1 the put.

    At maturity 0 the payoff; there and on the strike the density terms, which are infinite, are left out.
    """
    time = max(maturity, INSTANT)
    root = math.sqrt(time)
    deviation = volatility * root
    d2 = (log_ratio(spot, strike) + (rate - dividend) * time) / deviation - 0.5 * deviation
    upper, _ = normal(sign * (d2 + deviation))
    lower, peak = normal(sign * d2)
    growth, discount = exp(-dividend * time), exp(-rate * time)
    asset, cash = sign * growth * upper, sign * discount * lower
    ridge = strike * discount * peak if maturity > INSTANT else 0.0
    return (
        spot * asset - strike * cash,
        asset,
        -cash,
        ridge * root,
        ridge * volatility / (2.0 * root) + rate * strike * cash - dividend * spot * asset,
        time * strike * cash,
        -time * spot * asset,
    )
