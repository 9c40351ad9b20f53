"""The noncentral chi-square distribution with its derivatives, that in the degrees of freedom included.

F(a; x, y) = sum_j Poisson(j; x) P(a + j, y), P the lower regularized incomplete gamma function: the chance that a noncentral chi-square variable
with 2 a degrees of freedom and noncentrality 2 x is at most 2 y. Sums run downwards, where every term is positive: P(s, y) = P(s + 1, y) + g(s),
g(s) = y^s e^-y / Gamma(s + 1), dg/ds = (log y - digamma(s + 1)) g. The first terms are by Stirling's series in the saddle-point form of C. Loader,
"Fast and accurate computation of binomial probabilities" (2000).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar

_REACH = 12.0  # deviations beyond which nothing is left in float64
_FEWEST = 60.0
_STIRLING = 40.0  # where Stirling's series begin
_FAINT = 0.01  # y up to which few terms will do, and as many as usual would not be numbers


@scalar
def poisson(s, y):  # type: ignore[no-untyped-def]
    """y^s e^-y / Gamma(s + 1)."""
    if s < _STIRLING:
        return math.exp(s * math.log(y) - y - math.lgamma(s + 1.0))
    u = (y - s) / s
    shape = u - math.log1p(u) if u > -1.0 else math.inf
    inverse = 1.0 / (s * s)
    series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / s
    return math.exp(-s * shape - series) / math.sqrt(2.0 * math.pi * s)


@scalar
def digamma(s):  # type: ignore[no-untyped-def]
    """The logarithmic derivative of the gamma function, for s > 0."""
    below = 0.0
    while s < _STIRLING:
        below += 1.0 / s
        s += 1.0
    inverse = 1.0 / (s * s)
    return math.log(s) - below - 0.5 / s - inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse * (1.0 / 252.0 - inverse / 240.0)))


@scalar
def _terms(y):  # type: ignore[no-untyped-def]
    """How many terms to take beyond the largest: y to that power is nothing in float64."""
    return _FEWEST if y > _FAINT else 2.0 + math.ceil(-46.0 / math.log(y))


@scalar
def noncentral(a, x, y):  # type: ignore[no-untyped-def]
    """(F, dF/da, dF/dx, dF/dy) for a > 0, x > 0, y > 0."""
    top = max(math.floor(y - a + _REACH * math.sqrt(y)), 0.0) + _terms(y)
    last = min(top, math.floor(x + _REACH * math.sqrt(x)) + _terms(x))
    first = max(math.floor(x - _REACH * math.sqrt(x)) - _FEWEST, 0.0)
    g, slope = poisson(a + top, y), math.log(y) - digamma(a + top + 1.0)
    weight = poisson(last, x)
    lower, lower_slope = 0.0, 0.0
    total, by_a, by_x, by_y = 0.0, 0.0, 0.0, 0.0
    j = top
    while j >= first:
        lower += g
        lower_slope += g * slope
        s = a + j
        below = g * s / y
        if j <= last:
            total += weight * lower
            by_a += weight * lower_slope
            by_x -= weight * g
            by_y += weight * below
            weight *= j / x
        g = below
        slope += 1.0 / s
        j -= 1.0
    return total, by_a, by_x, by_y
