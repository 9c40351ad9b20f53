"""The batched solver of -div(a grad p) = f: manufactured solutions, SciPy's direct solver on the same equations, symmetry, lanes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from pybackdoor.oracles.multigrid import Grids, memory, solve, starts
from pybackdoor.oracles.quads import QUAD

STRETCH = np.linspace(0.0, 1.5, QUAD)  # another permeability in every lane


def permeability(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.exp(STRETCH * (np.sin(2 * x + y)[..., None] + (x * y)[..., None]))


def right_side(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-div(a grad p) for p = sin(pi x) sin(2 pi y) and a = permeability, worked out by hand."""
    a = permeability(x, y)
    by_x = STRETCH * (2 * np.cos(2 * x + y) + y)[..., None]
    by_y = STRETCH * (np.cos(2 * x + y) + x)[..., None]
    p = (np.sin(np.pi * x) * np.sin(2 * np.pi * y))[..., None]
    p_x = (np.pi * np.cos(np.pi * x) * np.sin(2 * np.pi * y))[..., None]
    p_y = (2 * np.pi * np.sin(np.pi * x) * np.cos(2 * np.pi * y))[..., None]
    return a * (5 * np.pi**2 * p - by_x * p_x - by_y * p_y)


def filled(cells: int) -> Grids:
    grids = memory(cells)
    for n, first in starts(cells):
        nodes, size = np.arange(n + 1) / n, (n + 1) ** 2
        middles = nodes + 0.5 / n
        grids.across[first : first + size] = permeability(*np.meshgrid(middles, nodes, indexing="ij")).reshape(size, QUAD)
        grids.along[first : first + size] = permeability(*np.meshgrid(nodes, middles, indexing="ij")).reshape(size, QUAD)
    return grids


def square(array: np.ndarray, cells: int) -> np.ndarray:
    return array[: (cells + 1) ** 2].reshape(cells + 1, cells + 1, QUAD)


def manufactured(cells: int) -> float:
    grids = filled(cells)
    x, y = np.meshgrid(np.arange(cells + 1) / cells, np.arange(cells + 1) / cells, indexing="ij")
    square(grids.b, cells)[1:-1, 1:-1] = right_side(x, y)[1:-1, 1:-1] / cells**2
    solve(grids, cells, 18)
    return float(np.abs(square(grids.p, cells) - (np.sin(np.pi * x) * np.sin(2 * np.pi * y))[..., None]).max())


def test_second_order_on_a_manufactured_solution() -> None:
    errors = [manufactured(cells) for cells in (8, 16, 32, 64)]
    assert errors[0] > 1e-2
    assert np.log2(errors[1] / errors[3]) / 2 == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("cells", [2, 4, 16, 32])
def test_same_as_a_direct_sparse_solver(cells: int) -> None:
    grids = filled(cells)
    b = square(grids.b, cells)
    b[1:-1, 1:-1] = np.random.default_rng(1).normal(size=b[1:-1, 1:-1].shape)
    solve(grids, cells, 24)
    across, along = square(grids.across, cells), square(grids.along, cells)
    number = np.arange((cells - 1) ** 2).reshape(cells - 1, cells - 1)
    for lane in range(QUAD):
        a = across[..., lane], along[..., lane]
        diagonal = a[0][:-2, 1:-1] + a[0][1:-1, 1:-1] + a[1][1:-1, :-2] + a[1][1:-1, 1:-1]
        pairs = [(number, number, diagonal)]
        for here, there, between in ((number[:-1], number[1:], a[0][1:-2, 1:-1]), (number[:, :-1], number[:, 1:], a[1][1:-1, 1:-2])):
            pairs += [(here, there, -between), (there, here, -between)]
        row, column, entry = (np.concatenate([pair[part].ravel() for pair in pairs]) for part in range(3))
        exact = spsolve(coo_array((entry, (row, column))).tocsc(), b[1:-1, 1:-1, lane].ravel())
        assert np.abs(square(grids.p, cells)[1:-1, 1:-1, lane].ravel() - exact).max() < 1e-10 * np.abs(exact).max()
    assert np.abs(square(grids.r, cells)).max() < 1e-10


def test_every_cycle_takes_most_of_what_is_left() -> None:
    left = []
    for cycles in (2, 6):
        grids = filled(64)
        square(grids.b, 64)[1:-1, 1:-1] = 1.0
        solve(grids, 64, cycles)
        left.append(np.abs(square(grids.r, 64)).max())
    assert (left[1] / left[0]) ** 0.25 < 0.2


def test_lanes_do_not_see_each_other() -> None:
    alone, beside = filled(16), filled(16)
    for grids in (alone, beside):
        square(grids.b, 16)[1:-1, 1:-1] = 1.0
    beside.across[:, ::2] = np.nan
    for grids in (alone, beside):
        solve(grids, 16, 8)
    assert np.array_equal(square(alone.p, 16)[..., 1::2], square(beside.p, 16)[..., 1::2])
    assert np.isfinite(square(beside.p, 16)[..., 1::2]).all()
