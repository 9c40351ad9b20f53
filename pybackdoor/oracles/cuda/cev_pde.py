"""Put and call under constant elasticity of variance by finite differences, on a GPU: a warp an option."""

from __future__ import annotations

from functools import partial

import torch

from pybackdoor.oracles.cev_grid import COLUMNS, DISTANCE, node, payoff, push_node
from pybackdoor.oracles.cev_pde import CEVPDE, NO_SPREAD, payoff_of_forward, posed, spread
from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.cuda.posed import in_parts
from pybackdoor.oracles.cuda.steady import Formulas
from pybackdoor.oracles.cuda.steady import solve as solve_steady
from pybackdoor.oracles.gridded import carried
from pybackdoor.oracles.grids import extrapolated
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import load


@scalar
def _node(frame, row, half):  # type: ignore[no-untyped-def]
    z, a, _ = node(frame, row, half)
    return z, a, 0.0, payoff(z)


@scalar
def _place(frame, last):  # type: ignore[no-untyped-def]
    spot = exp(load(frame, DISTANCE))
    return spot, spot, 1.0


@scalar
def _push(frame, bars, row, half, x_bar, a_bar, c_bar, first_bar):  # type: ignore[no-untyped-def]
    push_node(frame, bars, row, half, node(frame, row, half), x_bar, a_bar, first_bar)


FORMULAS = Formulas("cev", len(COLUMNS), DISTANCE, _node, _place, _push)


def solve(oracle: CEVPDE, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values [N], gradients [N, 7] (meaningless without `gradient`) and status [N] at acceptable points."""

    def price(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, gradients = payoff_of_forward(oracle.sign, points)
        chosen = spread(points) > NO_SPREAD

        def run(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return extrapolated(oracle.grid, lambda cells, steps: solve_steady(FORMULAS, frames, cells, steps, chosen, gradient))

        solved, slopes = carried(points, gradient, partial(posed, oracle.sign), run)
        values = torch.where(chosen, solved, values)
        return values, torch.where(chosen[:, None], slopes, gradients) if gradient else gradients

    return in_parts(price, x, gradient)
