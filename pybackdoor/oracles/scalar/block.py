"""Points in and out of a block: BLOCK problems side by side in one array [rows * BLOCK], feature after feature.

One array with rows a constant apart is what LLVM needs to see that a loop over the block is free of overlaps, and a constant trip count leaves no
scalar rest: every problem takes the same instructions wherever it lies in a batch, so that results are the same to the last bit for any chunking.
"""

from __future__ import annotations

import numpy as np

from pybackdoor.oracles.compiled import scalar

BLOCK = 64

OK, NOT_FINITE, NOT_CONVERGED = 0, 1, 4  # codes of EvaluationStatus


@scalar
def cache_lines(count):  # type: ignore[no-untyped-def]
    """An uninitialized array of `count` numbers that begins on a cache line, so that no vector lies across two."""
    memory = np.empty(count + 8)
    first = (8 - (memory.ctypes.data // 8) % 8) % 8
    return memory[first : first + count]


@scalar
def load_block(points, first, work):  # type: ignore[no-untyped-def]
    """Puts points[first:first + BLOCK] into the first rows of `work`; past the end, the last point again."""
    last = points.shape[0] - 1
    for feature in range(points.shape[1]):
        for i in range(BLOCK):
            work[feature * BLOCK + i] = points[min(first + i, last), feature]


@scalar
def store_block(work, row, first, values, gradients, status):  # type: ignore[no-untyped-def]
    """Row `row` of `work` into values[first:first + BLOCK], the rows after it into the columns of gradients unless that is empty.

    The status is OK, or NOT_FINITE where one of these is not a finite number.
    """
    columns = gradients.shape[1] if gradients.shape[0] > 0 else 0
    for i in range(min(BLOCK, values.shape[0] - first)):
        values[first + i] = work[row * BLOCK + i]
        nothing = work[row * BLOCK + i] * 0.0
        for column in range(columns):
            part = work[(row + 1 + column) * BLOCK + i]
            gradients[first + i, column] = part
            nothing += part * 0.0
        status[first + i] = OK if nothing == 0.0 else NOT_FINITE


@scalar
def store_row(answer, row, values, gradients, status):  # type: ignore[no-untyped-def]
    """(value, *slopes) into values[row] and, unless it is empty, gradients[row]; the status as `store_block` sets it."""
    values[row] = answer[0]
    nothing = answer[0] * 0.0
    for column in range(gradients.shape[1] if gradients.shape[0] > 0 else 0):
        gradients[row, column] = answer[1 + column]
        nothing += answer[1 + column] * 0.0
    status[row] = OK if nothing == 0.0 else NOT_FINITE
