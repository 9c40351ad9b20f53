"""Bermudan options on the largest of several assets, and on one: a lower bound by least-squares Monte Carlo and a dual upper bound.

Known prices: L. Andersen and M. Broadie, Management Science 50 (2004), 1222-1234: call on the larger of two assets, strike 100, rate .05, dividend
yield .1, volatility .2, no correlation, three years, nine dates; spots 90, 100, 110: 8.08, 13.90, 21.34.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pybackdoor.arrays import as_points
from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles import assets as several
from pybackdoor.oracles.batched import nonnegative, positive
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.draws import COPIES
from pybackdoor.oracles.european_vanilla import DOMAIN as ONE
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.normals import philox_normals
from pybackdoor.oracles.regression import TERMS, basis, fit
from pybackdoor.oracles.scalar.european import INSTANT


@dataclass(frozen=True)
class Bounds:
    """Bounds of the price and their standard errors, all [N]: in the mean the lower one is not above it, the upper one not below."""

    lower: torch.Tensor
    lower_errors: torch.Tensor
    upper: torch.Tensor
    upper_errors: torch.Tensor


class Bermudan(MonteCarloOracle):
    """Value of the exercise policy found by regression (regression.py): a lower bound of the price, with standard error and all derivatives.

    The policy is fitted on `training` paths of its own and applied to others, so that the value is that of a policy anybody could follow. Exercise is
    possible at the dates T / M, 2 T / M .. T. Derivatives are pathwise with the policy held fixed: the best policy's own derivative adds nothing
    (envelope theorem), a fitted one's little. The price of fixed draws moves in small jumps where a path changes its date; the derivative is that
    of the mean, not of the jumps. `bounds` gives an upper bound as well.
    """

    method = "least-squares Monte Carlo, a lower bound"
    gradient_cost = 0.3
    sign: float
    assets: int

    def __init__(self, *, dates: int, paths: int, training: int, seed: int) -> None:
        if dates < 1 or training < 64 or training % 2:
            raise InputError(f"{self.name}: {dates} dates and {training} training paths; at least 1 date and an even number of 64 paths are needed")
        self.dates, self.training = dates, training
        super().__init__(paths=paths, dimensions=dates * self.assets, seed=seed, draws="philox")

    def _training(self, purpose: str, paths: int) -> np.ndarray:
        """Antithetic normal numbers [dates * assets, paths] of another purpose than the price's."""
        half = np.empty((self.draws.dimensions, paths // 2))
        philox_normals(np.uint64(self.seed), np.uint64(purpose_word(f"{self.name}/{purpose}")), 0, 0, half)
        return np.concatenate([half, -half], axis=1)

    def _policies(self, points: np.ndarray) -> np.ndarray:
        """Weights [n, dates - 1, TERMS] of every point's policy."""
        normals, weights = self._training("training", self.training), np.zeros((len(points), max(self.dates - 1, 1), TERMS))

        def work(first: int, last: int) -> None:
            _train(points[first:last], normals, weights[first:last], self.sign, self.assets)

        in_chunks(work, len(points), 4)
        return weights

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        parts = []
        for start in range(0, max(len(points), 1), self.chunk):
            batch = points[start : start + self.chunk]
            parts.append(self._estimate(_lower, batch, gradient, self._policies(batch), self.sign, self.assets))
        values, gradients, status, errors = (torch.cat(part) for part in zip(*parts, strict=True))
        return values, gradients, status, errors

    def bounds(self, x: Any, *, outer: int = 1024, inner: int = 128, strict: bool = True) -> Bounds:
        """Lower and upper bound at x [N, d].

        Upper: E[max_k (payoff_k - M_k)] over `outer` paths for the martingale M whose increments are those of max(payoff, fitted value of holding
        on) less their conditional mean, estimated without bias by `inner` antithetic one-step samples a date, which makes the bound somewhat higher,
        never lower, in the mean (L. C. G. Rogers, Mathematical Finance 12 (2002), 271-286; M. B. Haugh and L. Kogan, Operations Research 52 (2004),
        258-270). It is loose far out of the money, where the regression has no paths. Costs outer x inner x dates steps a point. Raises InputError
        when outer is not a multiple of 64 or inner not even.
        """
        if outer < COPIES * 2 or outer % (2 * COPIES) or inner < 2 or inner % 2:
            raise InputError(f"{self.name}: {outer} outer and {inner} inner paths; a multiple of {2 * COPIES} and an even number are needed")
        lower = self.evaluate(x, strict=strict)
        points = np.ascontiguousarray(as_points(x, self.domain.dimension, f"oracle {self.name}", columns=self.domain.names).cpu().numpy())
        policies, normals = self._policies(points), self._training("dual", outer)
        groups, purpose = np.empty((len(points), COPIES)), np.uint64(purpose_word(f"{self.name}/inner"))

        def work(first: int, last: int) -> None:
            _upper(
                points[first:last], normals, policies[first:last], self.sign, self.assets, inner, np.uint64(self.seed), purpose, groups[first:last]
            )

        in_chunks(work, len(points), 1)
        upper, spread = torch.from_numpy(groups.mean(axis=1)), torch.from_numpy(groups.std(axis=1, ddof=1) / math.sqrt(COPIES))
        return Bounds(lower.values, lower.standard_errors, upper, spread)


class BermudanMaxCall(Bermudan):
    """The call on the largest of `assets` 2 .. 5 assets at `dates` dates; see `Bermudan`. Features and domain are those of `MaxCall`.

    >>> BermudanMaxCall().values([[100.0, 100.0, 100.0, 0.2, 0.2, 0.0, 3.0, 0.05, 0.1, 0.1]])  # 13.90
    tensor([13.6117], dtype=torch.float64)
    """

    sign = 1.0

    def __init__(self, assets: int = 2, *, dates: int = 9, paths: int = 8192, training: int = 8192, seed: int = 0) -> None:
        if assets not in several.WORDS:
            raise InputError(f"bermudan_max_call: {assets} assets; 2 to 5 are needed")
        self.assets, self.name = assets, f"bermudan_max_call_{several.WORDS[assets]}_mc"
        self.domain, self.conditions = several.domain(assets), several.conditions(assets)
        super().__init__(dates=dates, paths=paths, training=training, seed=seed)

    def _with_paths(self, paths: int) -> BermudanMaxCall:
        return BermudanMaxCall(self.assets, dates=self.dates, paths=paths, training=self.training, seed=self.seed)


class BermudanPut(Bermudan):
    """The put on one asset at `dates` dates; see `Bermudan`. Features: spot, strike, volatility, maturity, rate, dividend.

    With 50 dates a year it is that of Longstaff and Schwartz's table 1, which is not the American put.
    """

    name = "bermudan_put_mc"
    domain = ONE
    conditions = positive("spot", "strike", "volatility") + nonnegative("maturity")
    sign = -1.0
    assets = 1

    def __init__(self, *, dates: int = 50, paths: int = 8192, training: int = 8192, seed: int = 0) -> None:
        super().__init__(dates=dates, paths=paths, training=training, seed=seed)

    def _with_paths(self, paths: int) -> BermudanPut:
        return BermudanPut(dates=self.dates, paths=paths, training=self.training, seed=self.seed)


@scalar
def _market(point, d):  # type: ignore[no-untyped-def]
    """(strike, correlation, maturity, rate, places of the first volatility and dividend yield) of a row."""
    if d == 1:
        return point[1], 0.0, max(point[3], INSTANT), point[4], 2, 5
    return point[d], point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3], d + 1, 2 * d + 4


@scalar
def _step(state, walk, normals, place, path, point, d, dates):  # type: ignore[no-untyped-def]
    """Moves prices over the strike by a date, and their correlated walks [d], by normals[place : place + d, path]."""
    _, rho, time, rate, vols, yields = _market(point, d)
    dt = time / dates
    common = math.sqrt((1.0 + (d - 1) * rho) / d)
    own = math.sqrt(max(1.0 - rho, 0.0))
    mean = 0.0
    for i in range(d):
        mean += normals[place + i, path] / d
    for i in range(d):
        z = common * math.sqrt(d) * mean + own * (normals[place + i, path] - mean)
        sigma = point[vols + i]
        walk[i] += math.sqrt(dt) * z
        state[i] *= math.exp((rate - point[yields + i] - 0.5 * sigma * sigma) * dt + sigma * math.sqrt(dt) * z)


@kernel
def _train(points, normals, weights, sign, d):  # type: ignore[no-untyped-def]
    """Fits the policy of every point: normals [dates * d, paths], weights [n, dates - 1, TERMS]."""
    dates, paths = normals.shape[0] // d, normals.shape[1]
    states, state, walk = np.empty((dates, paths, d)), np.empty(d), np.zeros(d)
    for row in range(points.shape[0]):
        strike, _, time, rate, _, _ = _market(points[row], d)
        for path in range(paths):
            state[:] = points[row, :d] / strike
            for date in range(dates):
                _step(state, walk, normals, date * d, path, points[row], d, dates)
                states[date, path] = state
        fit(states, sign, math.exp(-rate * time / dates), weights[row])


@kernel
def _lower(points, normals, answers, weights, sign, d):  # type: ignore[no-untyped-def]
    """The policies' mean payoffs, and pathwise derivatives with the date of exercise held fixed."""
    dates, paths = normals.shape[0] // d, normals.shape[1]
    state, walk, terms = np.empty(d), np.empty(d), np.empty(TERMS)
    for row in range(points.shape[0]):
        point, answer = points[row], answers[row]
        strike, rho, time, rate, vols, yields = _market(point, d)
        answer[:] = 0.0
        for path in range(paths):
            state[:], walk[:] = point[:d] / strike, 0.0
            for date in range(dates):
                _step(state, walk, normals, date * d, path, point, d, dates)
                paid = basis(state, sign, terms)
                if paid > 0.0 and (date == dates - 1 or paid >= np.dot(weights[row, date], terms)):
                    t = time * (date + 1) / dates
                    worth = strike * math.exp(-rate * t) / paths
                    answer[0] += worth * paid
                    if answer.shape[0] > 1:
                        best = state.argmax()
                        asset, sigma = sign * worth * state[best], point[vols + best]
                        answer[1 + best] += asset / point[best]
                        answer[1 + (1 if d == 1 else d)] -= sign * worth / strike
                        answer[1 + vols + best] += asset * (walk[best] - sigma * t)
                        half = 0.5 * sigma * walk[best] / time if time > INSTANT else 0.0
                        growth = asset * (rate - point[yields + best] - (0.5 * sigma * sigma if time > INSTANT else 0.0)) - rate * worth * paid
                        answer[(4 if d == 1 else 2 * d + 3)] += asset * half + growth * t / time
                        answer[(5 if d == 1 else 2 * d + 4)] += t * (asset - worth * paid)
                        answer[1 + yields + best] -= t * asset
                        if d > 1:
                            total = walk.sum() / d
                            turn = total * (d - 1) / (2.0 * (1.0 + (d - 1) * rho)) - (walk[best] - total) / (2.0 * (1.0 - rho))
                            answer[2 + 2 * d] += asset * sigma * turn
                    break


@scalar
def _claim(state, weights, sign, terms, last):  # type: ignore[no-untyped-def]
    """(payoff, max of payoff and fitted value of holding on)."""
    paid = max(basis(state, sign, terms), 0.0)
    return paid, paid if last else max(paid, np.dot(weights, terms))


@kernel
def _upper(points, normals, weights, sign, d, inner, seed, purpose, groups):  # type: ignore[no-untyped-def]
    """Means of the dual over COPIES groups of outer paths: normals [dates * d, outer], groups [n, COPIES]."""
    dates, half, copies = normals.shape[0] // d, normals.shape[1] // 2, groups.shape[1]
    state, after, walk, terms = np.empty(d), np.empty(d), np.zeros(d), np.empty(TERMS)
    draws = np.empty((d, inner))
    each = np.empty((d, inner // 2))
    for row in range(points.shape[0]):
        strike, _, time, rate, _, _ = _market(points[row], d)
        groups[row] = 0.0
        step_discount = math.exp(-rate * time / dates)
        for path in range(2 * half):
            state[:] = points[row, :d] / strike
            martingale, best, discount = 0.0, 0.0, 1.0
            for date in range(dates):
                philox_normals(seed, purpose, (path * dates + date) * d, 0, each)
                draws[:, : inner // 2], draws[:, inner // 2 :] = each, -each
                expected = 0.0
                for sample in range(inner):
                    after[:] = state
                    _step(after, walk, draws, 0, sample, points[row], d, dates)
                    expected += _claim(after, weights[row, min(date, dates - 2)], sign, terms, date == dates - 1)[1] / inner
                _step(state, walk, normals, date * d, path, points[row], d, dates)
                paid, claim = _claim(state, weights[row, min(date, dates - 2)], sign, terms, date == dates - 1)
                discount *= step_discount
                martingale += discount * (claim - expected)
                best = max(best, discount * paid - martingale) if date > 0 else discount * paid - martingale
            groups[row, path % half * copies // half] += strike * best / (2 * half // copies)
