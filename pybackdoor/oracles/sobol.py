"""Sobol's sequence in 64 dimensions: its direction numbers, and their random scrambling.

Dimensions beyond the first are given by a primitive polynomial of degree s over the field of two elements, its inner coefficients as the binary
number a, and odd numbers m_1 .. m_s; further m follow from the polynomial's recurrence, and the direction number k is m_k / 2^k. The table is the
first 64 dimensions of new-joe-kuo-6 (S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM Journal on
Scientific Computing 30 (2008), 2635-2654; https://web.maths.unsw.edu.au/~fkuo/sobol).

A scrambled copy multiplies the digits by a random lower triangular matrix and adds a random number digit by digit (J. Matousek, "On the
L2-discrepancy for anchored boxes", Journal of Complexity 14 (1998), 527-556): every point is uniform, the points stay a digital net, and independent
copies are independent unbiased estimates.
"""

from __future__ import annotations

import numpy as np

from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.scalar.philox import philox4x32

DIMENSIONS = 64
BITS = 30  # of the sequence: at most 2^30 points
DIGITS = 52  # of a number

_TABLE = """
1 0 1
2 1 1 3
3 1 1 3 1
3 2 1 1 1
4 1 1 1 3 3
4 4 1 3 5 13
5 2 1 1 5 5 17
5 4 1 1 5 5 5
5 7 1 1 7 11 19
5 11 1 1 5 1 1
5 13 1 1 1 3 11
5 14 1 3 5 5 31
6 1 1 3 3 9 7 49
6 13 1 1 1 15 21 21
6 16 1 3 1 13 27 49
6 19 1 1 1 15 7 5
6 22 1 3 1 15 13 25
6 25 1 1 5 5 19 61
7 1 1 3 7 11 23 15 103
7 4 1 3 7 13 13 15 69
7 7 1 1 3 13 7 35 63
7 8 1 3 5 9 1 25 53
7 14 1 3 1 13 9 35 107
7 19 1 3 1 5 27 61 31
7 21 1 1 5 11 19 41 61
7 28 1 3 5 3 3 13 69
7 31 1 1 7 13 1 19 1
7 32 1 3 7 5 13 19 59
7 37 1 1 3 9 25 29 41
7 41 1 3 5 13 23 1 55
7 42 1 3 7 3 13 59 17
7 50 1 3 1 3 5 53 69
7 55 1 1 5 5 23 33 13
7 56 1 1 7 7 1 61 123
7 59 1 1 7 9 13 61 49
7 62 1 3 3 5 3 55 33
8 14 1 3 1 15 31 13 49 245
8 21 1 3 5 15 31 59 63 97
8 22 1 3 1 11 11 11 77 249
8 38 1 3 1 11 27 43 71 9
8 47 1 1 7 15 21 11 81 45
8 49 1 3 7 3 25 31 65 79
8 50 1 3 1 1 19 11 3 205
8 52 1 1 5 9 19 21 29 157
8 56 1 3 7 11 1 33 89 185
8 67 1 3 3 3 15 9 79 71
8 70 1 3 7 11 15 39 119 27
8 84 1 1 3 1 11 31 97 225
8 97 1 1 1 3 23 43 57 177
8 103 1 3 7 7 17 17 37 71
8 115 1 3 1 5 27 63 123 213
8 122 1 1 3 5 11 43 53 133
9 8 1 3 5 5 29 17 47 173 479
9 13 1 3 3 11 3 1 109 9 69
9 16 1 1 1 5 17 39 23 5 343
9 22 1 3 1 5 25 15 31 103 499
9 25 1 1 1 11 11 17 63 105 183
9 44 1 1 5 11 9 29 97 231 363
9 47 1 1 5 15 19 45 41 7 383
9 52 1 3 7 7 31 19 83 137 221
9 55 1 1 1 3 23 15 111 223 83
9 59 1 1 5 13 31 15 55 25 161
9 62 1 1 3 13 25 47 39 87 257
"""  # s, a, m_1 .. m_s


def direction_numbers(dimensions: int) -> np.ndarray:
    """The direction numbers times 2^BITS: [dimensions, BITS] uint64, dimensions <= DIMENSIONS."""
    rows = [[1 << (BITS - k) for k in range(1, BITS + 1)]]
    for line in _TABLE.split("\n")[1:dimensions]:
        degree, inner, *m = map(int, line.split())
        for k in range(degree, BITS):
            value = m[k - degree] ^ (m[k - degree] << degree)
            for i in range(1, degree):
                value ^= ((inner >> (degree - 1 - i)) & 1) * (m[k - i] << i)
            m.append(value)
        rows.append([m[k] << (BITS - 1 - k) for k in range(BITS)])
    return np.array(rows[:dimensions], dtype=np.uint64)


def scrambled(directions: np.ndarray, points: int, *, copies: int, seed: int, purpose: int) -> tuple[np.ndarray, np.ndarray]:
    """Scrambled direction numbers [copies, dimensions, log2(points)] and the numbers to add to them [copies, dimensions], times 2^DIGITS.

    Keyed by (seed, purpose): copy and dimension of a scramble depend on nothing else. The first `points` (a power of two) points can be made of it.
    """
    digits = points.bit_length() - 1
    columns = np.empty((copies, len(directions), digits), dtype=np.uint64)
    shifts = np.empty((copies, len(directions)), dtype=np.uint64)
    _scramble(directions, np.uint64(seed), np.uint64(purpose), columns, shifts)
    return columns, shifts


@kernel
def _scramble(directions, seed, purpose, columns, shifts):  # type: ignore[no-untyped-def]
    """Row b of the random matrix: a 1 for digit b and random digits above it; rows past BITS are random."""
    one, mask, half = np.uint64(1), np.uint64(0xFFFFFFFF), np.uint64(32)
    for copy in range(columns.shape[0]):
        for dimension in range(columns.shape[1]):
            first = np.uint64((copy * DIMENSIONS + dimension) * (DIGITS + 1))
            for column in range(columns.shape[2]):
                columns[copy, dimension, column] = np.uint64(0)
            for digit in range(DIGITS + 1):
                index = first + np.uint64(digit)
                a, b, _, _ = philox4x32(index & mask, index >> half, mask, purpose, seed & mask, seed >> half)
                if digit == DIGITS:
                    shifts[copy, dimension] = ((a << half) | b) >> np.uint64(64 - DIGITS)
                    break
                row = a >> np.uint64(32 - BITS)
                if digit < BITS:
                    place = np.uint64(BITS - 1 - digit)
                    row = ((row >> place) | one) << place
                for column in range(columns.shape[2]):
                    parity = row & directions[dimension, column]
                    for step in (16, 8, 4, 2, 1):
                        parity ^= parity >> np.uint64(step)
                    columns[copy, dimension, column] |= (parity & one) << np.uint64(DIGITS - 1 - digit)
