"""Convergence of options by finite differences in one dimension, in cells, a quarter as many steps (American: as many); two grids combined.

Truth: the closed form; for the American put the spectral method's highest level.
"""

from __future__ import annotations

from benchmarks.oracle_convergence import Curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.american_pde import AmericanPutPDE
from pybackdoor.oracles.single_barriers import SingleBarrier
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

ROWS = 400
SIZES = (32, 64, 128, 256, 512)


def curves() -> list[Curve]:
    """All of them."""
    found = []
    for kind in ("down_out_put", "up_in_call", "american_put"):
        exact = AmericanPut("high") if kind == "american_put" else SingleBarrier(kind)
        x = design(exact.domain, ROWS, seed=11)
        truth = exact.values_and_gradients(x)
        answers = []
        for cells in SIZES:
            made = AmericanPutPDE(space=cells, time=cells) if kind == "american_put" else SingleBarrierPDE(kind, space=cells, time=cells // 4)
            answers.append(made.values_and_gradients(x))
        found += curves_of(made, "cells", SIZES, x, answers, truth)
    return found
