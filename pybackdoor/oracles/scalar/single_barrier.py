"""Price and gradient of a European option with a single barrier and a rebate, closed form, on one point, for all eight kinds at once.

Source: E. Reiner and M. Rubinstein, "Breaking down the barriers", Risk 4 (1991), 28-35, in the notation A to F of E. G. Haug, "The Complete Guide to
Option Pricing Formulas" (2007), section 4.17: A, B are the payoff above the strike or above the barrier, C, D their mirror images, E the rebate at
maturity of a knock-in, F the rebate at the touch of a knock-out. With h = log(H/S), m = (r - q - sigma^2/2) T, s = sigma sqrt(T), the image is the
same formula at spot H^2/S with the weight w = exp(2 m h / s^2); all weights stay logarithms until they meet the exponent of the normal distribution.

Derivatives: of the density terms, those at the barrier meet as w phi(y) = phi(d), where B and D always come with opposite signs, and only
their distance 2 h / s is left; those at the strike leave K exp(-r T) ds. Nothing cancels.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.vmath import exp, log_ratio, lower_tail

NEAR_REPEATED = 3e-6  # the two exponents of the rebate's equation count as this far apart at least: their limit is quadratic, to 1e-11


@inlined
def combination(call, down, above):  # type: ignore[no-untyped-def]
    """The coefficients of A, B, C, D in the knock-in; call and down are 1 or -1, above: strike above barrier."""
    inside = above if call > 0.0 else not above
    if call * down > 0.0:  # down-and-in call, up-and-in put
        return (0.0, 0.0, 1.0, 0.0) if inside else (1.0, -1.0, 0.0, 1.0)
    return (1.0, 0.0, 0.0, 0.0) if inside else (0.0, 1.0, -1.0, 1.0)  # up-and-in call, down-and-in put


@inlined
def single_barrier(call, down, knocked_in, spot, strike, barrier, rebate, volatility, maturity, rate, dividend):  # type: ignore[no-untyped-def]
    """(value, d/d spot, strike, barrier, rebate, volatility, maturity, rate, dividend); call, down: 1 or -1, knocked_in: 1 or 0 (knock-out).

    A spot on the barrier or beyond it has touched: the knock-out is worth its rebate, the knock-in is the European option.
    """
    touched = (spot - barrier) * down <= 0.0
    time = max(maturity, INSTANT)
    root = math.sqrt(time)
    s = volatility * root
    variance = volatility * volatility
    growth, discount = exp(-dividend * time), exp(-rate * time)
    paid, held = strike * discount, spot * growth
    h = 0.0 if touched else log_ratio(barrier, spot)
    mu = (rate - dividend) / variance - 0.5
    m = mu * s  # the drift of log S over the deviation
    log_weight = 2.0 * mu * h

    in_a, in_b, in_c, in_d = combination(call, down, strike > barrier)
    plain = 1.0 - knocked_in  # knock-out = European - knock-in
    turn = knocked_in - plain
    a, b, c, d = plain + turn * in_a, turn * in_b, turn * in_c, turn * in_d
    a = knocked_in if touched else a
    b, c, d = (0.0, 0.0, 0.0) if touched else (b, c, d)

    x = log_ratio(spot, strike)
    d2 = x / s + m
    asset_a, _ = lower_tail(call * (d2 + s), 0.0)
    cash_a, peak_a = lower_tail(call * d2, 0.0)
    d2 = m - h / s
    asset_b, _ = lower_tail(call * (d2 + s), 0.0)
    cash_b, wall = lower_tail(call * d2, 0.0)
    y2 = (x + 2.0 * h) / s + m
    asset_c, _ = lower_tail(down * (y2 + s), log_weight + 2.0 * h)
    cash_c, peak_c = lower_tail(down * y2, log_weight)
    y2 = m + h / s
    asset_d, _ = lower_tail(down * (y2 + s), log_weight + 2.0 * h)
    cash_d, _ = lower_tail(down * y2, log_weight)

    asset_image = call * held * ((c * asset_c if c != 0.0 else 0.0) + d * asset_d)
    cash_image = call * paid * ((c * cash_c if c != 0.0 else 0.0) + d * cash_d)
    asset = call * held * (a * asset_a + b * asset_b) + asset_image
    cash = call * paid * (a * cash_a + b * cash_b) + cash_image

    late = 0.0 if touched else knocked_in * discount  # a rebate of 1 at maturity, if the barrier was not touched
    late_image = late * cash_d
    late = late * (cash_b if call * down > 0.0 else 1.0 - cash_b) - late_image
    wait = 0.0 if touched else plain  # a rebate of 1 at the touch: weights (H/S)^(mu +- split)
    split = math.sqrt(max(mu * mu + 2.0 * rate / variance, NEAR_REPEATED * NEAR_REPEATED))
    first, touch = lower_tail(down * (h / s + split * s), (mu + split) * h)
    second, _ = lower_tail(down * (h / s - split * s), (mu - split) * h)
    early, skew = wait * (first + second), wait * (first - second)

    ridge = paid * (a * peak_a + (call * down * c * peak_c if c != 0.0 else 0.0))  # goes with ds
    pair = -2.0 * (b * (barrier * discount - paid) * wall + rebate * down * (knocked_in * discount * wall - wait * touch))  # with d(h / s)
    pair = 0.0 if touched else pair
    image = asset_image - cash_image - rebate * late_image
    by_mu = h * (2.0 * image + rebate * early)
    by_square = rebate * h * skew / (2.0 * split)  # with d(split^2)
    by_h = 2.0 * (mu * image + asset_image) + rebate * (mu * early + split * skew)
    mu_volatility = -2.0 * (rate - dividend) / (variance * volatility)
    unit = late + (plain if touched else early)
    ridge = ridge if maturity > INSTANT else 0.0
    return (
        asset - cash + rebate * unit,
        (asset - by_h - pair / s) / spot,
        -cash / strike,
        (by_h + pair / s) / barrier,
        unit,
        by_mu * mu_volatility
        + by_square * (2.0 * mu * mu_volatility - 4.0 * rate / (variance * volatility))
        + ridge * root
        - pair * h / (s * volatility),
        rate * (cash - rebate * late) - dividend * asset + 0.5 * ridge * volatility / root - 0.5 * pair * h / (s * time),
        time * (cash - rebate * late) + (by_mu + 2.0 * (mu + 1.0) * by_square) / variance,
        -time * asset - (by_mu + 2.0 * mu * by_square) / variance,
    )
