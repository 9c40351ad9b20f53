"""Convergence of the mean exit time: the boundary-value problem in cells, the paths in their number.

Truth: integrals in 25 digits; for gradients ours on 4,096 cells, tests holding 512 to the integrals' derivatives.
"""

from __future__ import annotations

import mpmath
import torch

from benchmarks.oracle_convergence import Curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles.mean_exit_time import DOMAIN, MeanExitTime
from pybackdoor.oracles.mean_exit_time_mc import MeanExitTimeMonteCarlo
from pybackdoor.oracles.reference_mean_exit_time import mean_exit_time

ROWS = 64
CELLS = (16, 32, 64, 128, 256, 512)
PATHS = (256, 1024, 4096, 16384)


def curves() -> list[Curve]:
    """All of them."""
    x = design(DOMAIN, ROWS, seed=11)
    with mpmath.workdps(25):
        truth = torch.tensor([float(mean_exit_time(*row)) for row in x.tolist()], dtype=torch.float64)
    slopes = _on(4096).values_and_gradients(x)[1]
    found = []
    for sizes, axis, made in ((CELLS, "cells", _on), (PATHS, "paths", lambda paths: MeanExitTimeMonteCarlo(paths=paths))):
        answers = [made(size).values_and_gradients(x) for size in sizes]
        found += curves_of(made(sizes[0]), axis, sizes, x, answers, (truth, slopes))
    return found


def _on(cells: int) -> MeanExitTime:
    made = MeanExitTime()
    made.cells = cells
    return made
