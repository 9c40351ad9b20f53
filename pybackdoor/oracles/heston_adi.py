"""European put and call in the stochastic volatility model of Heston, by finite differences in price and variance.

The model is that of heston.py: dS = (r - q) S dt + sqrt(v) S dW, dv = reversion (mean - v) dt + vol sqrt(v) dZ, dW dZ = correlation dt.

Known prices: K. J. in 't Hout and S. Foulon, "ADI finite difference schemes for option pricing in the Heston model with correlation", International
Journal of Numerical Analysis and Modeling 7 (2010), 303-320, whose first case is reversion 1.5, mean .04, vol .3, correlation -.9, rate .025,
one year; F. Fang and C. W. Oosterlee's as in heston.py.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.oracles.adi_plan import graded
from pybackdoor.oracles.array_library import Array, library
from pybackdoor.oracles.batched import BatchedOracle, correlation, nonnegative, positive
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.families import TWO_DIMENSIONS
from pybackdoor.oracles.heston import DOMAIN
from pybackdoor.oracles.heston_grid import Memory, solve_grid
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.quads import QUAD
from pybackdoor.records.evaluation import EvaluationStatus

LEVELS = {"fast": (53, 27, 16), "standard": (101, 51, 32), "high": (201, 101, 64)}  # nodes of price and variance, steps in each of three groups

_GROUPS, _DAMPED = 3, 2
_SHORTEST = 1e-8  # years; a shorter maturity is the payoff
_ACCURACY = {
    "fast": "half: 3e-4, 90 %: 2e-3, largest inside: 2e-2, in corners: 0.2; gradient 6e-3, 5e-2",
    "standard": "half: 3e-5, 90 %: 3e-4, largest inside: 5e-3, in corners: 7e-2; gradient 5e-4, 6e-3",
    "high": "half: 3e-6, 90 %: 5e-5, largest inside: 1e-3, in corners: 5e-2; gradient 5e-5, 8e-4",
}


class HestonADI(OnDevice, Levelled, BatchedOracle):
    """Price in currency units with all ten derivatives, the exact ones of the discrete price: its adjoint, the moving mesh included.

    Craig-Sneyd steps, three groups of them each twice as long as the last, behind four damping ones (adi.py); the time value on a mesh about strike
    and variance 0 that follows the parameters (heston_mesh.py), read by a quintic in price and variance; twice, the second time on half as many cells
    and steps, and the two combined to cancel the leading error. Scaling in money and time and put-call parity hold to rounding.

    level: "fast" 53 x 27 nodes and 50 steps, "standard" 101 x 51 and 98, "high" 201 x 101 and 194. Errors against the semi-closed price, spots and
    strikes of 50 to 200, over the domain (median, 90 %, largest of 400 points): 3e-4, 2e-3, 0.02 (fast); 3e-5, 3e-4, 5e-3 (standard); 2e-6, 3e-5,
    7e-4 (high, 96 points); gradients in the unit cube 5e-3, 4e-2, 1.7; 4e-4, 5e-3, 0.5; 4e-5, 6e-4, 0.2. In the domain's corners the medians are a
    third of that in value and four times that in gradient; the largest errors, 0.17, 0.06 and 0.05, and of gradients 170, 90, 24, are where vol is 2,
    reversion .1 and correlation -.95 over five years: there the price changes by 1200 along the unit cube. `estimate_error` tells.

    Feller's condition need not hold. Maturities below 1e-8 years are the payoff. Each thread keeps all steps for a gradient: 5, 33 or 250 MB, which
    stay with the oracle for its next call. Raises InputError on an unknown level.
    """

    domain = DOMAIN
    accuracies = _ACCURACY
    family = TWO_DIMENSIONS
    method = "finite differences in price and variance (alternating directions), two grids; adjoint gradient"
    gradient_cost = 2.5  # as measured: 128 points, one core, standard
    chunk = 64
    conditions = positive("spot", "strike", "reversion", "vol") + nonnegative("variance", "mean", "maturity") + correlation("correlation")
    sign: float

    def _use(self, level: str) -> None:
        super()._use(level)
        self.use_grid(*LEVELS[level])

    def use_grid(self, nx: int, ny: int, steps: int) -> None:
        """A grid by hand: nodes of price and variance (odd), time steps in each of the three groups (even); the second grid has half of all."""
        self.grid = nx, ny, steps
        self.fine = Memory(nx, ny, graded(steps, _GROUPS, damped=_DAMPED))
        self.coarse = Memory((nx + 1) // 2, (ny + 1) // 2, graded(steps // 2, _GROUPS, damped=_DAMPED))

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count = len(points)
        padded = points.T[:, np.minimum(np.arange(-(-count // QUAD) * QUAD), count - 1)]  # the last point again, to fill its block
        columns, results = scaled(padded), np.empty((7 if gradient else 1, padded.shape[1]))

        def work(start: int, stop: int) -> None:
            own = np.ascontiguousarray(columns[:, start:stop])
            fine = solve_grid(own, self.fine, gradient)
            results[:, start:stop] = fine + (fine - solve_grid(own, self.coarse, gradient)) / 3.0

        in_chunks(work, padded.shape[1], self.chunk)
        prices = _prices(padded, columns[0], results, self.sign)[:, :count]
        status = np.where(np.isfinite(prices).all(axis=0), EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).astype(np.int64)
        return torch.from_numpy(prices[0].copy()), torch.from_numpy(prices[1:].T.copy()), torch.from_numpy(status)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda.heston_adi import solve_grid

        points = x.T
        columns = scaled(points)
        fine, coarse = (solve_grid(columns, each.nx, each.ny, each.plan_on(x.device), gradient) for each in (self.fine, self.coarse))
        prices = _prices(points, columns[0], fine + (fine - coarse) / 3.0, self.sign)
        good = prices.isfinite().all(dim=0)
        prices = torch.where(good, prices, torch.nan)
        status = torch.where(good, int(EvaluationStatus.OK), int(EvaluationStatus.NOT_FINITE))
        return prices[0].clone(), prices[1:].T.contiguous(), status


class HestonADIPut(HestonADI):
    """The put; see `HestonADI`."""

    name = "heston_put_adi"
    sign = -1.0


class HestonADICall(HestonADI):
    """The call; see `HestonADI`.

    >>> HestonADICall().values([[100.0, 100.0, 0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 1.0, 0.0, 0.0]])
    tensor([5.7852], dtype=torch.float64)
    """

    name = "heston_call_adi"
    sign = 1.0


def scaled(points: Array) -> Array:
    """(log(forward / strike), then variance, reversion, mean and vol times the maturity, correlation), [6, n], of points [10, n]."""
    spot, strike, *parameters, correlation, maturity, rate, dividend = points
    xp = library(points)
    time = xp.clip(maturity, _SHORTEST, None)
    return xp.stack([xp.log(spot / strike) + (rate - dividend) * time, *(parameter * time for parameter in parameters), correlation])


def _prices(points: Array, x: Array, results: Array, sign: float) -> Array:
    """Prices, and where wanted gradients, [1 or 11, n]; where the maturity is nothing, those of the payoff."""
    xp = library(points)
    spot, strike, *parameters, _, maturity, rate, dividend = points
    held, paid = spot * xp.exp(-dividend * maturity), strike * xp.exp(-rate * maturity)
    inside = xp.where((x <= 0.0) == (sign > 0.0), 0.0, sign)  # whether it is in the money: the results are those of the other option then
    out, *slopes = xp.where(maturity <= _SHORTEST, 0.0, paid) * results
    price = out + inside * (held - paid)
    if not slopes:
        return price[None]
    by_x, *by_parameters, by_correlation = slopes
    in_time = (rate - dividend) * by_x - rate * out + inside * (rate * paid - dividend * held)
    for parameter, slope in zip(parameters, by_parameters, strict=True):
        in_time = in_time + parameter * slope
    by_held, by_paid = by_x + inside * held, out - by_x - inside * paid
    by_rates = [-maturity * by_paid, -maturity * by_held]
    return xp.stack([price, by_held / spot, by_paid / strike, *(maturity * slope for slope in by_parameters), by_correlation, in_time, *by_rates])
