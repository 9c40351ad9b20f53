"""Convergence of options by Monte Carlo in paths, drawn by scrambled Sobol points and by Philox.

An error is the root of the mean square over SEEDS independent sets of draws, all points of a set sharing theirs. Truth: closed forms.
"""

from __future__ import annotations

import torch

from benchmarks.oracle_convergence import Curve, curve
from pybackdoor.data import design
from pybackdoor.oracles.european_mc import EuropeanPutMonteCarlo
from pybackdoor.oracles.european_vanilla import EuropeanPut
from pybackdoor.oracles.max_call import MaxCall
from pybackdoor.oracles.max_call_two import MaxCallTwo
from pybackdoor.oracles.single_barriers import SingleBarrier
from pybackdoor.oracles.single_barriers_mc import SingleBarrierMonteCarlo

ROWS = 64
PATHS = (2048, 8192, 32768)
SEEDS = 8


def curves() -> list[Curve]:
    """All of them."""
    pairs = (
        (EuropeanPut(), EuropeanPutMonteCarlo),
        (SingleBarrier("down_out_put"), lambda **options: SingleBarrierMonteCarlo("down_out_put", **options)),
        (MaxCallTwo(), lambda **options: MaxCall(2, **options)),
    )
    found = []
    for exact, made in pairs:
        x = design(exact.domain, ROWS, seed=11)
        truth = exact.values(x)
        for draws in ("sobol", "philox"):
            errors = []
            for paths in PATHS:
                misses = torch.stack([made(paths=paths, draws=draws, seed=seed).values(x) - truth for seed in range(SEEDS)])
                errors.append(misses.square().mean(dim=0).sqrt())
            found.append(curve(made(draws=draws).name, draws, "paths", PATHS, errors))
    return found
