"""A block of paths of several assets apart from their common factor: lines log(S_i / K) = level + slope_i xi, and what is summed over the paths."""

from __future__ import annotations

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.asset_lines import weight
from pybackdoor.oracles.scalar.block import BLOCK

MOST = 5  # assets
LEVEL, FACTOR, LOW, HIGH, PAID, MOVED, BENT = range(0, 7 * MOST * BLOCK, MOST * BLOCK)  # rows of a block, MOST each
START, CHANCE, WEIGHT, RADIUS, GAIN, WIDENED = range(7 * MOST * BLOCK, (7 * MOST + 6) * BLOCK, BLOCK)
ROWS = 7 * MOST + 6


@scalar
def levels(w, normals, plane, first, frame):  # type: ignore[no-untyped-def]
    """The rows FACTOR (Y_i), LEVEL (log(S_i / K) at xi = 0), WEIGHT and RADIUS (the draws squared) for paths first .. first + BLOCK - 1."""
    d = plane.shape[1]
    wide = frame[3 * d]
    for i in range(BLOCK):
        w[RADIUS + i] = 0.0
        w[GAIN + i] = 0.0
    for k in range(plane.shape[0]):
        block = normals[k, first : first + BLOCK]
        for i in range(BLOCK):
            w[RADIUS + i] += block[i] * block[i]
    scale = wide ** plane.shape[0]
    for i in range(BLOCK):
        w[WEIGHT + i] = weight(w[RADIUS + i], wide, scale)
    for asset in range(d):
        y, level, centre, spread = FACTOR + asset * BLOCK, LEVEL + asset * BLOCK, frame[asset], frame[d + asset]
        for i in range(BLOCK):
            w[y + i] = 0.0
        for k in range(max(asset - 1, 0), plane.shape[0]):
            block, share = normals[k, first : first + BLOCK], wide * plane[k, asset]
            for i in range(BLOCK):
                w[y + i] += share * block[i]
        for i in range(BLOCK):
            w[level + i] = centre + spread * w[y + i]


@scalar
def take(w, d, sums):  # type: ignore[no-untyped-def]
    """The sums [3 d + 2] over the paths, as `asset_lines.finish` wants them, from the rows."""
    for i in range(d):
        sums[i] = w[PAID + i * BLOCK : PAID + (i + 1) * BLOCK].sum()
        sums[d + 1 + i] = w[MOVED + i * BLOCK : MOVED + (i + 1) * BLOCK].sum()
        sums[2 * d + 1 + i] = w[BENT + i * BLOCK : BENT + (i + 1) * BLOCK].sum()
    sums[d], sums[3 * d + 1] = w[CHANCE : CHANCE + BLOCK].sum(), w[WIDENED : WIDENED + BLOCK].sum()
