"""The normal distribution: density, Mills ratio, distribution function, intervals, inverse.

Everything in the tails is carried as (logarithm of a weight) + (Mills ratio), so that exponents in the thousands meet before they are exponentiated.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar

_INVERSE_ROOT_TWO_PI = 0.3989422804014326779399461
_LOG_ROOT_TWO_PI = 0.9189385332046727417803297

# (x + 2) M(x) as a polynomial in t = (x - 5.5) / (x + 5.5): the Chebyshev series of degree 22 on -1 <= t <= 1, in powers of t, from 60-digit
# arithmetic. The map is in the manner of M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981), 249-253. Relative error 5e-16.
_MILLS = (
    1.3224223931782704,
    -0.5538923693865131,
    0.36889175463259266,
    -0.20013837980443974,
    0.07961313864865624,
    -0.013722572866671789,
    -0.01042050008416971,
    0.012172005281068472,
    -0.006929668906310075,
    0.002409205580164122,
    -0.000339603636036796,
    -0.0001367789035719232,
    8.484855694587136e-05,
    -7.684908682748478e-06,
    -8.898981773115255e-06,
    2.8733498780015047e-06,
    7.183299722267424e-07,
    -4.969401878809618e-07,
    -4.641074742963333e-08,
    6.681076627543772e-08,
    2.0123387309983983e-09,
    -5.52731011184202e-09,
    -2.4238646387332487e-11,
)
_UPPER, _LOWER = _MILLS[:10:-1], _MILLS[10::-1]  # a loop over more is not unrolled for a GPU, where an index costs a chain of branches


@scalar
def density(x):  # type: ignore[no-untyped-def]
    """phi(x)."""
    return _INVERSE_ROOT_TWO_PI * math.exp(-0.5 * x * x)


@inlined
def mills_ratio(x):  # type: ignore[no-untyped-def]
    """M(x) = Q(x) / phi(x) for x >= 0, Q the upper tail; no branch, no overflow."""
    t = (x - 5.5) / (x + 5.5)
    total = 0.0
    for coefficient in _UPPER:
        total = total * t + coefficient
    for coefficient in _LOWER:
        total = total * t + coefficient
    return total / (x + 2.0)


@inlined
def lower_tail(x, log_weight):  # type: ignore[no-untyped-def]
    """exp(log_weight) N(x); for x <= 0 the two exponents are added first."""
    tail = math.exp(log_weight - 0.5 * x * x - _LOG_ROOT_TWO_PI) * mills_ratio(abs(x))
    return tail if x <= 0.0 else math.exp(log_weight) - tail


@scalar
def distribution(x):  # type: ignore[no-untyped-def]
    """N(x); its relative error in the lower tail is that of exp(-x^2/2)."""
    return lower_tail(x, 0.0)


@scalar
def log_distribution(x):  # type: ignore[no-untyped-def]
    """The logarithm of N(x), also where N(x) underflows."""
    if x <= 0.0:
        return math.log(mills_ratio(-x)) - 0.5 * x * x - _LOG_ROOT_TWO_PI
    return math.log1p(-density(x) * mills_ratio(x))


@inlined
def interval(low, high, width, log_weight):  # type: ignore[no-untyped-def]
    """The mass exp(log_weight) (N(high) - N(low)) for low <= high, without the cancellation in a short or far interval.

    width is high - low, given apart because the difference may have lost it. A short interval is the Taylor series of the integral about its middle
    (terms up to width^7), a long one two tails on the same side of 0.
    """
    if low > 0.0:  # mirror it: lower tails do not cancel against 1
        low, high = -high, -low
    middle = 0.5 * (low + high)
    if width * max(1.0, abs(middle)) < 0.1:
        m, h = middle * middle, width * width
        bracket = 1.0 + h / 24.0 * ((m - 1.0) + h / 80.0 * ((m * (m - 6.0) + 3.0) + h / 168.0 * (m * (m * (m - 15.0) + 45.0) - 15.0)))
        return math.exp(log_weight - 0.5 * m - _LOG_ROOT_TWO_PI) * width * bracket
    return lower_tail(high, log_weight) - lower_tail(low, log_weight)


# Rational approximations of M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), 477-484: relative error about 1e-16.
_CENTRE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852854561,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
_TAIL = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
_FAR_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)


@scalar
def _ratio(coefficients, r):  # type: ignore[no-untyped-def]
    above, below = 0.0, 0.0
    for power in range(8):
        above = above * r + coefficients[0][power]
        below = below * r + coefficients[1][power]
    return above / below


@scalar
def inverse_distribution(p):  # type: ignore[no-untyped-def]
    """The x with N(x) = p, for 0 < p < 1."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_CENTRE, 0.180625 - q * q)
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    x = _ratio(_TAIL, r - 1.6) if r <= 5.0 else _ratio(_FAR_TAIL, r - 5.0)
    return -x if q < 0.0 else x
