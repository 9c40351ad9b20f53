"""The down-and-out put by finite differences, with the derivatives of the discrete price: one of the single barriers of single_barriers_pde.py."""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.oracles.down_and_out_put import SPOT, DownAndOutPut, PutOracle, evaluate_with
from pybackdoor.oracles.families import ONE_DIMENSION
from pybackdoor.oracles.gridded import Gridded
from pybackdoor.oracles.grids import Grid
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.single_barriers_pde import LEVELS, SingleBarrierPDE
from pybackdoor.records.evaluation import Evaluation

_OF_WHOLE = [1, 2, 4, 5, 6]  # the features of the put among those of a single barrier

_ACCURACY = {
    "fast": "median 8e-5, largest 1e-2; in the corners 2e-1",
    "standard": "median 7e-6, largest 1e-3; in the corners 4e-3",
    "high": "median 2e-7, largest 5e-5; in the corners 3e-4",
}


class DownAndOutPutPDE(OnDevice, Gridded, PutOracle):
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
        self._barrier, self._closed = SingleBarrierPDE("down_out_put"), DownAndOutPut(spot=spot)
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

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        strike, barrier, volatility, maturity, rate = x.unbind(dim=1)
        nothing = torch.zeros_like(strike)
        whole = torch.stack([nothing + self.spot, strike, barrier, nothing, volatility, maturity, rate, nothing], dim=1)
        live = (strike > barrier) & (barrier > 0.0) & (barrier < self.spot) & (volatility > 0.0) & (maturity > 0.0)
        solved, closed = self._barrier._solve_on_device(whole, gradient), self._closed._solve_on_device(x, gradient)
        values, status = (torch.where(live, solved[part], closed[part]) for part in (0, 2))
        if not gradient:
            return values, x.new_zeros(0, 5), status
        slopes = torch.stack([solved[1][:, column] for column in _OF_WHOLE], dim=1)
        return values, torch.where(live[:, None], slopes, closed[1]), status

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        whole = np.zeros((len(points), 8))
        whole[:, 0] = self.spot
        whole[:, _OF_WHOLE] = points
        values, gradients, _ = self._barrier._solve(whole, gradient)
        return values.numpy(), gradients.numpy()[:, _OF_WHOLE], np.zeros(len(points))
