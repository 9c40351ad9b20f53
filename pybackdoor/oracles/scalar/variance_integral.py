"""The integral I of a square-root variance over a step, given both its ends: what its mean and its spread take from them.

dv = k (m - v) dt + w sqrt(v) dZ over a step dt, x = k dt, e = exp(-x), h = 1 - e. Means and variances have a part in v and one in m:

    E[v'] = e v + h m                      E[I]       = dt ((h / x) v + (1 - h / x) m)
    Var v' = w^2 (e h v + h^2 m / 2) / k   Cov(I, v') = dt (q1 times the first part + q2 times the second)
    Var I - Cov(I, v')^2 / Var v' = w^2 dt^3 (f1 v + f2 m + what mixing the two adds)

q1 = 1 / h - 1 / x, q2 = ((1 + e) / h - 2 e x / h^2) / x. So I = E[I] + dt q (v' - E[v']) + rest, q between q1 and q2, uncorrelated with v' and never
negative without the rest: the mean, the covariance and the variance are exact for any step. With q = q1 and no rest, as when only the mean is made
exact, the log price of a Heston model moves too much by 1 + x^2 correlation^2 / 12 even where the variance hardly moves.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar

_SERIES = 0.3  # below: Taylor series, whose next terms are below 1e-13
_MEAN = (1.0, -1 / 2, 1 / 6, -1 / 24, 1 / 120, -1 / 720, 1 / 5040, -1 / 40320, 1 / 362880, -1 / 3628800, 1 / 39916800, -1 / 479001600)
_Q1 = (1 / 2, 1 / 12, 0.0, -1 / 720, 0.0, 1 / 30240, 0.0, -1 / 1209600, 0.0, 1 / 47900160, 0.0, -691 / 1307674368000)
_Q2 = (1 / 3, 0.0, -1 / 90, 0.0, 1 / 2520, 0.0, -1 / 75600, 0.0, 1 / 2395008, 0.0, -691 / 54486432000, 0.0)
_F1 = (1 / 12, -1 / 24, 7 / 720, -1 / 720, 1 / 6048, -1 / 40320, 13 / 3628800, -1 / 3628800, 1 / 239500800, -1 / 479001600,
       901 / 1307674368000, -1 / 87178291200)  # fmt: skip
_F2 = (0.0, 1 / 36, -1 / 90, 1 / 540, -1 / 7560, 1 / 100800, -1 / 226800, 1 / 1360800, 1 / 59875200, -293 / 25147584000,
       -199 / 163459296000, 1 / 2421619200)  # fmt: skip


@scalar
def integral_shares(x):  # type: ignore[no-untyped-def]
    """((h / x, q1, q2, f1, f2), their derivatives) at x = reversion times step, x >= 0."""
    if x < _SERIES:
        a, b, c, d, f = _polynomial(x, _MEAN), _polynomial(x, _Q1), _polynomial(x, _Q2), _polynomial(x, _F1), _polynomial(x, _F2)
        return (a[0], b[0], c[0], d[0], f[0]), (a[1], b[1], c[1], d[1], f[1])
    e, h = math.exp(-x), -math.expm1(-x)
    x3 = x * x * x
    mean, q1 = h / x, 1.0 / h - 1.0 / x
    mean_x, q1_x = (e - mean) / x, 1.0 / (x * x) - e / (h * h)
    q2 = ((1.0 + e) / h - 2.0 * e * x / (h * h)) / x
    q2_x = (4.0 * e * e * x / (h * h * h) - 2.0 * e * (2.0 - x) / (h * h) - q2) / x
    first, second = e * h / x, 0.5 * h * h / x  # Var v' / (w^2 dt), part by part
    first_x, second_x = (e * (e - h) - first) / x, (h * e - second) / x
    whole_1, whole_2 = (1.0 - e * e - 2.0 * e * x) / x3, (x * (1.0 + 2.0 * e) - 0.5 * h * (5.0 + e)) / x3  # Var I / (w^2 dt^3)
    whole_1_x = (2.0 * e * (e - 1.0 + x)) / x3 - 3.0 * whole_1 / x
    whole_2_x = (1.0 + 2.0 * e - 2.0 * e * x - 0.5 * e * (5.0 + e - h)) / x3 - 3.0 * whole_2 / x
    f1, f2 = whole_1 - q1 * q1 * first, whole_2 - q2 * q2 * second
    f1_x = whole_1_x - q1 * (2.0 * q1_x * first + q1 * first_x)
    f2_x = whole_2_x - q2 * (2.0 * q2_x * second + q2 * second_x)
    return (mean, q1, q2, f1, f2), (mean_x, q1_x, q2_x, f1_x, f2_x)


@scalar
def _polynomial(x, coefficients):  # type: ignore[no-untyped-def]
    """Value and derivative of sum c_j x^j."""
    value, slope = 0.0, 0.0
    for j in range(len(coefficients) - 1, -1, -1):
        slope = slope * x + value
        value = value * x + coefficients[j]
    return value, slope
