"""Elementary functions and the normal distribution without branches and without calls to a C library, in float64.

A loop over problems that calls them is vectorized by LLVM, and a numba.cuda kernel may call them as well. Each is accurate to a few units in the last
place on the range it names; beyond it the result is what the docstring says.

Sources: polynomials of exp by Taylor; of log, sin, cos and atan as in fdlibm (Sun Microsystems, 1993), where the error bounds are proven; the Mills
ratio and the inverse normal distribution as in `normal`.
"""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.bits import from_bits, to_bits
from pybackdoor.oracles.scalar.normal import _CENTRE, _FAR_TAIL, _INVERSE_ROOT_TWO_PI, _MILLS, _TAIL

_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest whole number in the low bits
_ROUND_20 = 6442450944.0  # 1.5 * 2^32: the same, in steps of 2^-20
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_EXP_LOWEST, _EXP_HIGHEST = -707.0, 709.782712893384

_SHIFT = np.uint64(52)
_SCALE = np.uint64(1022 << 52)
_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)
_EXPONENT_BIAS = np.uint64(1100 << 52)
_EXPONENT_MASK = np.uint64(0xFFF0000000000000)
_TWO_52 = np.uint64(0x4330000000000000)
_ONE, _TWO = np.uint64(1), np.uint64(2)

_LOG = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
_SIN = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)
_COS = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
)
_ATAN = (
    1.62858201153657823623e-02,
    -3.65315727442169155270e-02,
    4.97687799461593236017e-02,
    -5.83357013379057348645e-02,
    6.66107313738753120669e-02,
    -7.69187620504482999495e-02,
    9.09088713343650656196e-02,
    -1.11111104054623557880e-01,
    1.42857142725034663711e-01,
    -1.99999999998764832476e-01,
    3.33333333333329318027e-01,
)
_EXP = tuple(1.0 / math.factorial(power) for power in range(13, 1, -1))
_MILLS_UPPER, _MILLS_LOWER = _MILLS[:10:-1], _MILLS[10::-1]  # a loop over more is not unrolled for a GPU, where an index costs a chain of branches
_PIO2 = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624871116645580e-21)


@inlined
def exp(x):  # type: ignore[no-untyped-def]
    """e^x to 1 ulp; 0 below -707 (results near the smallest normal number), infinity above 709.78, NaN for NaN."""
    bounded = min(max(x, _EXP_LOWEST), _EXP_HIGHEST)
    shifted = bounded * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    r = (bounded - whole * _LN2_HIGH) - whole * _LN2_LOW
    total = _EXP[0]
    for coefficient in _EXP[1:]:
        total = total * r + coefficient
    total = 1.0 + (r + r * r * total)
    power = 2.0 * total * from_bits((to_bits(shifted) << _SHIFT) + _SCALE)
    power = 0.0 if x < _EXP_LOWEST else power
    power = math.inf if x > _EXP_HIGHEST else power
    return x if x != x else power


@inlined
def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm to 1 ulp for normal numbers x > 0; -infinity at 0, NaN below and for NaN, infinity at infinity."""
    bits = to_bits(x)
    offset = bits - _ROOT_HALF
    exponent = from_bits(((offset + _EXPONENT_BIAS) >> _SHIFT) | _TWO_52) - (4503599627370496.0 + 1100.0)
    f = from_bits(bits - (offset & _EXPONENT_MASK)) - 1.0  # in [sqrt(1/2) - 1, sqrt(2) - 1)
    s = f / (2.0 + f)
    z = s * s
    total = _LOG[0]
    for coefficient in _LOG[1:]:
        total = total * z + coefficient
    half = 0.5 * f * f
    result = exponent * _LN2_HIGH - ((half - (s * (half + z * total) + exponent * _LN2_LOW)) - f)
    result = math.inf if x == math.inf else result
    result = -math.inf if x == 0.0 else result
    return result if x >= 0.0 else math.nan


@inlined
def log_ratio(above, below):  # type: ignore[no-untyped-def]
    """log(above / below) for positive numbers, to full relative accuracy also when they are close."""
    excess = (above - below) / below
    near = abs(excess) < 0.5
    ratio = 1.0 + excess if near else above / below
    lost = (excess - (ratio - 1.0)) / ratio if near else 0.0
    return log(ratio) + lost


@inlined
def sine_cosine(x):  # type: ignore[no-untyped-def]
    """(sin x, cos x) to 1 ulp of 1 for |x| <= 10^6 (relative to the result: a few ulp, except within 1e-10 of a zero); no use beyond."""
    shifted = x * 0.6366197723675814 + _ROUND
    whole = shifted - _ROUND
    r = ((x - whole * _PIO2[0]) - whole * _PIO2[1]) - whole * _PIO2[2]
    z = r * r
    sine, cosine = _SIN[0], _COS[0]
    for coefficient in _SIN[1:]:
        sine = sine * z + coefficient
    for coefficient in _COS[1:]:
        cosine = cosine * z + coefficient
    sine = r + r * z * sine
    cosine = 1.0 - (0.5 * z - z * z * cosine)
    quadrant = to_bits(shifted)
    swap = (quadrant & _ONE) != 0
    first, second = (cosine, sine) if swap else (sine, cosine)
    first = -first if (quadrant & _TWO) != 0 else first
    second = -second if ((quadrant + _ONE) & _TWO) != 0 else second
    return first, second


@inlined
def angle(y, x):  # type: ignore[no-untyped-def]
    """The angle of the point (x, y), in (-pi, pi]: atan2(y, x), to 2 ulp; 0 at the origin."""
    high, low = max(abs(x), abs(y)), min(abs(x), abs(y))
    ratio = low / max(high, 1e-300)
    far = ratio > 0.4142135623730951
    t = (ratio - 1.0) / (ratio + 1.0) if far else ratio
    z = t * t
    total = _ATAN[0]
    for coefficient in _ATAN[1:]:
        total = total * z + coefficient
    total = t - t * z * total
    total = 0.7853981633974483 + (total + 3.061616997868383e-17) if far else total
    total = 1.5707963267948966 - (total - 6.123233995736766e-17) if abs(y) > abs(x) else total
    total = 3.141592653589793 - (total - 1.2246467991473532e-16) if x < 0.0 else total
    return -total if y < 0.0 else total


@inlined
def mills_ratio(x):  # type: ignore[no-untyped-def]
    """(1 - N(x)) / phi(x) for x >= 0, relative error 5e-16."""
    t = (x - 5.5) / (x + 5.5)
    total = _MILLS_UPPER[0]
    for coefficient in _MILLS_UPPER[1:]:
        total = total * t + coefficient
    for coefficient in _MILLS_LOWER:
        total = total * t + coefficient
    return total / (x + 2.0)


@inlined
def bell(x, log_weight):  # type: ignore[no-untyped-def]
    """exp(log_weight) phi(x); the two exponents are added before they are exponentiated. The square of x is taken without rounding."""
    bounded = min(max(x, -1e5), 1e5)
    coarse = (bounded + _ROUND_20) - _ROUND_20
    rest = 0.5 * (bounded - coarse) * (bounded + coarse)
    return _INVERSE_ROOT_TWO_PI * exp(log_weight - 0.5 * coarse * coarse) * (1.0 - rest * (1.0 - 0.5 * rest * (1.0 - rest / 3.0)))


@inlined
def lower_tail(x, log_weight):  # type: ignore[no-untyped-def]
    """(exp(log_weight) N(x), exp(log_weight) phi(x))."""
    peak = bell(x, log_weight)
    tail = peak * mills_ratio(abs(x))
    return (tail if x <= 0.0 else exp(log_weight) - tail), peak


@inlined
def normal(x):  # type: ignore[no-untyped-def]
    """(N(x), phi(x)), the lower tail to a few ulp of itself down to x = -37."""
    peak = bell(x, 0.0)
    tail = peak * mills_ratio(abs(x))
    return (tail if x <= 0.0 else 1.0 - tail), peak


@inlined
def _rational(coefficients, r):  # type: ignore[no-untyped-def]
    above, below = coefficients[0][0], coefficients[1][0]
    for power in range(1, 8):
        above = above * r + coefficients[0][power]
        below = below * r + coefficients[1][power]
    return above / below


@inlined
def inverse_normal(p):  # type: ignore[no-untyped-def]
    """The x with N(x) = p to 2e-15, relative (of the centre: in x; of the upper tail: as exactly as p says), 0 < p < 1; infinite at 0 and 1."""
    q = p - 0.5
    smaller = p if q < 0.0 else 1.0 - p
    centre = q * _rational(_CENTRE, 0.180625 - q * q)
    r = math.sqrt(-log(max(smaller, 1e-300)))
    tail = _rational(_TAIL, r - 1.6) if r <= 5.0 else _rational(_FAR_TAIL, r - 5.0)
    tail = math.inf if smaller <= 0.0 else tail
    return centre if abs(q) <= 0.425 else (-tail if q < 0.0 else tail)
