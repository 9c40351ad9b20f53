"""Many problems -div(a grad p) = f on the unit square side by side, p = 0 around it, by multigrid.

n = 2^m cells a side and p at their corners: the flow across the face between two neighbouring nodes is a there times their difference, so that the
equations are sum over four neighbours of a (p - p') = b, b = f h^2 the source in a node's cell. Second order for smooth a. Cycles of red-black
Gauss-Seidel sweeps on grids of n, n/2 ... 2 cells, the coarse a given by the caller like the fine one, bilinear interpolation and its transpose (A.
Brandt, Mathematics of Computation 31 (1977), 333-390). The matrix is symmetric: an adjoint is one more solution, from another b.

Grids lie one after another, finest first, each [n + 1, n + 1] rows of QUAD (see quads.py), boundary included. The number of cycles is fixed, so that
no problem's bits depend on its neighbours. Cost: about 60 multiply-adds a node of the finest grid and cycle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.quads import broadcast, fma, load, quads, store


class Grids(NamedTuple):
    """QUAD problems: p, b and r (what is left of b) [nodes of all grids, QUAD], a on the faces behind each node along x and along y, 1 / sum of a.

    The caller fills across, along (see `grids`' `starts`) and b of the finest grid; p is found there. Boundaries of p, b and r stay 0.
    """

    p: np.ndarray
    b: np.ndarray
    r: np.ndarray
    across: np.ndarray
    along: np.ndarray
    inverse: np.ndarray


def starts(cells: int) -> list[tuple[int, int]]:
    """(cells a side, first row) of every grid.

    >>> starts(4)
    [(4, 0), (2, 25)]
    """
    grids, row = [], 0
    while cells >= 2:
        grids.append((cells, row))
        row += (cells + 1) ** 2
        cells //= 2
    return grids


def memory(cells: int) -> Grids:
    """For one block of problems on `cells` = 2^m cells a side."""
    last, row = starts(cells)[-1]
    count = row + (last + 1) ** 2
    return Grids(quads(count), quads(count), quads(count), quads(count), quads(count), quads(count))


@part
def _sweep(grids, first, n):  # type: ignore[no-untyped-def]
    """Gauss-Seidel on the nodes of one colour, then of the other."""
    p, across, along = grids.p, grids.across, grids.along
    side = n + 1
    for colour in range(2):
        for i in range(1, n):
            row = first + i * side
            for j in range(1 + (i + colour) % 2, n, 2):
                at = row + j
                total = fma(load(across, at - side), load(p, at - side), load(grids.b, at))
                total = fma(load(across, at), load(p, at + side), total)
                total = fma(load(along, at - 1), load(p, at - 1), total)
                store(p, at, load(grids.inverse, at) * fma(load(along, at), load(p, at + 1), total))


@part
def _residual(grids, first, n):  # type: ignore[no-untyped-def]
    """What is left: r = b - A p."""
    p, across, along = grids.p, grids.across, grids.along
    side = n + 1
    for i in range(1, n):
        for at in range(first + i * side + 1, first + i * side + n):
            here = load(p, at)
            total = fma(load(across, at - side), load(p, at - side) - here, load(grids.b, at))
            total = fma(load(across, at), load(p, at + side) - here, total)
            total = fma(load(along, at - 1), load(p, at - 1) - here, total)
            store(grids.r, at, fma(load(along, at), load(p, at + 1) - here, total))


@part
def _to_coarse(grids, first, n, coarse):  # type: ignore[no-untyped-def]
    """Carries r to b of the grid of n / 2 cells that begins at row `coarse`; p = 0 there."""
    side, coarse_side, r = n + 1, n // 2 + 1, grids.r
    for i in range(1, n // 2):
        for j in range(1, n // 2):
            at = first + 2 * i * side + 2 * j
            edges = (load(r, at - side) + load(r, at + side)) + (load(r, at - 1) + load(r, at + 1))
            corners = (load(r, at - side - 1) + load(r, at - side + 1)) + (load(r, at + side - 1) + load(r, at + side + 1))
            store(grids.b, coarse + i * coarse_side + j, fma(0.25, corners, fma(0.5, edges, load(r, at))))
            store(grids.p, coarse + i * coarse_side + j, broadcast(0.0))


@part
def _to_fine(grids, first, n, coarse):  # type: ignore[no-untyped-def]
    """Adds what the coarse grid found to p, interpolated."""
    side, coarse_side, p = n + 1, n // 2 + 1, grids.p
    for i in range(n // 2):
        for j in range(n // 2):
            at, c = first + 2 * i * side + 2 * j, coarse + i * coarse_side + j
            here, right, above, beyond = load(p, c), load(p, c + 1), load(p, c + coarse_side), load(p, c + coarse_side + 1)
            store(p, at, load(p, at) + here)  # 0 on the boundary
            if i > 0:
                store(p, at + 1, fma(0.5, here + right, load(p, at + 1)))
            if j > 0:
                store(p, at + side, fma(0.5, here + above, load(p, at + side)))
            store(p, at + side + 1, fma(0.25, (here + right) + (above + beyond), load(p, at + side + 1)))


@part
def _invert(grids, first, n):  # type: ignore[no-untyped-def]
    across, along = grids.across, grids.along
    side = n + 1
    for i in range(1, n):
        for at in range(first + i * side + 1, first + i * side + n):
            store(grids.inverse, at, 1.0 / ((load(across, at - side) + load(across, at)) + (load(along, at - 1) + load(along, at))))


@kernel
def solve(grids, cells, cycles):  # type: ignore[no-untyped-def]
    """Finds p on the finest grid, from 0 by so many cycles; r = b - A p there."""
    first, n = 0, cells
    while n >= 2:
        _invert(grids, first, n)
        first += (n + 1) * (n + 1)
        n //= 2
    for at in range((cells + 1) * (cells + 1)):
        store(grids.p, at, broadcast(0.0))
    for _ in range(cycles):
        first, n = 0, cells
        while n > 2:
            for _ in range(2):
                _sweep(grids, first, n)
            _residual(grids, first, n)
            _to_coarse(grids, first, n, first + (n + 1) * (n + 1))
            first += (n + 1) * (n + 1)
            n //= 2
        store(grids.p, first + 4, load(grids.inverse, first + 4) * load(grids.b, first + 4))
        while n < cells:
            coarse, n = first, 2 * n
            first -= (n + 1) * (n + 1)
            _to_fine(grids, first, n, coarse)
            _sweep(grids, first, n)
    _residual(grids, 0, cells)
