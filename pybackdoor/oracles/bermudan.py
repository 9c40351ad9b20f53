"""Bermudan options on the largest of several assets, and on one: a lower bound by least-squares Monte Carlo and a dual upper bound.

Known prices: call on the larger of two assets, strike 100, rate .05, dividend yield .1, volatility .2, no correlation, three years, nine dates (the
case of L. Andersen and M. Broadie, Management Science 50 (2004), 1222-1234); spots 90, 100, 110: 8.0728, 13.9018, 21.3439, by integration on a
grid of 801^2 states (tests/oracles/test_bermudan.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import torch

from pybackdoor.arrays import as_points
from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles import assets as several
from pybackdoor.oracles.batched import nonnegative, positive
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.draws import COPIES
from pybackdoor.oracles.european_vanilla import DOMAIN as ONE
from pybackdoor.oracles.holding import CLAIM, PAID, ROWS, STATE, TERMS, around, begin, claims, expected, market, move, prices
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution, error_of_copies, mean_of_copies
from pybackdoor.oracles.normals import TILE, philox_normals
from pybackdoor.oracles.regression import train
from pybackdoor.oracles.scalar.block import cache_lines
from pybackdoor.oracles.scalar.european import INSTANT

FITTED = 16  # draws of the next date a state where the policy is fitted
MOST_INNER = TILE


@dataclass(frozen=True)
class Bounds:
    """Bounds of the price and their standard errors, all [N]: in the mean the lower one is not above it, the upper one not below."""

    lower: torch.Tensor
    lower_errors: torch.Tensor
    upper: torch.Tensor
    upper_errors: torch.Tensor


class Sizes(TypedDict, total=False):
    """Keywords of `Bermudan`."""

    paths: int
    training: int
    inner: int
    seed: int
    draws: str


class Bermudan(MonteCarloOracle):
    """Value of the exercise policy found by regression (regression.py): a lower bound of the price, with standard error and all derivatives.

    The policy is fitted on `training` paths of its own and applied to others, so that the value is that of a policy anybody could follow. Exercise is
    possible at the dates T / M, 2 T / M .. T. What a path is paid is taken less a martingale M: the sum of what every date turned out to be worth,
    as far as the fit knows, less its mean over `inner` draws (L. Andersen and M. Broadie, Management Science 50 (2004), 1222-1234). It has mean 0
    whatever the fit, removes nearly all noise, and from it comes the upper bound of `bounds`.

    Derivatives are pathwise with the policy held fixed and without M: the best policy's own derivative adds nothing (envelope theorem), a fitted
    one's little. They are those of the mean, not of the drawn price, which moves in small jumps where a path changes its date. draws: see `Draws`.
    Raises InputError when dates < 1, training is not an even number of at least 64, or inner not an even number from 2 to MOST_INNER.
    """

    method = "regression Monte Carlo, a lower bound; upper: bounds()"
    gradient_cost = 0.1
    differentiates_answers = False
    sign: float
    assets: int

    def __init__(self, dates: int, *, paths: int = 2048, training: int = 512, inner: int = 8, seed: int = 0, draws: str = "sobol") -> None:
        if dates < 1 or training < 64 or training % 2:
            raise InputError(f"{self.name}: {dates} dates and {training} training paths; at least 1 date and an even number of 64 paths are needed")
        self._check_inner(inner)
        self.dates, self.training, self.inner = dates, training, inner
        super().__init__(paths=paths, dimensions=2 * dates * self.assets, seed=seed, draws=draws)

    def _sizes(self, paths: int) -> Sizes:
        return {"paths": paths, "training": self.training, "inner": self.inner, "seed": self.seed, "draws": self.draws.method}

    def _check_inner(self, inner: int) -> None:
        if not 2 <= inner <= MOST_INNER or inner % 2:
            raise InputError(f"{self.name}: {inner} inner draws; an even number from 2 to {MOST_INNER} is needed")

    def _training(self, purpose: str) -> np.ndarray:
        """Antithetic normal numbers [dates * assets, training] of another purpose than the price's."""
        half = np.empty((self.dates * self.assets, self.training // 2))
        philox_normals(np.uint64(self.seed), np.uint64(purpose_word(f"{self.name}/{purpose}")), 0, 0, half)
        return np.concatenate([half, -half], axis=1)

    def _policies(self, points: np.ndarray) -> np.ndarray:
        """Weights [n, dates - 1, TERMS] of every point's policy."""
        normals, shifts = self._training("training"), self._training("next")
        weights = np.zeros((len(points), max(self.dates - 1, 1), TERMS))

        def work(first: int, last: int) -> None:
            train(points[first:last], normals, shifts, weights[first:last], self.sign, self.assets, FITTED)

        in_chunks(work, len(points), 1)
        return weights

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        parts = []
        for start in range(0, max(len(points), 1), self.chunk):
            batch = points[start : start + self.chunk]
            parts.append(self._estimate(_price, batch, gradient, self._policies(batch), self.sign, self.assets, self.inner))
        values, gradients, status, errors = (torch.cat(part) for part in zip(*parts, strict=True))
        return values, gradients, status, errors

    def bounds(self, x: Any, *, inner: int = 64, strict: bool = True) -> Bounds:
        """Lower and upper bound at x [N, d], from the same paths.

        Upper: E[max_k (payoff_k - M_k)] for the martingale M (L. C. G. Rogers, Mathematical Finance 12 (2002), 271-286; M. B. Haugh and L. Kogan,
        Operations Research 52 (2004), 258-270). The noise of `inner` draws makes it higher, never lower, in the mean. Costs paths x inner x dates
        evaluations of the policy a point. Raises InputError as `evaluate` does, and when inner is not an even number from 2 to MOST_INNER.
        """
        self._check_inner(inner)
        title = f"oracle {self.name}"
        rows = as_points(x, self.domain.dimension, title, columns=self.domain.names)
        self._unfit(rows, refuse=True)
        if strict:
            self.domain.check_points(rows, title, inside=True)
        points = np.ascontiguousarray(rows.cpu().numpy())
        answers = np.empty((COPIES, len(points), 2))
        self._run_copies(_price, points, answers, (self._policies(points), self.sign, self.assets, inner))
        mean = mean_of_copies(answers)
        lower, upper = torch.from_numpy(mean.T.copy())
        lower_errors, upper_errors = torch.from_numpy(error_of_copies(answers, mean).T.copy())
        return Bounds(lower, lower_errors, upper, upper_errors)


class BermudanMaxCall(Bermudan):
    """The call on the largest of `assets` 2 .. 5 assets at `dates` dates; see `Bermudan`. Features and domain are those of `MaxCall`.

    >>> BermudanMaxCall().values([[100.0, 100.0, 100.0, 0.2, 0.2, 0.0, 3.0, 0.05, 0.1, 0.1]])  # 13.90
    tensor([13.8864], dtype=torch.float64)
    """

    sign = 1.0

    def __init__(self, assets: int = 2, *, dates: int = 9, **sizes: Unpack[Sizes]) -> None:
        if assets not in several.WORDS:
            raise InputError(f"bermudan_max_call: {assets} assets; 2 to 5 are needed")
        self.assets, self.name = assets, f"bermudan_max_call_{several.WORDS[assets]}_mc"
        self.domain, self.conditions = several.domain(assets), several.conditions(assets)
        super().__init__(dates, **sizes)

    def _with_paths(self, paths: int) -> BermudanMaxCall:
        return BermudanMaxCall(self.assets, dates=self.dates, **self._sizes(paths))


class BermudanPut(Bermudan):
    """The put on one asset at `dates` dates; see `Bermudan`. Features: spot, strike, volatility, maturity, rate, dividend.

    With 50 dates a year it is that of Longstaff and Schwartz's table 1, which is not the American put.
    """

    name = "bermudan_put_mc"
    domain = ONE
    conditions = positive("spot", "strike", "volatility") + nonnegative("maturity")
    sign = -1.0
    assets = 1

    def __init__(self, *, dates: int = 50, **sizes: Unpack[Sizes]) -> None:
        super().__init__(dates, **sizes)

    def _with_paths(self, paths: int) -> BermudanPut:
        return BermudanPut(dates=self.dates, **self._sizes(paths))


@kernel
def _price(points, numbers, answers, weights, sign, d, inner):  # type: ignore[no-untyped-def]
    """The policies' mean payoffs less the martingale, and either pathwise derivatives with the date of exercise held fixed or the upper bound.

    numbers [2 * dates * d, paths]: the moves, and the shifts of the inner draws; answers [n, 1 (value), 2 (both bounds) or 1 + features].
    """
    dates, paths = numbers.shape[0] // (2 * d), numbers.shape[1]
    here, w, walk = cache_lines(ROWS * TILE), cache_lines(ROWS * TILE), np.empty(d)
    scratch, index = np.empty((2, TILE)), np.empty(TILE, dtype=np.int64)
    for row in range(points.shape[0]):
        point, answer, policy = points[row], answers[row], weights[row]
        strike, _, time, rate, _, _ = market(point, d)
        answer[:] = 0.0
        both, step = answer.shape[0] == 2, math.exp(-rate * time / dates)
        for path in range(paths):
            begin(here, point, d)
            prices(here, 1, point, d, time, sign)
            walk[:] = 0.0
            martingale, best, discount, held = 0.0, -math.inf, 1.0, True
            for date in range(dates):
                around(w, inner, numbers, (dates + date) * d, path, d, scratch, index)
                mean = expected(w, inner, here, point, d, date, dates, sign, policy)
                move(here, walk, numbers, date * d, path, point, d, dates)
                claims(here, 1, point, d, date, dates, sign, policy[min(date, dates - 2)])
                martingale += discount * (step * here[CLAIM] - mean)
                discount *= step
                paid = here[PAID]
                best = max(best, discount * paid - martingale)
                if held and (date == dates - 1 or (paid > 0.0 and here[CLAIM] == paid)):
                    held = False
                    answer[0] += strike * (discount * paid - martingale) / paths
                    if not both:
                        if answer.shape[0] > 1 and paid > 0.0:
                            _slopes(answer, point, d, here, walk, sign, (date + 1) / dates, paths)
                        break
            if both:
                answer[1] += strike * best / paths


@part
def _slopes(answer, point, d, w, walk, sign, share, paths):  # type: ignore[no-untyped-def]
    """Adds the derivatives of what is paid at `share` of the maturity, over the number of paths."""
    strike, rho, time, rate, vols, yields = market(point, d)
    t = time * share
    cash = sign * strike * math.exp(-rate * t) / paths
    best = 0
    for asset in range(d):
        best = asset if w[STATE + asset * TILE] > w[STATE + best * TILE] else best
    asset, sigma = cash * w[STATE + best * TILE], point[vols + best]
    answer[1 + best] += asset / point[best]
    answer[1 + (1 if d == 1 else d)] -= cash / strike
    answer[1 + vols + best] += asset * (walk[best] - sigma * t)
    half = 0.5 * sigma * walk[best] / time if time > INSTANT else 0.0
    growth = asset * (rate - point[yields + best] - (0.5 * sigma * sigma if time > INSTANT else 0.0)) - rate * (asset - cash)
    answer[(4 if d == 1 else 2 * d + 3)] += asset * half + growth * share
    answer[(5 if d == 1 else 2 * d + 4)] += t * cash
    answer[1 + yields + best] -= t * asset
    if d > 1:
        total = walk.sum() / d
        turn = total * (d - 1) / (2.0 * (1.0 + (d - 1) * rho)) - (walk[best] - total) / (2.0 * (1.0 - rho))
        answer[2 + 2 * d] += asset * sigma * turn
