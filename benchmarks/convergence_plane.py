"""Convergence of the two-dimensional solvers: Heston in cells of price (half as many of variance, as many steps), Darcy in cells a side.

Truth: Heston's semi-closed price; for Darcy ours on 512 cells, with tests against series and SciPy's direct solver.
"""

from __future__ import annotations

from benchmarks.oracle_convergence import Curve, curve, gradient_error
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
    truth, slopes = HestonCall("high").values_and_gradients(x)
    answers = []
    for cells in sizes:
        made = HestonADICall()
        made.grid = (cells + 1, cells // 2 + 1, cells // 4)
        answers.append(made.values_and_gradients(x))
    values = [(value - truth).abs() for value, _ in answers]
    gradients = [gradient_error(HestonCall.domain, x, gradient, slopes) for _, gradient in answers]
    name = "heston_call_adi"
    return [curve(name, "value", "cells of price", sizes, values), curve(name, "gradient", "cells of price", sizes, gradients)]


def _darcy() -> list[Curve]:
    sizes = (8, 16, 32, 64, 128)
    x = design(DarcyFlow.domain, ROWS, seed=11)
    answers = []
    for cells in (*sizes, 512):
        made = DarcyFlow()
        made.cells = cells
        answers.append(made.values_and_gradients(x))
    truth, slopes = answers.pop()
    values = [(value - truth).abs() for value, _ in answers]
    gradients = [gradient_error(DarcyFlow.domain, x, gradient, slopes) for _, gradient in answers]
    return [curve("darcy_flow", "value", "cells", sizes, values), curve("darcy_flow", "gradient", "cells", sizes, gradients)]
