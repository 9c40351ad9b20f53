"""European call and put by Monte Carlo: the plain engine on geometric Brownian motion, whose truth is known."""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.oracles.batched import nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.european_vanilla import DOMAIN
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.european import INSTANT
from pybackdoor.oracles.scalar.importance import vanilla_shift
from pybackdoor.oracles.scalar.vmath import exp, log_ratio


class EuropeanMonteCarlo(MonteCarloOracle):
    """Price in currency units, with its standard error and all six derivatives, unbiased for any number of paths.

    log S is carried over `steps` equal steps (exact for any number), drawn around the terminal value that matters most to the payoff
    (scalar/importance.py), so that standard errors are relative to the price also far out of the money. draws: "sobol" or "philox"; see `Draws` and
    `MonteCarloOracle`.
    Derivatives are pathwise: that of (S - K)+ is 1 above the strike. Maturity 0 is the payoff.
    """

    domain = DOMAIN
    method = "Monte Carlo, importance sampling"
    gradient_cost = 0.2
    conditions = positive("spot", "strike", "volatility") + nonnegative("maturity")
    sign: float

    def __init__(self, *, paths: int = 16384, steps: int = 1, seed: int = 0, draws: str = "sobol") -> None:
        if steps < 1:
            raise InputError(f"{self.name}: {steps} steps; at least 1 is needed")
        super().__init__(paths=paths, dimensions=steps, seed=seed, draws=draws)

    def _with_paths(self, paths: int) -> EuropeanMonteCarlo:
        return type(self)(paths=paths, steps=self.draws.dimensions, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, self.sign)


class EuropeanCallMonteCarlo(EuropeanMonteCarlo):
    """The call.

    >>> EuropeanCallMonteCarlo().values([[42.0, 40.0, 0.2, 0.5, 0.1, 0.0]], strict=False)
    tensor([4.7594], dtype=torch.float64)
    """

    name = "european_call_mc"
    sign = 1.0


class EuropeanPutMonteCarlo(EuropeanMonteCarlo):
    """The put."""

    name = "european_put_mc"
    sign = -1.0


@kernel
def _price(points, normals, answers, sign):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: normals [steps, paths], answers [n, 1 or 7]."""
    w = cache_lines(4 * BLOCK)
    for row in range(points.shape[0]):
        spot, strike, volatility, maturity, rate, dividend = points[row]
        time = max(maturity, INSTANT)
        deviation = volatility * math.sqrt(time)
        log_moneyness = log_ratio(spot, strike) + (rate - dividend) * time
        shift = vanilla_shift(sign, log_moneyness, deviation) if maturity > INSTANT else 0.0
        w[:] = 0.0
        _add_paths(w, normals, sign, log_moneyness - 0.5 * deviation * deviation, deviation, shift)
        scale = sign * strike * math.exp(-rate * time - 0.5 * shift * shift) / normals.shape[1]
        asset, cash, tilted = scale * w[BLOCK : 2 * BLOCK].sum(), scale * w[2 * BLOCK : 3 * BLOCK].sum(), scale * w[3 * BLOCK :].sum()
        answers[row, 0] = asset - cash
        if answers.shape[1] > 1:
            by_deviation = tilted - deviation * asset if maturity > INSTANT else 0.0
            answers[row, 1] = asset / spot
            answers[row, 2] = -cash / strike
            answers[row, 3] = by_deviation * math.sqrt(time)
            answers[row, 4] = 0.5 * by_deviation * volatility / math.sqrt(time) - dividend * asset + rate * cash
            answers[row, 5] = time * cash
            answers[row, 6] = -time * asset


@scalar
def _add_paths(w, normals, sign, centre, deviation, shift):  # type: ignore[no-untyped-def]
    """Adds over the paths that pay the weights of S / K, of 1 and of S / K z to the rows 1 to 3 of w; row 0 is the walk."""
    root = 1.0 / math.sqrt(normals.shape[0])
    for first in range(0, normals.shape[1], BLOCK):
        block = normals[0, first : first + BLOCK]
        for i in range(BLOCK):
            w[i] = root * block[i]
        for step in range(1, normals.shape[0]):
            block = normals[step, first : first + BLOCK]
            for i in range(BLOCK):
                w[i] += root * block[i]
        for i in range(BLOCK):
            weight = exp(-shift * w[i])
            z = w[i] + shift
            x = centre + deviation * z
            weight = weight if sign * x > 0.0 else 0.0
            asset = weight * exp(x)
            w[BLOCK + i] += asset
            w[2 * BLOCK + i] += weight
            w[3 * BLOCK + i] += asset * z
