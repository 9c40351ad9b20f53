"""American put and call on an asset with a dividend yield, Black-Scholes-Merton, by spectral collocation of the exercise boundary.

Source and known price: L. Andersen, M. Lake and D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20
(2016), 39-87: spot = strike = 100, volatility .25, one year, rate = dividend yield = .05, put: 0.106952702747 above the European price: 9.569447.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, Condition, Row, nonnegative, positive
from pybackdoor.oracles.compiled import inlined, kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.scalar.american_boundary import (
    DIVIDEND,
    EDGE,
    LANES,
    MATURITY,
    OUT,
    RATE,
    ROWS,
    SPOT,
    STRIKE,
    THERE,
    VOLATILITY,
    interpolate,
    solve_boundary,
)
from pybackdoor.oracles.scalar.american_points import premium_point
from pybackdoor.oracles.scalar.block import cache_lines
from pybackdoor.oracles.scalar.european import european
from pybackdoor.oracles.scalar.vmath import exp, log, log_ratio

DOMAIN = Domain(
    ("spot", "strike", "volatility", "maturity", "rate", "dividend"),
    (50.0, 50.0, 0.05, 0.01, -0.02, 0.0),
    (200.0, 200.0, 1.0, 5.0, 0.1, 0.1),
    target="price",
)
LEVELS = {"fast": (7, 12, 24, 7), "standard": (10, 16, 32, 8), "high": (16, 32, 64, 9)}  # boundary points, their quadrature, the premium's, steps

_ACCURACY = {"fast": "median 1e-6, largest 8e-4", "standard": "median 6e-8, largest 1e-4", "high": "median 2e-9, largest 1e-5"}
_SHORTEST = 1e-8  # years; a shorter maturity is the payoff


def _single_boundary(right: str, row: Row) -> torch.Tensor:
    """Not q < r < 0 for the put (r < q < 0 for the call), where exercise pays in a band between two boundaries."""
    rate, dividend = (row["rate"], row["dividend"]) if right == "put" else (row["dividend"], row["rate"])
    return ~((rate < 0) & (dividend < rate))


class American(Levelled, BatchedOracle):
    """Price in currency units with all six derivatives, those of the discrete scheme.

    level: "fast", "standard" or "high"; over the domain the median, 99 % and largest error of the price are 1e-6, 2e-4, 8e-4 (fast), 6e-8, 2e-5,
    1e-4 (standard), 2e-9, 2e-6, 1e-5 (high), the largest where the volatility is high and the rate low. Deep in the money, from the exercise
    boundary on, the price is the intrinsic value and the derivatives are its own (vega 0). Maturities below 1e-8 years are the payoff. Negative
    rates are valid: without a reason to exercise early the option is the European one; where exercise pays between two boundaries (put: dividend <
    rate < 0, call: rate < dividend < 0) the row is refused as bad input. The derivatives in rate and dividend lose up to 1e-2 of themselves near
    rate = dividend, where the boundary's limit has a kink. Raises InputError
    on an unknown level.

    >>> AmericanPut().values([[100.0, 100.0, 0.25, 1.0, 0.05, 0.05]])
    tensor([9.5694], dtype=torch.float64)
    """

    domain = DOMAIN
    accuracies = _ACCURACY
    family = CLOSED
    method = "spectral collocation of the exercise boundary"
    gradient_cost = 0.28  # time of value and gradient over that of the value, less 1: 2,048 points of the domain, one core
    chunk = 1024
    right: str

    def __init__(self, level: str = "standard") -> None:
        super().__init__(level)
        self.conditions = (
            positive("spot", "strike", "volatility")
            + nonnegative("maturity")
            + (Condition("dividend" if self.right == "put" else "rate", "a market with at most one exercise boundary", self._single_boundary),)
        )

    def _single_boundary(self, row: Row) -> torch.Tensor:
        return _single_boundary(self.right, row)

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        swapped = [1, 0, 2, 3, 5, 4] if self.right == "call" else [0, 1, 2, 3, 4, 5]  # C(S, K, r, q) = P(K, S, q, r)
        values, gradients, status = self._run(_price, np.ascontiguousarray(points[:, swapped]), gradient, *_tables(self.level))
        return values, gradients[:, swapped].contiguous(), status


class AmericanPut(American):
    """The put; see `American`."""

    name = "american_put"
    right = "put"


class AmericanCall(American):
    """The call, as the put with spot and strike, rate and dividend exchanged; see `American`."""

    name = "american_call"
    right = "call"


@cache
def _tables(level: str) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray, int]:
    """(collocation roots, (sin^2, weight) of their quadrature, interpolation there), the same two for the premium, Newton steps."""
    count, inner, outer, steps = LEVELS[level]
    roots = 0.5 * (1.0 + np.cos(np.pi * np.arange(count + 1) / count))  # sqrt(tau / T), from 1 down to 0, where y is 0
    angles, cosines = _quadrature(inner)
    matrix = np.stack([_lagrange(roots, root * cosines) for root in roots[:-1]])  # [n, inner, n]
    last_angles, last_cosines = _quadrature(outer)
    return (roots[:-1].copy(), angles, matrix), last_angles, _lagrange(roots, last_cosines), steps


def _quadrature(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(sin^2, 2 sin cos w) [count, 2] and the cosines, of Gauss-Legendre angles in [0, pi/2]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    angle, weight = 0.25 * np.pi * (nodes + 1.0), 0.25 * np.pi * weights
    return np.stack([np.sin(angle) ** 2, np.sin(2.0 * angle) * weight], axis=1), np.cos(angle)


def _lagrange(roots: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Weights [len(x), n] of the values at all roots but the last, 0, where the value is 0."""
    columns = []
    for node in range(len(roots) - 1):
        others = np.delete(roots, node)
        columns.append(np.prod((x[:, None] - others) / (roots[node] - others), axis=1))
    return np.ascontiguousarray(np.stack(columns, axis=1))


@kernel
def _price(points, values, gradients, status, table, angles, matrix, steps):  # type: ignore[no-untyped-def]
    count = table[0].shape[0]
    w, y = cache_lines(ROWS * LANES), cache_lines(count * LANES).reshape(count, LANES)
    columns = count if gradients.shape[0] > 0 else 0
    tangents = cache_lines(columns * 4 * LANES).reshape(columns, 4, LANES)
    rates = np.empty((3, LANES))
    for first in range(0, points.shape[0], LANES):
        _prepare(points, first, w, rates)
        solve_boundary(w, table, steps, y, tangents)
        _premium(w, angles, matrix, y, tangents)
        _finish(w, rates, y)
        for i in range(min(LANES, points.shape[0] - first)):
            values[first + i] = w[OUT + i]
            status[first + i] = 0 if math.isfinite(w[OUT + i]) else 1
            for feature in range(6 if gradients.shape[0] > 0 else 0):
                gradients[first + i, feature] = w[OUT + (1 + feature) * LANES + i]
                if not math.isfinite(w[OUT + (1 + feature) * LANES + i]):
                    status[first + i] = 1


@scalar
def _prepare(points, first, w, rates):  # type: ignore[no-untyped-def]
    """Points into rows of w; options never exercised early get a harmless rate there. rates: maturity, rate and dividend as given."""
    for i in range(LANES):
        row = min(first + i, points.shape[0] - 1)
        maturity, rate, dividend = points[row, 3], points[row, 4], points[row, 5]
        rates[0, i], rates[1, i], rates[2, i] = maturity, rate, dividend
        rate = 0.05 if _never_early(rate, dividend) else rate
        w[SPOT + i], w[STRIKE + i] = points[row, 0], points[row, 1]
        w[VOLATILITY + i], w[MATURITY + i] = points[row, 2], max(maturity, _SHORTEST)
        w[RATE + i], w[DIVIDEND + i] = rate, dividend
        w[EDGE + i] = log(rate / dividend) if rate < dividend else 0.0


@inlined
def _never_early(rate, dividend):  # type: ignore[no-untyped-def]
    return rate < 0.0 or (rate == 0.0 and dividend >= 0.0)


@scalar
def _premium(w, angles, matrix, y, tangents):  # type: ignore[no-untyped-def]
    """OUT: the early-exercise premium over the strike, its derivatives in log S, -, volatility, log maturity, rate, dividend, at fixed strike."""
    squares, slopes = cache_lines(y.size).reshape(y.shape), cache_lines(y.size).reshape(y.shape)
    squares[:, :], slopes[:, :] = y * y, 0.0
    w[OUT:] = 0.0
    for point in range(angles.shape[0]):
        interpolate(matrix[point], squares, w)
        share, weight = angles[point, 0], angles[point, 1]
        for i in range(LANES):
            distance = log_ratio(w[SPOT + i], w[STRIKE + i]) - w[EDGE + i] + w[THERE + i]
            value, slope, a, b, c, d, own = premium_point(
                share * w[MATURITY + i],
                distance,
                w[SPOT + i] / w[STRIKE + i],
                exp(w[EDGE + i] - w[THERE + i]),
                w[VOLATILITY + i],
                w[RATE + i],
                w[DIVIDEND + i],
            )
            factor = weight * w[MATURITY + i]
            w[OUT + i] += factor * value
            w[OUT + 1 * LANES + i] += factor * (slope + own)
            w[OUT + 2 * LANES + i] += factor * slope
            w[OUT + 3 * LANES + i] += factor * a
            w[OUT + 4 * LANES + i] += factor * b
            w[OUT + 5 * LANES + i] += factor * c
            w[OUT + 6 * LANES + i] += factor * d
            w[THERE + i] = factor * slope / w[THERE + i]
        for node in range(tangents.shape[0]):
            entry = matrix[point, node]
            for i in range(LANES):
                slopes[node, i] += entry * w[THERE + i]
    for node in range(tangents.shape[0]):
        for parameter in range(4):
            for i in range(LANES):
                w[OUT + (3 + parameter) * LANES + i] += slopes[node, i] * y[node, i] * tangents[node, parameter, i]


@scalar
def _finish(w, rates, y):  # type: ignore[no-untyped-def]
    """OUT: price and gradient, from the premium's."""
    for i in range(LANES):
        spot, strike, volatility = w[SPOT + i], w[STRIKE + i], w[VOLATILITY + i]
        maturity, rate, dividend = rates[0, i], rates[1, i], rates[2, i]
        value, by_spot, by_strike, by_volatility, by_maturity, by_rate, by_dividend = european(
            -1.0, spot, strike, volatility, maturity, rate, dividend
        )
        edge, time = w[EDGE + i], w[MATURITY + i]
        moving = 1.0 if edge < 0.0 else 0.0
        early = 0.0 if _never_early(rate, dividend) or maturity <= _SHORTEST else strike
        w[OUT + 5 * LANES + i] -= moving * w[OUT + 2 * LANES + i] / (w[RATE + i] if moving > 0.0 else 1.0)
        w[OUT + 6 * LANES + i] += moving * w[OUT + 2 * LANES + i] / (dividend if moving > 0.0 else 1.0)
        w[OUT + 2 * LANES + i] = by_strike + (early / strike * (w[OUT + i] - w[OUT + 1 * LANES + i]) if early > 0.0 else 0.0)
        w[OUT + i] = value + (early * w[OUT + i] if early > 0.0 else 0.0)
        w[OUT + 1 * LANES + i] = by_spot + (early * w[OUT + 1 * LANES + i] / spot if early > 0.0 else 0.0)
        w[OUT + 3 * LANES + i] = by_volatility + (early * w[OUT + 3 * LANES + i] if early > 0.0 else 0.0)
        w[OUT + 4 * LANES + i] = by_maturity + (early * w[OUT + 4 * LANES + i] / time if early > 0.0 else 0.0)
        w[OUT + 5 * LANES + i] = by_rate + (early * w[OUT + 5 * LANES + i] if early > 0.0 else 0.0)
        w[OUT + 6 * LANES + i] = by_dividend + (early * w[OUT + 6 * LANES + i] if early > 0.0 else 0.0)
        exercised = spot <= strike * exp(edge - y[0, i]) and early > 0.0
        w[OUT + i] = strike - spot if exercised else w[OUT + i]
        w[OUT + 1 * LANES + i] = -1.0 if exercised else w[OUT + 1 * LANES + i]
        w[OUT + 2 * LANES + i] = 1.0 if exercised else w[OUT + 2 * LANES + i]
        for row in range(3, 7):
            w[OUT + row * LANES + i] = 0.0 if exercised else w[OUT + row * LANES + i]
