"""The down-and-out put by Monte Carlo, with standard errors and pathwise derivatives."""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.down_and_out_put import SPOT, PutOracle, evaluate_with, from_scaled, to_scaled
from pybackdoor.oracles.families import MONTE_CARLO
from pybackdoor.oracles.scalar.philox import uniform_pair
from pybackdoor.oracles.scalar.put_survivor import assemble, survivor, window
from pybackdoor.records.evaluation import Evaluation

_CHUNK = 8


class DownAndOutPutMonteCarlo(PutOracle):
    """Price of the put as a mean over `paths` draws, with its standard error and all five derivatives.

    A draw is one terminal value among those that pay, weighted with the survival of a Brownian bridge (see scalar/put_survivor.py): unbiased in
    values and gradients for any number of paths. All points share one set of draws (common random numbers), so differences between points have far
    less noise than the standard errors say, and errors are correlated across points. Another `seed` is an independent set. Raises InputError when
    paths is less than 2 or odd, or the seed is not in 0 .. 2^64 - 1.
    """

    name = "down_and_out_put_mc"
    sampled = True
    family = MONTE_CARLO
    method = "Monte Carlo, one bridge-weighted draw a path"
    gradient_cost = 0.02  # time of value and gradient over that of the value, less 1: 200 points with strike above barrier, one core

    def __init__(self, *, paths: int = 16384, seed: int = 0, spot: float = SPOT) -> None:
        super().__init__(spot=spot)
        if paths < 2 or paths % 2:
            raise InputError(f"{self.name}: {paths} paths; an even number of at least 2 is needed")
        if not 0 <= seed < 2**64:
            raise InputError(f"{self.name}: seed {seed}; a whole number from 0 to 2^64 - 1 is needed")
        self.paths, self.seed = paths, seed
        self.accuracy = f"standard error a point, {paths} paths"

    def coarser(self) -> PutOracle | None:
        """A quarter of the paths; None below 64."""
        fewer = self.paths // 8 * 2
        return DownAndOutPutMonteCarlo(paths=fewer, seed=self.seed, spot=self.spot) if fewer >= 64 else None

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        return evaluate_with(self, x, gradient, self._sample)

    def _sample(self, points: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draws = np.empty(self.paths)
        _draw(np.uint64(purpose_word(self.name)), np.uint64(self.seed), draws)
        scaled = to_scaled(points, self.spot)
        results, errors = np.empty((len(points), 5 if gradient else 1)), np.empty(len(points))

        def work(start: int, stop: int) -> None:
            _estimate(scaled[start:stop], draws, results[start:stop], errors[start:stop])

        in_chunks(work, len(points), _CHUNK)
        return from_scaled(points, scaled, results, errors)


@kernel
def _draw(purpose, seed, draws):  # type: ignore[no-untyped-def]
    """Fills draws [paths] with the uniform numbers of stream 0."""
    for block in range(draws.shape[0] // 2):
        draws[2 * block], draws[2 * block + 1] = uniform_pair(np.uint64(block), np.uint64(0), purpose, seed)


@kernel
def _estimate(points, draws, results, errors):  # type: ignore[no-untyped-def]
    """Points [n, 4] and draws [paths] -> results [n, 5] (u and its derivatives) or [n, 1] (u), errors [n]: standard errors of u."""
    paths = draws.shape[0]
    gradient = results.shape[1] > 1
    for row in range(points.shape[0]):
        log_spot, log_strike, variance, growth = points[row]
        frame = window(log_spot, log_strike, variance, growth)
        if frame[2] < 1e-290:  # nothing there to draw from: the price is as small
            errors[row] = 0.0
            for column in range(results.shape[1]):
                results[row, column] = 0.0
            continue
        origin = survivor(draws[0], log_spot, log_strike, variance, growth, frame)[0]  # sums of squares about it do not cancel
        value, square, by_centre, by_strike, by_deviation, by_bridge = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for path in range(paths):
            payoff, d_centre, d_strike, d_deviation, d_bridge = survivor(draws[path], log_spot, log_strike, variance, growth, frame)
            value += payoff - origin
            square += (payoff - origin) ** 2
            if gradient:
                by_centre += d_centre
                by_strike += d_strike
                by_deviation += d_deviation
                by_bridge += d_bridge
        value /= paths
        spread = max(square / paths - value * value, 0.0)
        errors[row] = frame[2] * math.sqrt(spread / (paths - 1))
        means = assemble(origin + value, by_centre / paths, by_strike / paths, by_deviation / paths, by_bridge / paths, points[row], frame)
        for column in range(results.shape[1]):
            results[row, column] = means[column]
