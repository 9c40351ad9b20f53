"""exp, log and the Mills ratio of lanes (or numbers), after the scalar ones of scalar/vmath.py."""

from __future__ import annotations

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.lanes import fma, larger, smaller, split_power, times_power
from pybackdoor.oracles.scalar.vmath import _EXP, _LN2_HIGH, _LN2_LOW, _LOG, _LOG2_E, _MILLS_LOWER, _MILLS_UPPER, _ROUND

_LARGEST = 700.0


@scalar
def exp(x):  # type: ignore[no-untyped-def]
    """e^x to 1 ulp in every lane, for |x| <= 700; what it is there beyond."""
    bounded = smaller(larger(x, -_LARGEST), _LARGEST)
    shifted = fma(bounded, _LOG2_E, _ROUND)
    whole = shifted - _ROUND
    r = fma(whole, -_LN2_LOW, fma(whole, -_LN2_HIGH, bounded))
    total = fma(r, _EXP[0], _EXP[1])
    for power in range(2, len(_EXP)):
        total = fma(total, r, _EXP[power])
    return times_power(1.0 + fma(r * r, total, r), shifted)


@scalar
def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm to 1 ulp in every lane, for normal numbers x > 0."""
    mantissa, power = split_power(x)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    total = fma(z, _LOG[0], _LOG[1])
    for degree in range(2, len(_LOG)):
        total = fma(total, z, _LOG[degree])
    half = 0.5 * f * f
    return fma(power, _LN2_HIGH, f - (half - fma(s, half + z * total, power * _LN2_LOW)))


@scalar
def mills(x):  # type: ignore[no-untyped-def]
    """(1 - N(x)) / phi(x) in every lane, for x >= 0, relative error 5e-16."""
    t = (x - 5.5) / (x + 5.5)
    total = fma(t, _MILLS_UPPER[0], _MILLS_UPPER[1])
    for power in range(2, len(_MILLS_UPPER)):
        total = fma(total, t, _MILLS_UPPER[power])
    for power in range(len(_MILLS_LOWER)):
        total = fma(total, t, _MILLS_LOWER[power])
    return total / (x + 2.0)
