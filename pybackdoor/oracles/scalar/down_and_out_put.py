"""Price and gradient of a down-and-out put on one point, closed form.

Source: E. Reiner and M. Rubinstein, "Breaking down the barriers", Risk 4 (1991), 28-35; written here as the payoff (K - S)+ cut off at the barrier
minus its mirror image: with L = log(S/B), nu = r - sigma^2/2, s = sigma sqrt(T), E = exp(-r T), lambda = 2 nu / sigma^2,

    V = K E (D2 - W2) - S (D1 - W1)
    D2 = N(b) - N(a),           a = -(L + nu T) / s,  b = a + h,  h = log(K/B) / s       (survivors by reflection: minus W2)
    W2 = (B/S)^lambda (N(b') - N(a')),       a' = (L - nu T) / s, b' = a' + h
    D1, W1: the same with nu + sigma^2 for nu, and lambda + 2 for lambda.

In the gradient the terms with phi(b) and phi(b') cancel in pairs, and those at the barrier join through (B/S)^lambda phi(a') = phi(a).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.normal import density, interval

OK, BAD_INPUT = 0, 5  # codes of EvaluationStatus

_LOG_ROOT_TWO_PI = 0.9189385332046727417803297


@scalar
def log_ratio(above, below):  # type: ignore[no-untyped-def]
    """log(above / below), to full relative accuracy also when they are close."""
    excess = (above - below) / below
    return math.log1p(excess) if abs(excess) < 0.5 else math.log(above / below)


@scalar
def down_and_out_put(spot, strike, barrier, volatility, maturity, rate):  # type: ignore[no-untyped-def]
    """(status, value, d/d strike, d/d barrier, d/d volatility, d/d maturity, d/d rate).

    Zero with zero gradient where strike <= barrier or spot <= barrier. Maturity 0 is the payoff. Status BAD_INPUT and NaN where spot, strike or
    barrier is not positive, the volatility is not positive, or the maturity is negative.
    """
    if not (spot > 0.0 and strike > 0.0 and barrier > 0.0 and volatility > 0.0 and maturity >= 0.0):
        return BAD_INPUT, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan
    if strike <= barrier or spot <= barrier or (maturity == 0.0 and strike <= spot):
        return OK, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if maturity == 0.0:
        return OK, strike - spot, 1.0, 0.0, 0.0, -rate * strike, 0.0
    variance = volatility * volatility
    root = math.sqrt(maturity)
    deviation = volatility * root
    log_spot = log_ratio(spot, barrier)
    log_strike = log_ratio(strike, barrier)
    width = log_strike / deviation
    exponent = 2.0 * rate / variance - 1.0
    log_image = -exponent * log_spot
    drift = (rate - 0.5 * variance) * maturity
    low, high = -(log_spot + drift) / deviation, (log_ratio(strike, spot) - drift) / deviation
    image_low, image_high = (log_spot - drift) / deviation, (log_spot + log_strike - drift) / deviation
    paid = strike * math.exp(-rate * maturity)
    direct = paid * interval(low, high, width, 0.0)
    image = paid * interval(image_low, image_high, width, log_image)
    direct_spot = spot * interval(low - deviation, high - deviation, width, 0.0)
    image_spot = spot * interval(image_low - deviation, image_high - deviation, width, log_image - 2.0 * log_spot)

    mirror = image - image_spot
    ridge = paid * (density(high) - math.exp(log_image - 0.5 * image_high * image_high - _LOG_ROOT_TWO_PI))
    wall = paid * (1.0 - barrier / strike) * density(low)
    return (
        OK,
        (direct - direct_spot) - mirror,
        (direct - image) / strike,
        -2.0 * wall / (barrier * deviation) - (exponent * mirror - 2.0 * image_spot) / barrier,
        ridge * root - 2.0 * wall * log_spot / (deviation * volatility) - 4.0 * rate * log_spot / (variance * volatility) * mirror,
        -rate * (direct - image) + 0.5 * ridge * volatility / root - wall * log_spot / (deviation * maturity),
        -maturity * (direct - image) + 2.0 * log_spot / variance * mirror,
    )
