"""European call and put by Monte Carlo: the plain engine on geometric Brownian motion, whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles.batched import nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.european_vanilla import DOMAIN
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.vanilla_path import FRAME, SUMS, finish, path, prepare


class EuropeanMonteCarlo(OnDevice, MonteCarloOracle):
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

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import european_mc

        return european_mc.estimate(self.draws, x, gradient, self.sign)


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
    w, frame, sums = cache_lines((1 + SUMS) * BLOCK), np.empty(FRAME), np.empty(SUMS)
    constants = (sign,)
    for row in range(points.shape[0]):
        prepare(points[row], constants, frame)
        w[:] = 0.0
        _add_paths(w, normals, frame)
        for number in range(SUMS):
            sums[number] = w[(1 + number) * BLOCK : (2 + number) * BLOCK].sum()
        finish(points[row], constants, frame, sums, normals.shape[1], answers[row])


@scalar
def _add_paths(w, normals, frame):  # type: ignore[no-untyped-def]
    """Adds the paths' parts of the sums to the rows 1 to 3 of w; row 0 is the walk."""
    root = 1.0 / math.sqrt(normals.shape[0])
    sign, centre, deviation, shift = frame
    for first in range(0, normals.shape[1], BLOCK):
        block = normals[0, first : first + BLOCK]
        for i in range(BLOCK):
            w[i] = root * block[i]
        for step in range(1, normals.shape[0]):
            block = normals[step, first : first + BLOCK]
            for i in range(BLOCK):
                w[i] += root * block[i]
        for i in range(BLOCK):
            asset, weight, tilted = path(w[i], sign, centre, deviation, shift)
            w[BLOCK + i] += asset
            w[2 * BLOCK + i] += weight
            w[3 * BLOCK + i] += tilted
