"""Complex numbers as pairs of float64, branch-free and vectorized like `vmath`."""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.vmath import angle, exp, log, sine_cosine


@inlined
def times(a, b):  # type: ignore[no-untyped-def]
    """The product of a and b."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


@inlined
def over(a, b):  # type: ignore[no-untyped-def]
    """The quotient of a and b, for |b|^2 neither overflowing nor underflowing."""
    scale = 1.0 / (b[0] * b[0] + b[1] * b[1])
    return (a[0] * b[0] + a[1] * b[1]) * scale, (a[1] * b[0] - a[0] * b[1]) * scale


@inlined
def plus(a, b):  # type: ignore[no-untyped-def]
    """The sum of a and b."""
    return a[0] + b[0], a[1] + b[1]


@inlined
def scaled(a, factor):  # type: ignore[no-untyped-def]
    """The product of a and a real factor."""
    return a[0] * factor, a[1] * factor


@inlined
def root(a):  # type: ignore[no-untyped-def]
    """The square root with real part >= 0."""
    large = math.sqrt(0.5 * (math.sqrt(a[0] * a[0] + a[1] * a[1]) + abs(a[0])))
    small = 0.5 * a[1] / max(large, 1e-150)
    return (large, small) if a[0] >= 0.0 else (abs(small), large if a[1] >= 0.0 else -large)


@inlined
def exponential(a):  # type: ignore[no-untyped-def]
    """e^a, for an imaginary part up to 10^6."""
    size = exp(a[0])
    sine, cosine = sine_cosine(a[1])
    return size * cosine, size * sine


@inlined
def logarithm_near_one(a):  # type: ignore[no-untyped-def]
    """The principal logarithm of 1 + a, for small a to its own relative accuracy."""
    more = a[0] * (2.0 + a[0]) + a[1] * a[1]
    whole = 1.0 + more
    return 0.5 * (log(whole) + (more - (whole - 1.0)) / whole), angle(a[1], 1.0 + a[0])
