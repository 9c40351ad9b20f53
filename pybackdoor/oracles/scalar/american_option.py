"""What an American put is solved for in, and its price and gradient from the early-exercise premium, on one option.

In units of the strike and with the time to maturity as 1 a put is its deviation s = sigma sqrt(T), rho = r T, kappa = q T and log(S / K).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.european import european
from pybackdoor.oracles.scalar.vmath import exp, log, log_ratio

SHORTEST = 1e-8  # years; a shorter maturity is the payoff
LONGEST = 8.0  # deviations that rate less dividend moves the spot until nothing but exp(-32) of a put has yet to be exercised or to lose its value


@inlined
def never_early(rate, dividend):  # type: ignore[no-untyped-def]
    """Whether exercise never pays before maturity."""
    return rate < 0.0 or (rate == 0.0 and dividend >= 0.0)


@inlined
def posed(spot, strike, volatility, maturity, rate, dividend):  # type: ignore[no-untyped-def]
    """(maturity that has the same price, s, rho, kappa, -log of the boundary's limit, log(S / K)); one never exercised early gets a harmless rate."""
    harmless = 0.05 if never_early(rate, dividend) else rate
    longest = LONGEST * volatility / (harmless - dividend) if harmless > dividend else math.inf
    maturity = min(maturity, longest * longest) if harmless == rate else maturity
    time = max(maturity, SHORTEST)
    limit = log(dividend / harmless) if harmless < dividend else 0.0
    return maturity, volatility * math.sqrt(time), harmless * time, dividend * time, limit, log_ratio(spot, strike)


@inlined
def first_distance(root, deviation, rho, kappa, limit):  # type: ignore[no-untyped-def]
    """A first guess of y at sqrt(tau / T) = root: a flat boundary, made monotone.

    Source: P. Bjerksund and G. Stensland, Scandinavian Journal of Management 9 (1993), 87-99.
    """
    variance = deviation * deviation
    carry = (kappa - rho) / variance
    beta = 0.5 - carry + math.sqrt(max((carry - 0.5) * (carry - 0.5) + 2.0 * kappa / variance, 0.0))
    far = beta / max(beta - 1.0, 1e-8) * exp(-limit) - 1.0  # how far the perpetual option's boundary lies beyond the limit, relative
    far = min(max(far, 1e-4), 1e4)
    late = max(2.0 * deviation * root + carry * variance * root * root, deviation * root)
    return log(1.0 + far * (1.0 - exp(-late / far)))


@inlined
def priced(given, exercised, premium):  # type: ignore[no-untyped-def]
    """(whether early exercise can pay, price, six derivatives) from `given`, spot to dividend with `posed`'s maturity, and the premium.

    premium, over the strike: itself and its derivatives in log S, s, rho and kappa; exercised: whether the spot lies at or below the boundary.
    """
    spot, strike, volatility, maturity, rate, dividend = given
    value, by_spot, by_strike, by_volatility, by_maturity, by_rate, by_dividend = european(-1.0, spot, strike, volatility, maturity, rate, dividend)
    early = not (never_early(rate, dividend) or maturity <= SHORTEST)
    exercised = exercised and early
    root = math.sqrt(max(maturity, SHORTEST))
    more, a, b, c, d = strike * premium[0], strike * premium[1], strike * premium[2], strike * premium[3], strike * premium[4]
    value += more if early else 0.0
    by_spot += a / spot if early else 0.0
    by_strike += (more - a) / strike if early else 0.0
    by_volatility += root * b if early else 0.0
    by_maturity += 0.5 * volatility / root * b + rate * c + dividend * d if early else 0.0
    by_rate += maturity * c if early else 0.0
    by_dividend += maturity * d if early else 0.0
    return (
        early,
        strike - spot if exercised else value,
        -1.0 if exercised else by_spot,
        1.0 if exercised else by_strike,
        0.0 if exercised else by_volatility,
        0.0 if exercised else by_maturity,
        0.0 if exercised else by_rate,
        0.0 if exercised else by_dividend,
    )
