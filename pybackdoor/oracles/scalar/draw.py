"""One standard normal number from its 52 bits, or two from a Philox counter: what `normals` makes row by row, for kernels that draw as they go."""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.bits import from_bits
from pybackdoor.oracles.scalar.normal import _CENTRE, _FAR_TAIL, _TAIL
from pybackdoor.oracles.scalar.philox import philox4x32
from pybackdoor.oracles.scalar.vmath import _rational, log

CENTRAL = 0.425  # numbers within that of 1/2 are taken through one rational function
_ONE_BITS = np.uint64(0x3FF0000000000000)
_CENTRED = 1.5 - 2.0**-53  # what takes [1, 2) to the middles of 2^52 cells, less 1/2
_MASK, _HALF, _LOW = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(12)


@inlined
def offset(bits):  # type: ignore[no-untyped-def]
    """The number u - 1/2, u the middle of cell `bits` (below 2^52) of 2^52 in [0, 1]: exact, symmetric about 0, never +-1/2."""
    return from_bits(bits | _ONE_BITS) - _CENTRED


@inlined
def offset_pair(counter, stream, purpose, seed):  # type: ignore[no-untyped-def]
    """The offsets that a counter of a stream gives; all arguments uint64."""
    a, b, c, d = philox4x32(counter & _MASK, counter >> _HALF, stream & _MASK, purpose & _MASK, seed & _MASK, seed >> _HALF)
    return offset(((a << _HALF) | b) >> _LOW), offset(((c << _HALF) | d) >> _LOW)


@inlined
def central(q):  # type: ignore[no-untyped-def]
    """The normal number below which a share 1/2 + q lies, |q| <= CENTRAL."""
    return q * _rational(_CENTRE, 0.180625 - q * q)


@scalar
def outer(q):  # type: ignore[no-untyped-def]
    """The same for CENTRAL < |q| < 1/2."""
    r = math.sqrt(-log(0.5 - abs(q)))
    x = _rational(_TAIL, r - 1.6) if r <= 5.0 else _rational(_FAR_TAIL, r - 5.0)
    return x if q > 0.0 else -x


@scalar
def number(q):  # type: ignore[no-untyped-def]
    """The same for any |q| < 1/2."""
    return central(q) if abs(q) <= CENTRAL else outer(q)
