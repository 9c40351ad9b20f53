"""A warp's tridiagonal solver against numpy.linalg, on a GPU or in numba's simulator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from device_parity import PLACE, needs_numba_cuda
from simulator import quick_simulator  # noqa: F401

pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
from numba import cuda, float64

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.warp_line import REDUCED, WARP, WIRE, Factors, clear, factor, meet, solve_line, solve_transposed

pytestmark = [needs_numba_cuda, pytest.mark.usefixtures("quick_simulator")]


def solver(rows: int, transposed: bool):  # type: ignore[no-untyped-def]
    """The kernel (lo, d, up, right side, solution), each [N, 32 rows]: a warp a system."""
    inside = (5, max(rows - 1, 1))

    @kernel(block=WARP, lanes=WARP)
    def solve(lower, diagonal, upper, right, solution):  # type: ignore[no-untyped-def]
        lane, system = cuda.threadIdx.x, cuda.blockIdx.x
        wire = cuda.shared.array(WIRE, float64)
        factors = Factors(cuda.local.array(inside, float64), cuda.local.array(REDUCED, float64))
        lo = cuda.local.array(rows, float64)
        d = cuda.local.array(rows, float64)
        up = cuda.local.array(rows, float64)
        x = cuda.local.array(rows, float64)
        clear(wire, lane)
        for row in range(rows):
            at = lane * rows + row
            lo[row], d[row], up[row], x[row] = lower[system, at], diagonal[system, at], upper[system, at], right[system, at]
        factor(lo, d, up, factors, wire, lane)
        if transposed:
            before, after = solve_transposed(factors, x, wire, lane, 1.0 + lane, 101.0 + lane)
            if (before, after) != (100.0 + lane if lane > 0 else 0.0, 2.0 + lane if lane < WARP - 1 else 0.0):
                x[0] = math.nan
        else:
            solve_line(factors, x, wire, lane)
        for row in range(rows):
            solution[system, lane * rows + row] = x[row]
        meet()

    return solve


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_it_solves(rows: int, transposed: bool) -> None:
    """Systems of implicit steps with ratios k / h^2 up to 50, the first full, the second padded beyond 5 unknowns."""
    draw, size = np.random.default_rng(rows), 32 * rows
    lo, up, right = draw.uniform(0.0, 50.0, (2, size)), draw.uniform(0.0, 50.0, (2, size)), draw.normal(size=(2, size))
    lo[:, 0], up[:, -1], lo[1, 5:], up[1, 4:], right[1, 5:] = 0.0, 0.0, 0.0, 0.0, 0.0
    d = 1.0 + lo + up
    found = torch.full((2, size), torch.nan, dtype=torch.float64).to(PLACE)
    solver(rows, transposed)(2, *(torch.from_numpy(part).to(PLACE) for part in (lo, d, up, right)), found)
    for system in range(2):
        matrix = np.diag(d[system]) - np.diag(lo[system, 1:], -1) - np.diag(up[system, :-1], 1)
        expected = np.linalg.solve(matrix.T if transposed else matrix, right[system])
        assert found[system].cpu().numpy() == pytest.approx(expected, rel=1e-12, abs=1e-14)
