"""Convergence of the two-dimensional solvers: Heston in cells of price (half as many of variance, as many steps), Darcy in cells a side.

Truth: Heston's semi-closed price; for Darcy ours on 512 cells, with tests against series and SciPy's direct solver.
"""

from __future__ import annotations

from benchmarks.oracle_convergence import Curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles.darcy import DarcyFlow
from pybackdoor.oracles.heston import HestonCall
from pybackdoor.oracles.heston_adi import HestonADICall

ROWS = 64


def curves() -> list[Curve]:
    """All of them."""
    return [*_heston(), *_darcy()]


def _heston() -> list[Curve]:
    sizes = (24, 48, 96, 192)
    x = design(HestonCall.domain, ROWS, seed=11)
    truth = HestonCall("high").values_and_gradients(x)
    answers = []
    for cells in sizes:
        made = HestonADICall()
        made.use_grid(cells + 1, cells // 2 + 1, cells // 3)
        answers.append(made.values_and_gradients(x))
    return curves_of(made, "cells of price", sizes, x, answers, truth)


def _darcy() -> list[Curve]:
    sizes = (8, 16, 32, 64, 128)
    x = design(DarcyFlow.domain, ROWS, seed=11)
    answers = []
    for cells in (*sizes, 512):
        made = DarcyFlow()
        made.cells = cells
        answers.append(made.values_and_gradients(x))
    truth = answers.pop()
    return curves_of(DarcyFlow(), "cells", sizes, x, answers, truth)
