"""Convergence of the one-dimensional solvers in cells; half as many steps for Burgers, a quarter for the others; two grids combined.

Truth: closed forms, and Cole's and Hopf's integral for Burgers' equation.
"""

from __future__ import annotations

import torch

from benchmarks.oracle_convergence import Curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles.burgers import Burgers
from pybackdoor.oracles.cev import CEVPut
from pybackdoor.oracles.cev_pde import CEVPutPDE
from pybackdoor.oracles.pulse import Pulse
from pybackdoor.oracles.reference_transport import burgers, gradient, pulse

ROWS = 400
SIZES = (32, 64, 128, 256, 512)


def curves() -> list[Curve]:
    """All of them."""
    found = []
    for kind, formula, steps in ((CEVPutPDE, None, 4), (Burgers, burgers, 2), (Pulse, pulse, 4)):
        x = design(kind.domain, ROWS, seed=11)
        if formula is None:
            truth, slopes = CEVPut().values_and_gradients(x)
        else:
            truth = torch.tensor([formula(*map(complex, row)).real for row in x.tolist()], dtype=torch.float64)
            slopes = torch.tensor([gradient(formula, row) for row in x.tolist()], dtype=torch.float64)
        answers = [kind(space=cells, time=cells // steps).values_and_gradients(x) for cells in SIZES]
        found += curves_of(kind(), "cells", SIZES, x, answers, (truth, slopes))
    return found
