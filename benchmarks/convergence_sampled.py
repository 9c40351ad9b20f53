"""Convergence of two Monte Carlo methods: Heston's in steps (with its standard errors) and in paths, the Bermudan bounds' distance in inner draws.

Truth: Heston's semi-closed price. The bounds need none.
"""

from __future__ import annotations

import torch

from benchmarks.oracle_convergence import Curve, curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles.bermudan import BermudanMaxCall
from pybackdoor.oracles.heston import HestonPut
from pybackdoor.oracles.heston_mc import HestonPutMonteCarlo

CASE_I = [100.0, 100.0, 0.04, 0.5, 0.04, 1.0, -0.9, 4.0, 0.0, 0.0]  # Andersen's, cut to four years
SEEDS = 4


def curves() -> list[Curve]:
    """All of them."""
    return [*_over_the_domain(), *_where_feller_fails(), _bounds()]


def _over_the_domain() -> list[Curve]:
    sizes = (8, 16, 32, 64, 128)
    x = design(HestonPut.domain, 48, seed=11)
    truth = HestonPut("high").values_and_gradients(x)
    answers = [HestonPutMonteCarlo(paths=2**14, steps=steps).values_and_gradients(x) for steps in sizes]
    return curves_of(HestonPutMonteCarlo(), "steps", sizes, x, answers, truth)


def _where_feller_fails() -> list[Curve]:
    """Errors of all ten derivatives over 1 + their size, several seeds: in paths at 128 steps, and in steps at 2^16 paths."""
    slopes = HestonPut("high").values_and_gradients([CASE_I])[1][0]

    def errors(paths: int, steps: int) -> torch.Tensor:
        made = [HestonPutMonteCarlo(paths=paths, steps=steps, seed=seed).values_and_gradients([CASE_I])[1][0] for seed in range(SEEDS)]
        return ((torch.stack(made) - slopes).abs() / (1 + slopes.abs())).flatten()

    paths, steps, name = (2**12, 2**14, 2**16), (16, 32, 64, 128), "heston_put_mc, case I"
    return [
        curve(f"{name} by paths", "gradient", "paths", paths, [errors(size, 128) for size in paths]),
        curve(f"{name} by steps", "gradient", "steps", steps, [errors(2**16, size) for size in steps]),
    ]


def _bounds() -> Curve:
    """Upper less lower bound, over the price."""
    sizes = (4, 8, 16, 32, 64)
    rows = [[spot, spot, 100.0, 0.2, 0.2, 0.0, 3.0, 0.05, 0.1, 0.1] for spot in (90.0, 100.0, 110.0)]
    found = [BermudanMaxCall(training=1024).bounds(rows, inner=inner) for inner in sizes]
    return curve("bermudan_max_call_two_mc", "distance of the bounds", "inner draws", sizes, [(b.upper - b.lower) / b.lower for b in found])
