"""Rows of standard normal numbers, by exact inversion of the distribution: from Philox counters, or from scrambled Sobol points.

Most numbers lie in the centre of the distribution and need one rational function (M. J. Wichura, Algorithm AS 241, Applied Statistics 37 (1988),
477-484). All of a row are taken through it; the 15 % outside are gathered, taken through the logarithm, and put back, so that both loops are
vectorized. Relative error 2e-15; a number is a function of its 52 bits alone.
"""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.scalar.draw import CENTRAL, central, offset, offset_pair
from pybackdoor.oracles.scalar.normal import _FAR_TAIL, _TAIL
from pybackdoor.oracles.scalar.vmath import _rational, log

TILE = 256  # numbers inverted at a time; rows are multiples of it, or shorter than it


@scalar
def _invert(offsets, row, index, tail, count):  # type: ignore[no-untyped-def]
    """row[:count] = the normal numbers below which a share 1/2 + offsets[:count] lies; index and tail [TILE] are scratch."""
    outside = 0
    for i in range(count):
        row[i] = central(offsets[i])
    for i in range(count):
        index[outside] = i
        outside += 1 if abs(offsets[i]) > CENTRAL else 0
    for i in range(outside):
        tail[i] = abs(offsets[index[i]])
    for i in range(outside):
        r = math.sqrt(-log(0.5 - tail[i]))
        tail[i] = _rational(_TAIL, min(r, 5.0) - 1.6)
    for i in range(outside):
        q = offsets[index[i]]
        x = tail[i]
        if abs(q) > 0.5 - 1.4e-11:  # one in 4e10
            r = math.sqrt(-math.log(0.5 - abs(q)))
            x = _rational(_FAR_TAIL, r - 5.0) if r > 5.0 else x
        row[index[i]] = x if q > 0.0 else -x


@kernel
def philox_normals(seed, purpose, stream, first, rows):  # type: ignore[no-untyped-def]
    """Fills rows [dimensions, n], n even: numbers first .. first + n - 1 (first even) of the streams stream, stream + 1 ..."""
    offsets, index, tail = np.empty(TILE), np.empty(TILE, dtype=np.int64), np.empty(TILE)
    for dimension in range(rows.shape[0]):
        name = np.uint64(stream + dimension)
        for start in range(0, rows.shape[1], TILE):
            count = min(TILE, rows.shape[1] - start)
            block = np.uint64((first + start) // 2)
            for i in range(count // 2):
                offsets[i], offsets[count // 2 + i] = offset_pair(block + np.uint64(i), name, purpose, seed)
            _invert(offsets, rows[dimension, start:], index, tail, count)


@kernel
def sobol_normals(columns, shifts, rows):  # type: ignore[no-untyped-def]
    """Fills the first rows of rows [.., n], n a power of two, from scrambled directions [dimensions, log2(n)] and shifts [dimensions]."""
    offsets, index, tail = np.empty(TILE), np.empty(TILE, dtype=np.int64), np.empty(TILE)
    corner = np.empty(TILE, dtype=np.uint64)  # the points of the first tile, unshifted
    count = min(TILE, rows.shape[1])
    for dimension in range(columns.shape[0]):
        corner[0] = np.uint64(0)
        size, column = 1, 0
        while size < count:
            for i in range(size):
                corner[size + i] = corner[i] ^ columns[dimension, column]
            size, column = 2 * size, column + 1
        for tile in range(rows.shape[1] // count):
            base = shifts[dimension]
            for bit in range(columns.shape[1] - column):
                if (tile >> bit) & 1:
                    base ^= columns[dimension, column + bit]
            for i in range(count):
                offsets[i] = offset(base ^ corner[i])
            _invert(offsets, rows[dimension, tile * count :], index, tail, count)
