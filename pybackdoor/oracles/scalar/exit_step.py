"""One step of an Ornstein-Uhlenbeck process between two bounds: its exact transition, and what its bridge does in between.

Everything is in units of the distance between the bounds (0 and 1) and of distance^2 / volatility^2 in time: dY = k (m - Y) ds + dW. Y is e^{-k s}
times a Brownian motion in the time (e^{2ks} - 1) / 2k, where a bound is a curve. A bridge over one step of length D from a distance a > 0 inside a
bound to c > 0 has touched it with probability

    p = exp(-2 a c g / v),    v = sinh(k D) / k,    g = 1 + bend M((a + c) / sqrt(v)),

    bend = k^2 D sqrt(v) / 2 times the distance from the bound inwards to m,

M the Mills ratio; p = 1 where c <= 0. With g = 1 that is exact for the chord of the curve. The bend is the first order of how the curve departs from
it: the bridge is a Brownian one weighted with exp(-k^2 / 2 int (Y - m)^2 ds), of which what is linear in the distance from the bound matters, and a
Brownian bridge that touches has the area a c D M / sqrt(v) less under it (by reflection) than one that may or may not. The time lost after the touch
is

    p D (1 - a M((a + c) / sqrt(v)) / sqrt(v))

(first-passage density of the Brownian bridge, and int_0^D t^(-1/2) (D - t)^(-1/2) exp(-a^2/2t - c^2/2(D-t)) dt = pi erfc((a + c) / sqrt(2 D))).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.vmath import exp, mills_ratio


@scalar
def transition(pull, step):  # type: ignore[no-untyped-def]
    """(e^{-k D}, deviation, v) of a step D, and their derivatives in k; any k with |k D| below 300."""
    h = pull * step
    decay = math.exp(-h)
    variance, by_variance = step * _mean_decay(2.0 * h), 2.0 * step * step * _mean_decay_slope(2.0 * h)
    deviation = math.sqrt(variance)
    if abs(h) < 0.02:
        v, by_v = step * (1.0 + h * h / 6.0 * (1.0 + h * h / 20.0)), step * step * h / 3.0 * (1.0 + h * h / 10.0)
    else:
        v, by_v = math.sinh(h) / pull, (step * math.cosh(h) - math.sinh(h) / pull) / pull
    return decay, deviation, v, -step * decay, 0.5 * by_variance / deviation, by_v


@scalar
def _mean_decay(z):  # type: ignore[no-untyped-def]
    """(1 - e^-z) / z."""
    return -math.expm1(-z) / z if abs(z) > 1e-8 else 1.0 - 0.5 * z


@scalar
def _mean_decay_slope(z):  # type: ignore[no-untyped-def]
    if abs(z) < 0.02:
        return -0.5 + z * (1.0 / 3.0 - z * (0.125 - z * (1.0 / 30.0 - z / 144.0)))
    return (math.exp(-z) * (1.0 + z) - 1.0) / (z * z)


@inlined
def touch(a, c, v, root_v, bend):  # type: ignore[no-untyped-def]
    """(p, share of the step lost) for signed distances a > 0 and c (negative: beyond the bound), and their derivatives in a, c, v and bend."""
    inside, side = max(c, 0.0), 1.0 if c > 0.0 else -1.0
    q, u = a / root_v, (a + abs(c)) / root_v
    ratio = mills_ratio(u)
    ratio_u = u * ratio - 1.0
    weakening, exponent = 1.0 + bend * ratio, 2.0 * a * inside / v
    p = exp(-exponent * weakening)
    kept = 1.0 - q * ratio
    through = exponent * bend * ratio_u / root_v  # of the exponent by a or c, through u
    p_a = -p * (2.0 * inside / v * weakening + through)
    p_c = -p * (2.0 * a / v * weakening + through) if c > 0.0 else 0.0
    p_v = p * exponent / v * (weakening + 0.5 * bend * u * ratio_u)
    p_bend = -p * exponent * ratio
    shift = q * ratio_u / root_v  # of q M(u) by a or |c|, through u
    return (
        p,
        p * kept,
        p_a,
        p_c,
        p_v,
        p_bend,
        p_a * kept - p * (ratio / root_v + shift),
        p_c * kept - p * shift * side,
        p_v * kept + 0.5 * p * (q * ratio + root_v * u * shift) / v,
        p_bend * kept,
    )
