"""American put and call on an asset with a dividend yield, Black-Scholes-Merton, by spectral collocation of the exercise boundary.

Source and known price: L. Andersen, M. Lake and D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20
(2016), 39-87: spot = strike = 100, volatility .25, one year, rate = dividend yield = .05, put: 0.106952702747 above the European price: 9.569447.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, Condition, Row, nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.american_boundary import (
    CHANGE,
    DEVIATION,
    DISCOUNT,
    GROWTH,
    INVERSE,
    KAPPA,
    LANES,
    LIMIT,
    LOW,
    MILLS,
    MONEYNESS,
    OTHER,
    OUT,
    PEAK,
    RATIO,
    RHO,
    ROWS,
    SPOT,
    THERE,
    clear_slopes,
    exponentials,
    first_boundary,
    interpolate,
    newton,
    node_rows,
    prolong,
    spread,
    square,
)
from pybackdoor.oracles.scalar.american_option import posed, priced
from pybackdoor.oracles.scalar.american_points import arguments, premium_partials, premium_point, premium_terms
from pybackdoor.oracles.scalar.block import NOT_CONVERGED, NOT_FINITE, OK, cache_lines
from pybackdoor.oracles.scalar.vmath import mills_ratio

DOMAIN = Domain(
    ("spot", "strike", "volatility", "maturity", "rate", "dividend"),
    (50.0, 50.0, 0.05, 0.01, -0.02, 0.0),
    (200.0, 200.0, 1.0, 5.0, 0.1, 0.1),
    target="price",
)
# nodes of the boundary and points of their quadrature, few and all; points of the premium's; Newton steps on few nodes and on all
LEVELS = {"fast": ((4, 8), (8, 12), 24, 6, 2), "standard": ((8, 8), (16, 24), 40, 5, 2), "high": ((8, 8), (24, 40), 64, 5, 2)}

_ACCURACY = {"fast": "median 7e-7, largest 4e-4", "standard": "median 8e-9, largest 5e-6", "high": "median 6e-10, largest 3e-6"}
MOST_DRIFT = 10.0  # deviations
_UNSETTLED = 0.05  # the last Newton step changed the boundary by more, relative to its distance from its limit: not converged


def _single_boundary(right: str, row: Row) -> torch.Tensor:
    """Not q < r < 0 for the put (r < q < 0 for the call), where exercise pays in a band between two boundaries."""
    rate, dividend = (row["rate"], row["dividend"]) if right == "put" else (row["dividend"], row["rate"])
    return ~((rate < 0) & (dividend < rate))


def _bounded_drift(right: str, row: Row) -> torch.Tensor:
    """Whether dividend less rate (call: rate less dividend) moves the spot by at most MOST_DRIFT deviations until maturity."""
    falling = row["dividend"] - row["rate"] if right == "put" else row["rate"] - row["dividend"]
    return falling * row["maturity"].sqrt() <= MOST_DRIFT * row["volatility"]


def market_conditions(right: str) -> tuple[Condition, ...]:
    """What a row of an American put or call must meet beside having positive features."""
    feature, falling = ("dividend", "dividend less rate") if right == "put" else ("rate", "rate less dividend")
    return (
        Condition(feature, "a market with at most one exercise boundary", partial(_single_boundary, right)),
        Condition(feature, f"{falling} moving the spot by at most {MOST_DRIFT:g} deviations until maturity", partial(_bounded_drift, right)),
    )


class American(OnDevice, Levelled, BatchedOracle):
    """Price in currency units with all six derivatives, those of the discrete scheme.

    level: "fast", "standard" or "high". Median, 99 % and largest error over the domain (half of the features at a bound: the same but for the
    medians) of the price: 7e-7, 6e-5, 4e-4 (fast), 8e-9, 1e-6, 5e-6 (standard), 6e-10, 2e-7, 3e-6 (high); of the worst derivative over 1 + its size:
    9e-7, 2e-4, 1e-2 (fast), 8e-9, 1e-5, 2e-3 (standard), 6e-10, 3e-6, 3e-5 (high), the largest for spots that are all but exercised, where the
    derivatives turn to those of the payoff.

    From the exercise boundary on the price is the intrinsic value and the derivatives are its own (vega 0). Maturities below 1e-8 years are the
    payoff. Beyond the domain, where rate less dividend moves the spot by 8 deviations, a shorter maturity that has the same price is taken; where
    dividend less rate does by more than 10 (call: the other way round), the row is refused as bad input. A boundary that has not settled, as at
    rates of next to nothing, is a status. Negative rates are valid:
    without a reason to exercise early the option is the European one; where exercise pays between two boundaries (put: dividend < rate < 0, call:
    rate < dividend < 0) the row is refused as bad input. Raises InputError on an unknown level.

    >>> AmericanPut().values([[100.0, 100.0, 0.25, 1.0, 0.05, 0.05]])
    tensor([9.5694], dtype=torch.float64)
    """

    domain = DOMAIN
    accuracies = _ACCURACY
    family = CLOSED
    method = "spectral collocation of the exercise boundary"
    gradient_cost = 0.42  # time of value and gradient over that of the value, less 1: 2,048 points of the domain, one core
    chunk = 1024
    right: str

    def __init__(self, level: str = "standard") -> None:
        super().__init__(level)
        self.conditions = positive("spot", "strike", "volatility") + nonnegative("maturity") + market_conditions(self.right)

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        swapped = [1, 0, 2, 3, 5, 4] if self.right == "call" else [0, 1, 2, 3, 4, 5]  # C(S, K, r, q) = P(K, S, q, r)
        values, gradients, status = self._run(_price, np.ascontiguousarray(points[:, swapped]), gradient, *_tables(self.level))
        return values, gradients[:, swapped].contiguous(), status

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import american, rows

        *tables, steps = _tables_on(self.level, x.device)
        nodes, outer = LEVELS[self.level][1][0], LEVELS[self.level][2]
        place = {"lanes": nodes, "shared": 8 * american.shared_numbers(nodes, outer)}
        return rows.solve(american.price, x, gradient, int(self.right == "call"), *tables, *steps, _UNSETTLED, **place)


class AmericanPut(American):
    """The put; see `American`."""

    name = "american_put"
    right = "put"


class AmericanCall(American):
    """The call, as the put with spot and strike, rate and dividend exchanged; see `American`."""

    name = "american_call"
    right = "call"


@cache
def _tables(level: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Tables of few nodes of the boundary and of all, interpolation from those to these, the premium's points, Newton steps on each."""
    few, many, outer, first, last = LEVELS[level]
    coarse, fine = _roots(few[0]), _roots(many[0])
    onward = _table(np.outer(fine[:-1], [1.0, 0.0, 0.0]), coarse, fine[:-1])
    sines, cosines, weights = _quadrature(outer, 2)
    premium = _table(np.stack([sines, 1.0 / sines, weights], axis=1), fine, cosines)
    return _boundary_table(*few), _boundary_table(*many), onward, premium, (first, last)


@cache
def _tables_on(level: str, device: torch.device) -> tuple[Any, ...]:
    """`_tables` as tensors on a device."""
    *tables, steps = _tables(level)
    return *(torch.from_numpy(table).to(device) for table in tables), steps


def _boundary_table(count: int, quadrature: int) -> np.ndarray:
    """The table [n, 1 + q, 3 + n] of `scalar.american_boundary`."""
    roots = _roots(count)
    sines, cosines, weights = _quadrature(quadrature)
    sines, cosines, weights = np.append(1.0, sines), np.append(0.0, cosines), np.append(0.0, weights)
    return np.stack([_table(np.stack([x * sines, 1.0 / (x * sines), x * x * weights], axis=1), roots, x * cosines) for x in roots[:-1]])


def _table(points: np.ndarray, roots: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Beside each row of points the weights of the values at all roots but the last, 0, where the value is 0, for the polynomial at x."""
    columns = [points]
    for node in range(len(roots) - 1):
        others = np.delete(roots, node)
        columns.append(np.prod((x[:, None] - others) / (roots[node] - others), axis=1, keepdims=True))
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _roots(count: int) -> np.ndarray:
    """Chebyshev points sqrt(tau / T), from 1 down to 0, where y is 0."""
    return 0.5 * (1.0 + np.cos(np.pi * np.arange(count + 1) / count))


def _quadrature(count: int, power: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sin, cos and du of u = sin^2 at angles in [0, pi/2], for Gauss-Legendre quadrature in their root of an order."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    share = 0.5 * (nodes + 1.0)
    angle = 0.5 * np.pi * share**power
    return np.sin(angle), np.cos(angle), np.sin(2.0 * angle) * 0.25 * np.pi * power * share ** (power - 1) * weights


@kernel
def _price(points, values, gradients, status, coarse, fine, onward, premium, steps):  # type: ignore[no-untyped-def]
    w = cache_lines(ROWS * LANES)
    few, many = node_rows(coarse.shape[0])[5], node_rows(fine.shape[0])[5]
    start, nodes = cache_lines(few * LANES).reshape(few, LANES), cache_lines(many * LANES).reshape(many, LANES)
    given = np.empty((6, LANES))
    gradient = gradients.shape[0] > 0
    for first in range(0, points.shape[0], LANES):
        _prepare(points, first, w, given)
        first_boundary(w, coarse, start)
        newton(w, coarse, steps[0], steps[0], start)
        prolong(w, onward, start, nodes)
        newton(w, fine, steps[1], steps[1] + (1 if gradient else 0), nodes)
        _premium(w, premium, nodes, gradient)
        _finish(w, given, nodes)
        for i in range(min(LANES, points.shape[0] - first)):
            values[first + i] = w[OUT + i]
            nothing = w[OUT + i] * 0.0
            for feature in range(6 if gradient else 0):
                gradients[first + i, feature] = w[OUT + (1 + feature) * LANES + i]
                nothing += gradients[first + i, feature] * 0.0
            status[first + i] = NOT_FINITE if nothing != 0.0 else NOT_CONVERGED if w[CHANGE + i] > _UNSETTLED else OK


@scalar
def _prepare(points, first, w, given):  # type: ignore[no-untyped-def]
    """Points into rows of w, posed, and as given: spot, strike, volatility, maturity, rate, dividend."""
    for i in range(LANES):
        row = min(first + i, points.shape[0] - 1)
        for feature in range(6):
            given[feature, i] = points[row, feature]
        given[3, i], w[DEVIATION + i], w[RHO + i], w[KAPPA + i], w[LIMIT + i], w[SPOT + i] = posed(
            given[0, i], given[1, i], given[2, i], given[3, i], given[4, i], given[5, i]
        )
        w[INVERSE + i] = 1.0 / w[DEVIATION + i]
        w[MONEYNESS + i] = given[0, i] / given[1, i]


@scalar
def _premium(w, table, nodes, gradient):  # type: ignore[no-untyped-def]
    """OUT: the early-exercise premium over the strike, its derivatives in log S, s, rho, kappa."""
    count = table.shape[1] - 3
    _, _, slopes, tangents, _, _ = node_rows(count)
    square(count, nodes)
    clear_slopes(count, nodes)
    for i in range(OUT, OUT + 7 * LANES):
        w[i] = 0.0
    for number in range(table.shape[0]):
        point = table[number]
        interpolate(point, count, nodes, w)
        _premium_arguments(point[0], point[1], w)
        _add_premium(point[0], point[1], point[2], w)
        if gradient:
            spread(point, count, nodes, w)
    if gradient:
        for i in range(LANES):
            moving = w[OUT + 5 * LANES + i] if w[LIMIT + i] > 0.0 else 0.0  # the boundary's limit r/q moves with both
            w[OUT + 3 * LANES + i] -= moving / (w[RHO + i] if moving != 0.0 else 1.0)
            w[OUT + 4 * LANES + i] += moving / (w[KAPPA + i] if moving != 0.0 else 1.0)
        for node in range(count):
            for parameter in range(3):
                for i in range(LANES):
                    w[OUT + (2 + parameter) * LANES + i] += nodes[slopes + node, i] * nodes[node, i] * nodes[tangents + parameter * count + node, i]


@scalar
def _premium_arguments(root, over, w):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        gap = w[SPOT + i] + w[LIMIT + i] + w[THERE + i]
        w[LOW + i], w[PEAK + i] = arguments(gap, root, over, w[DEVIATION + i], w[INVERSE + i], w[RHO + i], w[KAPPA + i])
        w[RATIO + i] = -w[LIMIT + i] - w[THERE + i]
        w[GROWTH + i], w[DISCOUNT + i] = -w[KAPPA + i] * root * root, -w[RHO + i] * root * root
    exponentials(w, PEAK, 4)
    for i in range(LANES):
        w[MILLS + i] = mills_ratio(abs(w[LOW + i]))
    for i in range(LANES):
        w[OTHER + i] = mills_ratio(abs(w[LOW + i] + w[DEVIATION + i] * root))


@scalar
def _add_premium(root, over, weight, w):  # type: ignore[no-untyped-def]
    """A quadrature point into OUT; THERE becomes its derivative in z, over z."""
    for i in range(LANES):
        step, asset, below = w[DEVIATION + i] * root, w[MONEYNESS + i] * w[GROWTH + i], w[RATIO + i]
        peak, cash, asset = premium_terms(w[LOW + i], w[PEAK + i], below, w[MILLS + i], w[OTHER + i], w[DISCOUNT + i], asset, step)
        value, slope, by_spot = premium_point(peak, cash, asset, below, over * w[INVERSE + i], w[RHO + i], w[KAPPA + i])
        a, b, c = premium_partials(w[LOW + i], peak, cash, asset, below, root, w[DEVIATION + i], w[INVERSE + i], w[RHO + i], w[KAPPA + i])
        w[OUT + i] += weight * value
        w[OUT + 1 * LANES + i] += weight * by_spot
        w[OUT + 2 * LANES + i] += weight * a
        w[OUT + 3 * LANES + i] += weight * b
        w[OUT + 4 * LANES + i] += weight * c
        w[OUT + 5 * LANES + i] += weight * slope
        w[THERE + i] = weight * slope / w[THERE + i]


@scalar
def _finish(w, given, nodes):  # type: ignore[no-untyped-def]
    """OUT: price and gradient, from the premium's."""
    n = LANES
    for i in range(LANES):
        given_here = given[0, i], given[1, i], given[2, i], given[3, i], given[4, i], given[5, i]
        premium = w[OUT + i], w[OUT + n + i], w[OUT + 2 * n + i], w[OUT + 3 * n + i], w[OUT + 4 * n + i]
        early, value, a, b, c, d, e, f = priced(given_here, w[SPOT + i] <= -w[LIMIT + i] - nodes[0, i], premium)
        w[OUT + i], w[OUT + n + i], w[OUT + 2 * n + i], w[OUT + 3 * n + i] = value, a, b, c
        w[OUT + 4 * n + i], w[OUT + 5 * n + i], w[OUT + 6 * n + i] = d, e, f
        w[CHANGE + i] = w[CHANGE + i] if early else 0.0
