"""One step of the square-root variance by Andersen's quadratic-exponential scheme, made smooth, in units of its mean.

Given a mean of 1 and a variance psi, the step is (b + z)^2 / (1 + b^2), b^2 = 2 / psi - 1 + sqrt(2 / psi (2 / psi - 1)), for small psi, and for large
psi 0 with probability p = (psi - 1) / (psi + 1) and else exponential, both having these two moments (L. Andersen, "Simple and efficient
simulation of the Heston stochastic volatility model", Journal of Computational Finance 11 (2008), 1-42). He switches at psi = 1.5. The two differ
there for a given normal number z, so that prices would jump with the parameters and pathwise derivatives be wrong: here one goes over into the other
between LOW and HIGH, both at the same z, where psi is raised by what averaging takes from the variance. The logarithms of the two moment
generating functions, which the martingale correction needs, are averaged likewise: they agree to the second order in y.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.vmath import log

LOW, HIGH = 1.2, 1.8
_RAISE = 0.0065  # at the middle: the two are correlated by .988 there


@inlined
def quadratic_exponential(psi, z, tail, y):  # type: ignore[no-untyped-def]
    """(g, dg/dpsi, L, dL/dpsi, dL/dy): the step at normal number z, tail = -log N(-z), and L = log E[exp(y g)]."""
    t = min(max((psi - LOW) / (HIGH - LOW), 0.0), 1.0)
    share, tilt = t * t * (3.0 - 2.0 * t), 6.0 * t * (1.0 - t) / (HIGH - LOW)
    bump = 4.0 * _RAISE * share * (1.0 - share)
    stretch = 1.0 + bump + psi * 4.0 * _RAISE * (1.0 - 2.0 * share) * tilt
    psi = psi * (1.0 + bump)

    half = 2.0 / min(max(psi, 1e-12), 1.95)
    root = math.sqrt(half * (half - 1.0))
    square = half - 1.0 + root
    b = math.sqrt(square)
    b_slope = -0.25 * half * half * (1.0 + (half - 0.5) / root) / b
    scale = 1.0 / (1.0 + square)
    quadratic = (b + z) * (b + z) * scale
    quadratic_slope = 2.0 * (b + z) * (1.0 - b * z) * scale * scale * b_slope
    narrow = 1.0 - 2.0 * y * scale
    narrow = max(narrow, 0.01) if share == 1.0 else narrow  # what does not count must not be NaN
    first = y * square * scale / narrow - 0.5 * log(narrow)
    first_y = (square * scale / narrow + scale) / narrow
    first_psi = -4.0 * b * b_slope * square * scale * (y * scale / narrow) * (y * scale / narrow)

    middle = 0.5 * (max(psi, 1.0) + 1.0)  # 1 / (1 - p)
    over = tail - log(middle)
    exponential = middle * over if over > 0.0 else 0.0
    exponential_slope = 0.5 * (over - 1.0) if over > 0.0 else 0.0
    rest = 1.0 - y * middle
    rest = max(rest, 0.01) if share == 0.0 else rest
    rest = rest if rest > 0.0 else math.nan
    lift = y / rest  # E[exp(y g)] = p + (1 - p) / rest = 1 + y / rest
    second = log(1.0 + lift)
    second_y = 1.0 / (rest * rest * (1.0 + lift))
    second_psi = 0.5 * y * y / (rest * rest * (1.0 + lift))

    return (
        quadratic + share * (exponential - quadratic),
        stretch * (quadratic_slope + share * (exponential_slope - quadratic_slope)) + tilt * (exponential - quadratic),
        first + share * (second - first),
        stretch * (first_psi + share * (second_psi - first_psi)) + tilt * (second - first),
        first_y + share * (second_y - first_y),
    )
