"""Where the nodes of Heston's equation lie, time in units of the maturity: x = log(forward / strike) = width sinh(stretch s), -1 <= s <= 1, and
variance v = unit (cosh(SPREAD z) - 1), 0 <= z <= 1.

Along x nodes are densest at the strike (s = 0), within what the log-price commonly moves, and end where the time value no longer matters. Along v
they are evenly spaced in the volatility sqrt(v) near 0, and in log(v) far out.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.array_library import Array, library, zeros

REACH = 40.0  # the largest variance over `unit`
SPREAD = math.acosh(1.0 + REACH)

_TAIL = 10.0  # -log of the chance of variances beyond the largest
_MARGIN = 1.3  # of the largest variance over what is expected
_CALM, _LEAST_WIDTH = 6.0, 0.25  # where the scale of far variances is that many times the expected, `width` is halfway to that share of itself,
_TAME, _LEAST_TAIL = 8.0, 0.33  # and the largest variance likewise: there it is rare, and what matters lies close to the strike and variance 0
_CORE = 0.5  # `width` over the deviation of the log-price where its variance does not wander
_LEAST = 1e-3  # of the variance's own scale in that of the log-price: today's variance and the mean may be 0
_DEVIATIONS = 6.0  # the last x over its deviation, with a share of the largest variance
_SHARE = 0.5
_FARTHEST = 12.0  # the last x at most: a log-price moves by that with a chance below exp(-12)


def frame(variance: Array, reversion: Array, mean: Array, vol: Array) -> tuple[Array, Array, Array]:
    """(width, stretch, unit), each [5, n]: values, and their derivatives in variance, reversion, mean and vol, which come times the maturity."""
    v, k, m, g = (_seed(value, place) for place, value in enumerate((variance, reversion, mean, vol), start=1))
    xp = library(variance)
    decay, gone = xp.exp(-reversion), -xp.expm1(-reversion)
    forgotten = _chain(k, gone, decay)
    memory = _chain(k, gone / reversion, (decay - gone / reversion) / reversion)  # of today's variance in the mean over the time
    drift = m - _times(m, memory)
    wide = _times(g, g)
    scale = 0.5 * _times(wide, memory)  # the chance of a variance v falls as exp(-v / scale)
    high = v + _times(m, forgotten) + _LEAST * scale
    top = _root(_MARGIN * high) + _root(_TAIL * scale)
    wander = _times(scale, _inverse(high))
    largest = _times(_times(top, top), _falling(wander, _TAME, _LEAST_TAIL))
    expected = _times(v, memory) + drift
    steady = v + drift + _LEAST * scale
    wandering = 0.25 * _times(wide, _inverse(steady))
    typical = _times(v, _inverse(_inverse(memory) + wandering)) + drift + _LEAST * scale
    width = _times(_CORE * _root(typical), _falling(wander, _CALM, _LEAST_WIDTH))
    far = _DEVIATIONS**2 * (expected + _SHARE * _times(largest - high, memory))
    limited = _inverse(far)
    limited[0] += 1.0 / _FARTHEST**2
    ratio = _times(_root(_inverse(limited)), _inverse(width))
    return width, _chain(ratio, xp.arcsinh(ratio[0]), 1.0 / xp.sqrt(1.0 + ratio[0] * ratio[0])), largest / REACH


def _seed(value: Array, place: int) -> Array:
    """A feature with its derivatives in all four: 1 in its own."""
    made = zeros(value, 5, len(value))
    made[0], made[place] = value, 1.0
    return made


def _falling(p: Array, half: float, least: float) -> Array:
    """From 1 where p is 0 to `least` where it is large, halfway at `half`."""
    near = 1.0 / (1.0 + p[0] / half)
    return _chain(p, least + (1.0 - least) * near, (least - 1.0) / half * near * near)


def _times(p: Array, q: Array) -> Array:
    product = p[0] * q + q[0] * p
    product[0] *= 0.5
    return product


def _chain(p: Array, value: Array, slope: Array) -> Array:
    """A function of p, from its value and slope there."""
    made = slope * p
    made[0] = value
    return made


def _root(p: Array) -> Array:
    value = library(p).sqrt(p[0])
    return _chain(p, value, 0.5 / value)


def _inverse(p: Array) -> Array:
    return _chain(p, 1.0 / p[0], -1.0 / (p[0] * p[0]))
