"""The eight European options with a single barrier and a rebate by Monte Carlo, watched continuously, whose truth is known (single_barriers.py)."""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles.barrier_paths import ALIVE, DISTANCE, ROWS, Z, survive
from pybackdoor.oracles.barrier_paths import BY_DRIFT as PATH_BY_DRIFT
from pybackdoor.oracles.barrier_paths import BY_START as PATH_BY_START
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.barrier_path import (
    ASSET,
    AT_STRIKE,
    BY_DRIFT,
    BY_START,
    CASH,
    DRIFT,
    FRAME,
    KNOCKED_IN,
    PAYOFF_SHIFT,
    REBATE_SHIFT,
    REPAID,
    SIDE,
    SIGN,
    START,
    SUMS,
    TILTED,
    UNIT,
    UNIT_FIRST,
    UNIT_SECOND,
    UNIT_THIRD,
    P,
    S,
    finish,
    payoff_parts,
    prepare,
    safe,
    touched_base,
    touched_parts,
    untouched_parts,
)
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.single_barriers import KINDS, SingleBarrier

_SUMS = ROWS * BLOCK  # five rows of sums behind those of the paths


class SingleBarrierMonteCarlo(OnDevice, MonteCarloOracle):
    """Price of one of the eight `KINDS`, in currency units, with its standard error and all eight derivatives, unbiased for any paths and steps.

    A path has `steps` equal steps, between which the barrier is watched by the exact touching chance of a Brownian bridge (barrier_paths.py): steps
    are needed for nothing but comparison. Payoff and rebate are each drawn around the terminal value that matters most to them. The rebate at the
    touch, E[exp(-r tau); tau < T], is a chance of touching under a zero drift, by Girsanov's theorem on the path up to the touch; no time is drawn.
    Derivatives are pathwise: survival makes the payoff continuous. A spot on the barrier or beyond has touched. draws: "sobol" or "philox"; see
    `Draws` and `MonteCarloOracle`; refusals are those of `SingleBarrier`. Raises InputError on an unknown kind.

    >>> SingleBarrierMonteCarlo("down_out_call").values([[100.0, 90.0, 95.0, 3.0, 0.25, 0.5, 0.08, 0.04]])
    tensor([9.0246], dtype=torch.float64)
    """

    method = "Monte Carlo, bridge-corrected, importance sampling"
    gradient_cost = 0.6

    def __init__(self, kind: str, *, paths: int = 16384, steps: int = 1, seed: int = 0, draws: str = "sobol") -> None:
        if kind not in KINDS:
            raise InputError(f"single barrier: kind is {kind!r}; one of {', '.join(KINDS)} is needed")
        closed = SingleBarrier(kind)
        self.name = f"{closed.name}_mc"
        self.domain, self.conditions = closed.domain, closed.conditions
        if steps < 1:
            raise InputError(f"{self.name}: {steps} steps; at least 1 is needed")
        direction, action, right = kind.split("_")
        self.kind = kind
        self._signs = (1.0 if right == "call" else -1.0, 1.0 if direction == "down" else -1.0, 1.0 if action == "in" else 0.0)
        super().__init__(paths=paths, dimensions=steps, seed=seed, draws=draws, walk=steps)

    def _with_paths(self, paths: int) -> SingleBarrierMonteCarlo:
        return SingleBarrierMonteCarlo(self.kind, paths=paths, steps=self.draws.dimensions, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, *self._signs)

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import single_barriers_mc

        return single_barriers_mc.estimate(self.draws, x, gradient, self._signs)


DOWN_IN_CALL, DOWN_IN_PUT, DOWN_OUT_CALL, DOWN_OUT_PUT, UP_IN_CALL, UP_IN_PUT, UP_OUT_CALL, UP_OUT_PUT = map(SingleBarrierMonteCarlo, KINDS)


@kernel
def _price(points, walk, answers, sign, side, knocked_in):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: walk [steps, paths], answers [n, 1 or 9]."""
    w = cache_lines((ROWS + 5) * BLOCK)
    slopes = answers.shape[1] > 1
    constants = (sign, side, knocked_in, 1.0 if slopes else 0.0)
    frame, sums = np.empty(FRAME), np.empty(SUMS)
    for row in range(points.shape[0]):
        prepare(points[row], constants, frame)
        sums[:] = 0.0
        if abs(frame[PAYOFF_SHIFT]) < 1e300:
            w[_SUMS:] = 0.0
            _add_payoffs(w, walk, frame, slopes)
            _take(w, (ASSET, CASH, TILTED, BY_START, BY_DRIFT), sums)
        if abs(frame[REBATE_SHIFT]) < 1e300:
            w[_SUMS:] = 0.0
            if knocked_in > 0.0:
                _add_untouched(w, walk, frame, slopes and frame[REPAID] > 0.0)
            else:
                _add_touched(w, walk, frame, slopes and frame[REPAID] > 0.0)
            _take(w, (UNIT, UNIT_FIRST, UNIT_SECOND, UNIT_THIRD), sums)
        finish(points[row], constants, frame, sums, walk.shape[1], answers[row])


@scalar
def _take(w, names, sums):  # type: ignore[no-untyped-def]
    """The rows of sums, added, under their names."""
    for number in range(len(names)):
        sums[names[number]] = w[_SUMS + number * BLOCK : _SUMS + (number + 1) * BLOCK].sum()


@scalar
def _add_payoffs(w, walk, frame, slopes):  # type: ignore[no-untyped-def]
    """Adds the paths' parts of the payoff to the last rows of w."""
    shift, s, at_strike, sign, knocked_in = frame[PAYOFF_SHIFT], frame[S], frame[AT_STRIKE], frame[SIGN], frame[KNOCKED_IN]
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, frame[SIDE], frame[START], frame[DRIFT], shift, slopes)
        for i in range(BLOCK):
            one, two, three, four, five = payoff_parts(
                w[Z + i], w[ALIVE + i], w[PATH_BY_START + i], w[PATH_BY_DRIFT + i], s, at_strike, shift, sign, knocked_in
            )
            w[_SUMS + i] += one
            w[_SUMS + BLOCK + i] += two
            w[_SUMS + 2 * BLOCK + i] += three
            w[_SUMS + 3 * BLOCK + i] += four
            w[_SUMS + 4 * BLOCK + i] += five


@scalar
def _add_untouched(w, walk, frame, slopes):  # type: ignore[no-untyped-def]
    """The same of a rebate that is paid if the barrier was not touched."""
    shift, side, start, drift = frame[REBATE_SHIFT], frame[SIDE], frame[START], frame[DRIFT]
    rarer = -1.0 if safe(side, start, drift) else 1.0
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, drift, shift, slopes)
        for i in range(BLOCK):
            one, two, three = untouched_parts(w[Z + i], w[ALIVE + i], w[PATH_BY_START + i], w[PATH_BY_DRIFT + i], shift, rarer)
            w[_SUMS + i] += one
            w[_SUMS + BLOCK + i] += two
            w[_SUMS + 2 * BLOCK + i] += three


@scalar
def _add_touched(w, walk, frame, slopes):  # type: ignore[no-untyped-def]
    """The same of a rebate that is paid at the touch; the paths have no drift."""
    shift, side, start, p = frame[REBATE_SHIFT], frame[SIDE], frame[START], frame[P]
    base = touched_base(side, start, frame[DRIFT], shift, p)
    for first in range(0, walk.shape[1], BLOCK):
        survive(w, walk, first, side, start, 0.0, shift, slopes)
        for i in range(BLOCK):
            one, two, three, four = touched_parts(w[Z + i], w[ALIVE + i], w[PATH_BY_START + i], w[DISTANCE + i], shift, p, base)
            w[_SUMS + i] += one
            w[_SUMS + BLOCK + i] += two
            w[_SUMS + 2 * BLOCK + i] += three
            w[_SUMS + 3 * BLOCK + i] += four
