"""Flow through a porous square: -div(K grad p) = 1 on the unit square, p = 0 around it, log K a cosine series of nine coefficients.

    log K(x, y) = sum over i, j = 0, 1, 2 of c_ij cos(i pi x) cos(j pi y)

Known value: with K = 1 the mean pressure is a quarter of the torsion constant of the unit square, .1405770150 / 4 = .03514425374 (the series of S. P.
Timoshenko and J. N. Goodier, Theory of Elasticity, third edition (1970), section 109).
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.oracles.batched import BatchedOracle
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.families import BEYOND
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.multigrid import Grids, memory, solve, starts
from pybackdoor.oracles.quads import QUAD
from pybackdoor.records.evaluation import EvaluationStatus

ORDER = 3  # cosines along each axis
LARGEST = (1.0, 1.0, 0.5, 1.0, 0.7, 0.4, 0.5, 0.4, 0.3)
DOMAIN = Domain(tuple(f"log_k_{i}{j}" for i in range(ORDER) for j in range(ORDER)), tuple(-bound for bound in LARGEST), LARGEST, target="pressure")
LEVELS = {"fast": 16, "standard": 32, "high": 128}  # cells a side of the finer grid
OUTPUTS = ("mean", "centre")

_ACCURACY = {  # of the value, over itself
    "mean": {"fast": "half: 5e-4, largest: 3e-3", "standard": "half: 4e-5, largest: 3e-4", "high": "half: 2e-7, largest: 2e-6"},
    "centre": {"fast": "half: 6e-5, largest: 2e-4", "standard": "half: 4e-6, largest: 1e-5", "high": "half: 2e-8, largest: 5e-8"},
}
_CYCLES = 18
_LEFT = 1e-8  # of the right side: more is no solution


class DarcyFlow(Levelled, BatchedOracle):
    """The mean pressure, or the pressure in the centre, with its derivatives in all nine coefficients.

    Five-point differences with K at the middle of every face, solved by multigrid (multigrid.py) on n and n / 2 cells a side, the two combined to
    cancel the leading error. With the adjoint q, A q = w for an output w p, the derivative in any parameter of K is minus the sum over the faces
    of K' (p - p')(q - q'): one more solution for all coefficients, and none for the mean, whose adjoint is p itself.

    level: "fast", "standard" or "high", 16, 32 or 128 cells a side. Errors over the value against 256 cells, at random points and corners of the
    domain: of the mean, half below 5e-4, 4e-5 and 2e-7, largest 3e-3, 3e-4 and 2e-6; of the centre 6e-5, 4e-6 and 2e-8, largest 2e-4, 1e-5 and 5e-8;
    gradients in the unit cube twice that. Where the cycles leave more than 1e-8 of the right side (K varies by many orders of magnitude, outside
    the domain) the status is NOT_CONVERGED. Raises InputError on an unknown level or output.

    >>> DarcyFlow("high").values([[0.0] * 9])
    tensor([0.0351], dtype=torch.float64)
    """

    name = "darcy_flow"
    domain = DOMAIN
    family = BEYOND
    method = "five-point differences by multigrid, two grids; adjoint gradient"
    gradient_cost = 0.5  # as measured: 128 points, one core; of the centre 0.7 at this level
    chunk = 64

    def __init__(self, level: str = "standard", *, output: str = "mean") -> None:
        if output not in OUTPUTS:
            raise InputError(f"oracle {self.name}: output is {output!r}; one of {', '.join(OUTPUTS)} is needed")
        self.output, self.accuracies = output, _ACCURACY[output]
        super().__init__(level)

    def _use(self, level: str) -> None:
        super()._use(level)
        self.cells = LEVELS[level]

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count = len(points)
        padded = points[np.minimum(np.arange(-(-count // QUAD) * QUAD), count - 1)].T  # the last point again, to fill its block
        cells = self.cells
        results, status = np.empty((10 if gradient else 1, padded.shape[1])), np.empty(padded.shape[1], dtype=np.int64)

        def work(start: int, stop: int) -> None:
            grids = memory(cells), memory(cells // 2)
            for block in (slice(at, at + QUAD) for at in range(start, stop, QUAD)):
                own = padded[:, block]
                fine, fine_left = _grid(own, cells, grids[0], self.output, gradient)
                coarse, coarse_left = _grid(own, cells // 2, grids[1], self.output, gradient)
                results[:, block] = fine + (fine - coarse) / 3.0
                solved = np.maximum(fine_left, coarse_left) < _LEFT
                finite = np.isfinite(results[:, block]).all(axis=0)
                status[block] = np.where(finite, np.where(solved, EvaluationStatus.OK, EvaluationStatus.NOT_CONVERGED), EvaluationStatus.NOT_FINITE)

        in_chunks(work, padded.shape[1], self.chunk)
        values, gradients = results[0, :count].copy(), results[1:, :count].T.copy()
        return torch.from_numpy(values), torch.from_numpy(gradients), torch.from_numpy(status[:count].copy())


def _grid(coefficients: np.ndarray, cells: int, grids: Grids, output: str, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Value, and where wanted gradient, [1 or 10, QUAD] of a block [9, QUAD] on one grid; what the solver left of the right side [QUAD]."""
    for n, first in starts(cells):
        size = (n + 1) * (n + 1)
        whole, half = np.arange(n + 1) / n, (np.arange(n + 1) + 0.5) / n
        grids.across[first : first + size] = _permeability(coefficients, half, whole).reshape(size, QUAD)
        grids.along[first : first + size] = _permeability(coefficients, whole, half).reshape(size, QUAD)
    side = cells + 1
    p, b, r = (array[: side * side].reshape(side, side, QUAD) for array in (grids.p, grids.b, grids.r))
    b[1:-1, 1:-1] = 1.0 / cells**2
    solve(grids, cells, _CYCLES)
    left, pressure = _largest(r) * cells**2, p.copy()
    value = np.add.reduce(np.add.reduce(pressure, axis=1), axis=0) / cells**2 if output == "mean" else pressure[cells // 2, cells // 2]
    if not gradient:
        return value[None].copy(), left
    adjoint = pressure  # of the mean: its derivative in p is the right side itself
    if output == "centre":
        b[1:-1, 1:-1] = 0.0
        b[cells // 2, cells // 2] = 1.0
        solve(grids, cells, _CYCLES)
        left, adjoint = np.maximum(left, _largest(r)), p.copy()
    whole, half = np.arange(side) / cells, (np.arange(cells) + 0.5) / cells
    across, along = (array[: side * side].reshape(side, side, QUAD) for array in (grids.across, grids.along))
    slopes = _contract(across[:-1] * np.diff(pressure, axis=0) * np.diff(adjoint, axis=0), half, whole)
    slopes += _contract(along[:, :-1] * np.diff(pressure, axis=1) * np.diff(adjoint, axis=1), whole, half)
    return np.concatenate([value[None], -slopes]), left


def _largest(r: np.ndarray) -> np.ndarray:
    return np.abs(r).max(axis=(0, 1))


def _cosines(places: np.ndarray) -> np.ndarray:
    """[ORDER, places]."""
    return np.cos(np.pi * np.arange(ORDER)[:, None] * places)


def _permeability(coefficients: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """K at the products of x and y: [len(x), len(y), QUAD]. Sums one after another, the same in every lane."""
    in_x, in_y = _cosines(x), _cosines(y)
    total = np.zeros((len(x), len(y), QUAD))
    for i in range(ORDER):
        inner = np.zeros((len(y), QUAD))
        for j in range(ORDER):
            inner += in_y[j, :, None] * coefficients[ORDER * i + j]
        total += in_x[i, :, None, None] * inner
    return np.exp(total)


def _contract(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sums of values [len(x), len(y), QUAD] times every product of cosines: [9, QUAD]."""
    in_x, in_y = _cosines(x), _cosines(y)
    along = [np.add.reduce(values * in_y[j, :, None], axis=1) for j in range(ORDER)]  # [len(x), QUAD] each
    return np.stack([np.add.reduce(along[j] * in_x[i, :, None], axis=0) for i in range(ORDER) for j in range(ORDER)])
