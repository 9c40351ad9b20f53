"""Heston's model at one point of the contour: the characteristic exponent and its derivatives.

With z = u - i/2, log E[(S_T / F)^(i z)] = kappa theta C + v D. C and D solve Riccati equations (S. L. Heston, Review of Financial Studies 6 (1993),
327-343); here in the form whose logarithm stays on its principal branch (H. Albrecher, P. Mayer, W. Schoutens and J. Tistaert, "The little Heston
trap", Wilmott (2007), 83-92), freed of the cancellation in beta - d:

    beta = kappa - rho sigma (i u + 1/2),  a = u^2 + 1/4,  d = sqrt(beta^2 + sigma^2 a),  e = exp(-d T),  P = beta (1 - e) + d (1 + e)
    D = -a (1 - e) / P,                    C = -a T / (beta + d) - 2 / sigma^2 log(P / (2 d)),
    P / (2 d) = 1 - sigma^2 a (1 - e) / (2 d (beta + d)), whose logarithm is taken as one near 1: 2 kappa theta / sigma^2 multiplies its rounding.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.complexes import exponential, logarithm_near_one, over, plus, root, scaled, times


@inlined
def exponent(u, reversion, vol, correlation, maturity):  # type: ignore[no-untyped-def]
    """(C, D, log(P / (2 d)), a, beta, d, e, P) at complex u."""
    a = times(u, u)
    a = a[0] + 0.25, a[1]
    beta = reversion - correlation * vol * (0.5 - u[1]), -correlation * vol * u[0]
    d = root(plus(times(beta, beta), scaled(a, vol * vol)))
    e = exponential(scaled(d, -maturity))
    rest = 1.0 - e[0], -e[1]
    p = plus(times(beta, rest), times(d, (1.0 + e[0], e[1])))
    driven, total = times(a, rest), plus(beta, d)
    turns = logarithm_near_one(scaled(over(driven, times(d, total)), -0.5 * vol * vol))
    by_variance = scaled(over(driven, p), -1.0)
    by_mean = plus(scaled(over(a, total), -maturity), scaled(turns, -2.0 / (vol * vol)))
    return by_mean, by_variance, turns, a, beta, d, e, p


@inlined
def moved(state, beta_slope, d_slope, vol, maturity):  # type: ignore[no-untyped-def]
    """Derivatives of (C, D) when beta and d move with the given slopes; that of 2 / sigma^2 is left to the caller."""
    _, _, _, a, beta, d, e, p = state
    e_slope = scaled(times(e, d_slope), -maturity)
    rest = 1.0 - e[0], -e[1]
    p_slope = plus(times(beta_slope, rest), times(d_slope, (1.0 + e[0], e[1])))
    p_slope = over(plus(p_slope, times((d[0] - beta[0], d[1] - beta[1]), e_slope)), p)  # over P
    by_variance = over(times(a, plus(e_slope, times(rest, p_slope))), p)
    total = plus(beta, d)
    by_mean = scaled(over(times(a, plus(beta_slope, d_slope)), times(total, total)), maturity)
    turn = over(d_slope, d)
    return plus(by_mean, scaled((p_slope[0] - turn[0], p_slope[1] - turn[1]), -2.0 / (vol * vol))), by_variance


@inlined
def exponent_slopes(state, u, variance, reversion, mean, vol, correlation, maturity):  # type: ignore[no-untyped-def]
    """The exponent's derivatives in (variance, reversion, mean, vol, correlation, maturity)."""
    by_mean, by_variance, turns, a, beta, d, e, p = state
    pull = reversion * mean
    ahead = 0.5 - u[1], u[0]  # i u + 1/2
    c, g = moved(state, (1.0, 0.0), over(beta, d), vol, maturity)
    reversion_slope = plus(scaled(by_mean, mean), plus(scaled(c, pull), scaled(g, variance)))
    slope = scaled(ahead, -correlation)
    c, g = moved(state, slope, over(plus(times(beta, slope), scaled(a, vol)), d), vol, maturity)
    c = plus(c, scaled(turns, 4.0 / (vol * vol * vol)))
    vol_slope = plus(scaled(c, pull), scaled(g, variance))
    slope = scaled(ahead, -vol)
    c, g = moved(state, slope, over(times(beta, slope), d), vol, maturity)
    correlation_slope = plus(scaled(c, pull), scaled(g, variance))
    growth = times(d, e)  # maturity enters D through e alone
    p_slope = over(times((d[0] - beta[0], d[1] - beta[1]), scaled(growth, -1.0)), p)
    g = over(times(a, plus(scaled(growth, -1.0), times((1.0 - e[0], -e[1]), p_slope))), p)
    c = plus(scaled(over(a, plus(beta, d)), -1.0), scaled(p_slope, -2.0 / (vol * vol)))
    maturity_slope = plus(scaled(c, pull), scaled(g, variance))
    return by_variance, reversion_slope, scaled(by_mean, reversion), vol_slope, correlation_slope, maturity_slope
