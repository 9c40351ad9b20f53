"""Where a sum of exponentials of one variable passes 1: the exercise threshold of an option on an average of lognormal numbers."""

from __future__ import annotations

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.block import BLOCK
from pybackdoor.oracles.scalar.vmath import exp, log


@inlined
def nearer(x, total, slope):  # type: ignore[no-untyped-def]
    """Newton's step from x, where the sum is `total` and its derivative `slope`."""
    return x - log(total) * total / slope


@scalar
def threshold(w, level, root, work, slope, steps):  # type: ignore[no-untyped-def]
    """Puts into row `root` of w the x with sum_k exp(level_k + slope_k x) = 1, from rows level, level + BLOCK ..; two rows from `work` are scratch.

    slope [K] > 0. Newton's method on the logarithm of the sum, which rises and is convex: from where one term alone is 1 it falls on the root
    without passing it; `steps` halve the digits' distance each. A price changes by the square of what is left.
    """
    for k in range(slope.shape[0]):
        row, inverse = level + k * BLOCK, -1.0 / slope[k]
        for i in range(BLOCK):
            alone = w[row + i] * inverse
            w[root + i] = alone if k == 0 else min(w[root + i], alone)
    for _ in range(steps):
        for i in range(BLOCK):
            w[work + i] = 0.0
            w[work + BLOCK + i] = 0.0
        for k in range(slope.shape[0]):
            row, c = level + k * BLOCK, slope[k]
            for i in range(BLOCK):
                part = exp(w[row + i] + c * w[root + i])
                w[work + i] += part
                w[work + BLOCK + i] += c * part
        for i in range(BLOCK):
            w[root + i] = nearer(w[root + i], w[work + i], w[work + BLOCK + i])
