"""The down-and-out put by finite differences, with the derivatives of the discrete price: one of the single barriers of single_barriers_pde.py."""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.oracles.down_and_out_put import SPOT, PutOracle, evaluate_with
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.gridded import Gridded
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.single_barriers_pde import LEVELS, SingleBarrierPDE
from pybackdoor.records.evaluation import Evaluation

_ACCURACY = {
    "fast": "median 8e-5, largest 1e-2; in the corners 2e-1",
    "standard": "median 7e-6, largest 1e-3; in the corners 4e-3",
    "high": "median 2e-7, largest 5e-5; in the corners 3e-4",
}


class DownAndOutPutPDE(Gridded, PutOracle):
    """Price of the put by finite differences, with all five derivatives, those of the discrete price.

    As `SingleBarrierPDE("down_out_put")` at one spot, without rebate and dividend; see there for method, `level`, `space`, `time` and
    `extrapolate`. Points that are no option (strike at or below the barrier, barrier at or above the spot, maturity 0) are taken from the closed
    form. Errors at spot 100: see `accuracy`, and docs/oracles.md. Raises InputError on an unknown level, and on a grid of fewer than 16 cells or 8
    steps, or whose cells are not a multiple of 4 or steps of 2.

    >>> DownAndOutPutPDE().values([[100.0, 50.0, 0.2, 1.0, 0.05]])
    tensor([5.5588], dtype=torch.float64)
    """

    name = "down_and_out_put_pde"
    levels = LEVELS
    accuracies = _ACCURACY
    family = ONE_DIMENSION
    method = SingleBarrierPDE.method
    gradient_cost = SingleBarrierPDE.gradient_cost

    def __init__(
        self, level: str = "standard", *, space: int | None = None, time: int | None = None, extrapolate: bool = True, spot: float = SPOT
    ) -> None:
        PutOracle.__init__(self, spot=spot)
        self._barrier = SingleBarrierPDE("down_out_put")
        Gridded.__init__(self, level, space=space, time=time, extrapolate=extrapolate)

    def _use(self, grid: Grid) -> None:
        super()._use(grid)
        self._barrier = self._barrier._on(grid)

    @property
    def space(self) -> int:
        """Cells of the grid."""
        return self.grid.space

    @property
    def time(self) -> int:
        """Time steps of the grid."""
        return self.grid.time

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        return evaluate_with(self, x, gradient, self._solve)

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        whole = np.zeros((len(points), 8))
        whole[:, 0] = self.spot
        whole[:, [1, 2, 4, 5, 6]] = points
        values, gradients, _ = self._barrier._solve(whole, gradient)
        return values.numpy(), gradients.numpy()[:, [1, 2, 4, 5, 6]], np.zeros(len(points))
