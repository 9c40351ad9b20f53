"""The down-and-out put: the problem, and its closed form.

European, Black-Scholes, continuously monitored barrier below the spot, no rebate, no dividend, spot 100. Known prices (strike, barrier, volatility,
maturity in years, rate): (100, 50, .2, 1, .05) 5.55880974; (110, 80, .25, .5, .03) 6.21271037; (120, 60, .3, 2, 0) 12.62491380;
(200, 10, 1, 5, .1) 21.69710972.
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.scalar.down_and_out_put import down_and_out_put
from pybackdoor.records.evaluation import Evaluation

SPOT = 100.0
DOMAIN = Domain(("strike", "barrier", "volatility", "maturity", "rate"), (50.0, 10.0, 0.01, 0.002, 0.0), (200.0, 100.0, 1.0, 5.0, 0.1),
                target="price")

_CHUNK = 4096


class DownAndOutPut(Oracle):
    """Price of the put, in spot units, by the formula of Reiner and Rubinstein (1991), with all five derivatives.

    Values are within 1e-10 and gradients within 1e-8 over the whole domain. Zero with zero gradient where strike <= barrier or barrier >= spot.
    Outside the domain (strict=False) it is evaluated as well; a nonpositive strike, barrier or volatility, or a negative maturity, is BAD_INPUT;
    maturity 0 is the payoff.

    >>> DownAndOutPut().values([[100.0, 50.0, 0.2, 1.0, 0.05]])
    tensor([5.5588], dtype=torch.float64)
    """

    name = "down_and_out_put"
    domain = DOMAIN
    exact = True
    gradient_cost = 0.12  # time of value and gradient over that of the value, less 1: 320,000 points with strike above barrier, one core

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        points = np.ascontiguousarray(x.cpu().numpy())
        count = points.shape[0]
        values, status = np.empty(count), np.empty(count, dtype=np.int64)
        gradients = np.empty((count if gradient else 0, 5))

        def work(start: int, stop: int) -> None:
            rows = slice(start, stop)
            _price(SPOT, points[rows], values[rows], gradients[rows], status[rows])

        in_chunks(work, count, _CHUNK)
        return Evaluation(torch.from_numpy(values).to(x.device), torch.from_numpy(gradients).to(x.device) if gradient else None,
                          torch.zeros(count, dtype=torch.float64, device=x.device), torch.from_numpy(status).to(x.device), self.cost(count, gradient))


@kernel
def _price(spot, points, values, gradients, status):  # type: ignore[no-untyped-def]
    """Points [n, 5] -> values [n], status [n] and, unless it is empty, gradients [n, 5]."""
    for row in range(points.shape[0]):
        code, value, strike, barrier, volatility, maturity, rate = down_and_out_put(
            spot, points[row, 0], points[row, 1], points[row, 2], points[row, 3], points[row, 4])
        status[row] = code
        values[row] = value
        if gradients.shape[0] > 0:
            gradients[row, 0] = strike
            gradients[row, 1] = barrier
            gradients[row, 2] = volatility
            gradients[row, 3] = maturity
            gradients[row, 4] = rate
