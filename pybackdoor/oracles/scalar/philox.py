"""Philox 4x32-10 on one counter, for kernels that draw their own numbers: the same numbers as `pybackdoor.ops.philox`, which is the definition.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC '11.
"""

from __future__ import annotations

import numpy as np

from pybackdoor.oracles.compiled import inlined, scalar

_MASK, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FIRST, _SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_FIRST_STEP, _SECOND_STEP = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@inlined
def philox4x32(a, b, c, d, low, high):  # type: ignore[no-untyped-def]
    """Ten rounds on the counter words a, b, c, d under the key words low, high; every word a uint64 below 2^32."""
    for _ in range(10):
        first, second = a * _FIRST, c * _SECOND
        a, b, c, d = (second >> _HALF) ^ b ^ low, second & _MASK, (first >> _HALF) ^ d ^ high, first & _MASK
        low, high = (low + _FIRST_STEP) & _MASK, (high + _SECOND_STEP) & _MASK
    return a, b, c, d


@scalar
def uniform_pair(block, stream, purpose, seed):  # type: ignore[no-untyped-def]
    """The uniform numbers 2 block and 2 block + 1 of a stream, in [0, 1), multiples of 2^-53; all arguments uint64, purpose the hash of its text."""
    a, b, c, d = philox4x32(block & _MASK, block >> _HALF, stream, purpose, seed & _MASK, seed >> _HALF)
    return _fraction(a, b), _fraction(c, d)


@scalar
def _fraction(high, low):  # type: ignore[no-untyped-def]
    return np.float64(((high >> np.uint64(5)) << np.uint64(26)) | (low >> np.uint64(6))) * 2.0**-53
