"""The normal numbers of `Draws` on the device: the same numbers as on the CPU, copy beside copy, as a walk where one is wanted.

A thread owns whole paths: it draws one dimension after the other and puts Brownian motion together from its own earlier entries (bridge.py), so that
no thread waits for another. A mirror image (antithetic) is stored beside. Numbers are the CPU's up to the last places.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from pybackdoor.oracles.cuda.launch import device, kernel
from pybackdoor.oracles.normals import TILE
from pybackdoor.oracles.scalar.draw import number, offset, offset_pair

BESIDE = 4  # paths of a thread, so that the digits they share are put together once


@device
def _put(z, dimension, at, dimensions, plan, shares, numbers):  # type: ignore[no-untyped-def]
    """Number z of `dimension` into column `at`.

    numbers has a row a dimension, the last ones a walk where plan [3, walk] (place, left, right) and shares [3, walk] say how; or one row for
    all, which is their sum over the root of how many they are.
    """
    apart = dimensions - plan.shape[1]
    if numbers.shape[0] < dimensions:
        part = 1.0 / math.sqrt(dimensions) * z
        numbers[0, at] = part if dimension == 0 else numbers[0, at] + part
    elif dimension < apart:
        numbers[dimension, at] = z
    else:
        j = dimension - apart
        left, right, w = plan[1, j], plan[2, j], shares[2, j] * z
        if left > 0:
            w += shares[0, j] * numbers[apart + left - 1, at]
        if right > 0:
            w += shares[1, j] * numbers[apart + right - 1, at]
        numbers[apart + plan[0, j] - 1, at] = w


@kernel()
def philox(key, block, copies, dimensions, plan, shares, numbers):  # type: ignore[no-untyped-def]
    """Columns [copies, size] from Philox; a thread takes a counter of all its streams: two paths, or four with their mirror images.

    key: (seed, purpose); block: (first copy, paths of a copy that are drawn, 1 if the other half mirrors them, first dimension).
    """
    seed, purpose = key
    first_copy, drawn, mirrored, first_dimension = block
    thread = cuda.grid(1)
    pairs = drawn // 2
    if thread >= copies * pairs:
        return
    copy, pair = thread // pairs, thread % pairs
    half = min(TILE, drawn) // 2
    at = copy * drawn * (1 + mirrored) + pair // half * 2 * half + pair % half
    counter = np.uint64((first_copy + copy) * pairs + pair)
    for dimension in range(first_dimension, dimensions):
        one, two = offset_pair(counter, np.uint64(dimension), purpose, seed)
        one, two = number(one), number(two)
        _put(one, dimension, at, dimensions, plan, shares, numbers)
        _put(two, dimension, at + half, dimensions, plan, shares, numbers)
        if mirrored == 1:
            _put(-one, dimension, at + drawn, dimensions, plan, shares, numbers)
            _put(-two, dimension, at + half + drawn, dimensions, plan, shares, numbers)


@kernel()
def philox_sums(key, first_copy, copies, size, dimensions, numbers):  # type: ignore[no-untyped-def]
    """The one row of sums [1, copies * size], half of a copy the mirror image of the other: a thread takes a counter of all streams, four paths."""
    seed, purpose = key
    thread = cuda.grid(1)
    drawn, pairs = size // 2, size // 4
    if thread >= copies * pairs:
        return
    copy, pair = thread // pairs, thread % pairs
    half = min(TILE, drawn) // 2
    at = copy * size + pair // half * 2 * half + pair % half
    counter = np.uint64((first_copy + copy) * pairs + pair)
    root, first, second = 1.0 / math.sqrt(dimensions), 0.0, 0.0
    for dimension in range(dimensions):
        one, two = offset_pair(counter, np.uint64(dimension), purpose, seed)
        first += root * number(one)
        second += root * number(two)
    numbers[0, at], numbers[0, at + half] = first, second
    numbers[0, at + drawn], numbers[0, at + half + drawn] = -first, -second


@kernel()
def sobol(columns, shifts, first_copy, copies, size, dimensions, plan, shares, numbers):  # type: ignore[no-untyped-def]
    """Columns [copies, size] of the first rows from scrambled directions [COPIES, rows, log2(size)] and shifts [COPIES, rows]."""
    thread = cuda.grid(1)
    quarter = size // BESIDE
    if thread >= copies * quarter:
        return
    copy, place = thread // quarter, thread % quarter
    digits = columns.shape[2]
    for dimension in range(columns.shape[1]):
        own = columns[first_copy + copy, dimension]
        corner = shifts[first_copy + copy, dimension]
        for digit in range(digits - 2):
            if (place >> digit) & 1:
                corner ^= own[digit]
        for beside in range(BESIDE):
            bits = corner ^ (own[digits - 2] if beside & 1 else 0) ^ (own[digits - 1] if beside & 2 else 0)
            z = number(offset(np.uint64(bits)))
            _put(z, dimension, copy * size + beside * quarter + place, dimensions, plan, shares, numbers)
