"""Convergence of the closed and semi-closed forms: Heston in the points of its contour, American puts by level, the others as they are.

Truth: 50-digit arithmetic for Black-Scholes and barriers; QuantLib's QdFp with 30 points and 60 iterations for American puts (values); for Heston
itself at 256 points, which the tests hold to 20-digit quadrature.
"""

from __future__ import annotations

from functools import partial

import mpmath
import torch

from benchmarks import quantlib_prices as peer
from benchmarks.oracle_convergence import Curve, curve, curves_of
from pybackdoor.data import design
from pybackdoor.oracles import Oracle, heston, oracle, reference_barriers
from pybackdoor.oracles.american import LEVELS, AmericanPut
from pybackdoor.oracles.heston import HestonPut

ROWS = 400


def curves() -> list[Curve]:
    """All of them."""
    put = partial(reference_barriers.european, False)
    found = [*_heston(), _american(), *_rounding(oracle("european_put"), put)]
    for kind in ("down_out_put", "up_in_call"):
        found += _rounding(oracle(f"barrier_{kind}"), partial(reference_barriers.single_barrier, kind))
    return found


class Contour(HestonPut):
    """The put on a contour of any number of points."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points

    def _solve(self, points, gradient):  # type: ignore[no-untyped-def]
        return self._run(heston._price, points, gradient, self.sign, self.points)


def _heston() -> list[Curve]:
    sizes = (8, 16, 32, 64, 128)
    x = design(HestonPut.domain, 4096, seed=11)
    truth = Contour(256).values_and_gradients(x)
    answers = [Contour(size).values_and_gradients(x) for size in sizes]
    return curves_of(HestonPut(), "points of the contour", sizes, x, answers, truth)


def _american() -> Curve:
    x = design(AmericanPut.domain, ROWS, seed=11)
    x[:, 3] = (x[:, 3] * peer.DAYS).round().clamp(min=8) / peer.DAYS
    x[:, 4] = x[:, 4].clamp(min=1e-3)
    truth = peer.american_truth(x)
    levels = {level: nodes for level, (_, (nodes, _), *_) in LEVELS.items()}
    return curve(
        "american_put", "value", "points of the boundary", list(levels.values()), [(AmericanPut(level).values(x) - truth).abs() for level in levels]
    )


def _rounding(made: Oracle, formula) -> list[Curve]:  # type: ignore[no-untyped-def]
    """Errors of a form that does not converge but rounds, drawn at one size."""
    x = design(made.domain, 60, seed=11)
    with mpmath.workdps(50):
        truth = torch.tensor([float(formula(*map(mpmath.mpf, row))) for row in x.tolist()], dtype=torch.float64)
        slopes = torch.tensor([[float(part) for part in reference_barriers.gradient(formula, row)] for row in x.tolist()], dtype=torch.float64)
    return curves_of(made, "(closed form)", (1,), x, [made.values_and_gradients(x)], (truth, slopes))
