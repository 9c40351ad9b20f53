"""A block of Brownian paths beside a barrier: the chance that each, watched continuously between its steps, never touched it.

In units where the walk is a standard Brownian motion W on [0, 1], the distance from the barrier at time t is D + drift t + W(t) (counted from the
barrier to the living side, which `side` = -1 turns around). Between two steps 1 / M apart at distances a, b > 0 a Brownian bridge touches with
probability exp(-2 M a b), whatever the drift (J. Beaglehole, P. Dybvig and G. Zhou, Financial Analysts Journal 53 (1997), 62-68): the product q of
the rest is the exact chance of survival given the steps, for any number of steps, and continuous in all parameters.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.barrier_path import survived, survived_with_slopes
from pybackdoor.oracles.scalar.block import BLOCK

Z, DISTANCE, ALIVE, BY_START, BY_DRIFT = range(0, 5 * BLOCK, BLOCK)  # rows of a block
ROWS = 5


@scalar
def survive(w, walk, first, side, start, drift, shift, slopes):  # type: ignore[no-untyped-def]
    """Fills the rows of w for paths first .. first + BLOCK - 1 of walk [steps, n].

    Z: W(1) - shift as drawn, whose weight is exp(-shift Z - shift^2 / 2). DISTANCE at time 1. ALIVE: q, and with `slopes` its derivatives in D and
    drift.
    """
    steps = walk.shape[0]
    rate, tilt = 2.0 * steps, side * (drift + shift) / steps
    for i in range(BLOCK):
        w[DISTANCE + i], w[ALIVE + i], w[BY_START + i], w[BY_DRIFT + i] = start, 1.0, 0.0, 0.0
    for step in range(steps):
        block = walk[step, first : first + BLOCK]
        centre = start + tilt * (step + 1)
        before, after = side * rate * step / steps, side * rate * (step + 1) / steps
        if slopes:
            for i in range(BLOCK):
                here = centre + side * block[i]
                w[ALIVE + i], w[BY_START + i], w[BY_DRIFT + i] = survived_with_slopes(
                    w[ALIVE + i], w[BY_START + i], w[BY_DRIFT + i], w[DISTANCE + i], here, rate, before, after
                )
                w[DISTANCE + i] = here
        else:
            for i in range(BLOCK):
                here = centre + side * block[i]
                w[ALIVE + i] = survived(w[ALIVE + i], w[DISTANCE + i], here, rate)
                w[DISTANCE + i] = here
    block = walk[steps - 1, first : first + BLOCK]
    for i in range(BLOCK):
        w[Z + i] = block[i]
