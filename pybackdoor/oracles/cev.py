"""European put and call under constant elasticity of variance, closed form.

dS = (r - q) S dt + volatility (S / 100)^(elasticity - 1) S dW, absorbed at 0: `volatility` is the lognormal one at a spot of 100. An elasticity of 1
would be Black-Scholes; 0 is the absolute diffusion, 1/2 the square root.

Known prices: elasticity 0 and rates 0 are L. Bachelier's formula less its mirror image, for example spot = strike = 100, volatility .2, one year:
7.978845 (= 20 / sqrt(2 pi)) for the call.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, Condition, Row, nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.scalar.noncentral import noncentral

REFERENCE = 100.0
DOMAIN = Domain(
    ("spot", "strike", "volatility", "elasticity", "maturity", "rate", "dividend"),
    (50.0, 50.0, 0.05, 0.0, 0.02, -0.02, 0.0),
    (200.0, 200.0, 0.8, 0.9, 5.0, 0.1, 0.1),
    target="price",
)

_SHORTEST = 1e-6  # years; a shorter maturity is the payoff


def _below_one(row: Row) -> torch.Tensor:
    return (row["elasticity"] < 1) & (row["elasticity"] >= -10)


class CEV(BatchedOracle):
    """Price in currency units with all seven derivatives.

    M. Schroder, "Computing the constant elasticity of variance option pricing formula", Journal of Finance 44 (1989), 211-219, by noncentral
    chi-square distributions summed to rounding. Values are within 1e-9 of the exact ones, derivatives within 1e-6 of their scale; the cost grows as
    1 / (volatility (1 - elasticity) sqrt(maturity)). Maturities below 1e-6 years are the payoff. An elasticity of 1 or more is bad input.
    """

    domain = DOMAIN
    exact = True
    family = CLOSED
    method = "closed form, series summed to rounding"
    accuracy = "1e-9; gradient 1e-6 of its scale"
    gradient_cost = 0.02  # as measured: 4,096 points, one core
    chunk = 256
    conditions = (
        positive("spot", "strike", "volatility") + nonnegative("maturity") + (Condition("elasticity", "an elasticity in [-10, 1)", _below_one),)
    )
    sign: float

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient, self.sign)


class CEVPut(CEV):
    """The put; see `CEV`."""

    name = "cev_put"
    sign = -1.0


class CEVCall(CEV):
    """The call; see `CEV`.

    >>> CEVCall().values([[100.0, 100.0, 0.25, 0.5, 0.5, 0.1, 0.0]])
    tensor([9.5845], dtype=torch.float64)
    """

    name = "cev_call"
    sign = 1.0


@kernel
def _price(points, values, gradients, status, sign):  # type: ignore[no-untyped-def]
    answer = np.empty(8)
    for row in range(points.shape[0]):
        if points[row, 4] < _SHORTEST:
            _payoff(points[row], sign, answer)
        else:
            _one(points[row], sign, answer)
        values[row] = answer[0]
        status[row] = 0
        for feature in range(7 if gradients.shape[0] > 0 else 0):
            gradients[row, feature] = answer[1 + feature]
        for part in range(8):
            if not math.isfinite(answer[part]):
                status[row] = 1


@scalar
def _payoff(point, sign, answer):  # type: ignore[no-untyped-def]
    answer[:] = 0.0
    if sign * (point[0] - point[1]) > 0.0:
        answer[0], answer[1], answer[2] = sign * (point[0] - point[1]), sign, -sign
        answer[5] = sign * (point[5] * point[1] - point[6] * point[0])


@scalar
def _growth(h):  # type: ignore[no-untyped-def]
    """(h / (e^h - 1), the derivative of its logarithm)."""
    if abs(h) < 1e-2:
        square = h * h
        return 1.0 / (1.0 + h * (0.5 + h * (1.0 / 6.0 + h * (1.0 / 24.0 + h * (1.0 / 120.0 + h / 720.0))))), -0.5 - h * (
            1.0 / 12.0 - square * (1.0 / 720.0 - square / 30240.0)
        )
    return h / math.expm1(h), 1.0 / h + 1.0 / math.expm1(-h)


@scalar
def _one(point, sign, answer):  # type: ignore[no-untyped-def]
    spot, strike, volatility, elasticity, maturity, rate, dividend = point
    away, carry = 1.0 - elasticity, rate - dividend
    theta = 0.5 / away
    h = 2.0 * carry * away * maturity
    ratio, turn = _growth(h)
    scale = ratio / (2.0 * (volatility * away) ** 2 * maturity)
    log_spot, log_strike = math.log(spot / REFERENCE), math.log(strike / REFERENCE)
    x, y = scale * math.exp(2.0 * away * log_spot + h), scale * math.exp(2.0 * away * log_strike)
    first, first_a, first_x, first_y = noncentral(1.0 + theta, x, y)
    second, second_a, second_y, second_x = noncentral(theta, y, x)

    held, paid = spot * math.exp(-dividend * maturity), strike * math.exp(-rate * maturity)
    by_theta = -held * first_a - paid * second_a
    by_x, by_y = x * (-held * first_x - paid * second_x), y * (-held * first_y - paid * second_y)  # in the logarithms of x and y
    by_both, by_h = by_x + by_y, turn * (by_x + by_y) + by_x
    asset, cash = (held * (1.0 - first), paid * second) if sign > 0.0 else (-held * first, -paid * (1.0 - second))
    answer[0] = asset - cash
    answer[1] = (asset + 2.0 * away * by_x) / spot
    answer[2] = (2.0 * away * by_y - cash) / strike
    answer[3] = -2.0 * by_both / volatility
    answer[4] = by_theta * 2.0 * theta * theta + 2.0 * by_both / away - 2.0 * (log_spot * by_x + log_strike * by_y) - 2.0 * carry * maturity * by_h
    answer[5] = -dividend * asset + rate * cash - by_both / maturity + 2.0 * carry * away * by_h
    answer[6] = maturity * (cash + 2.0 * away * by_h)
    answer[7] = -maturity * (asset + 2.0 * away * by_h)
