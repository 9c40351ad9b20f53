"""A pulse in a flow by finite differences, on a GPU: a warp a concentration."""

from __future__ import annotations

import torch

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.cuda.posed import in_parts
from pybackdoor.oracles.cuda.steady import Formulas
from pybackdoor.oracles.cuda.steady import solve as solve_steady
from pybackdoor.oracles.gridded import carried
from pybackdoor.oracles.grids import extrapolated
from pybackdoor.oracles.lanes import load
from pybackdoor.oracles.pulse import Pulse, posed
from pybackdoor.oracles.pulse_grid import COLUMNS, PLACE, SPREAD, node, push_node


@scalar
def _node(frame, row, half):  # type: ignore[no-untyped-def]
    z, c, first = node(frame, row, half)
    return z, load(frame, SPREAD), c, first if 0 < row < 2 * half else 0.0


@scalar
def _place(frame, last):  # type: ignore[no-untyped-def]
    place = load(frame, PLACE)
    inside = 1.0 if abs(place) < last else 0.0
    return place * inside, 1.0, inside


@scalar
def _push(frame, bars, row, half, x_bar, a_bar, c_bar, first_bar):  # type: ignore[no-untyped-def]
    z, _, _ = node(frame, row, half)
    push_node(frame, bars, row, half, z, x_bar, a_bar, c_bar, first_bar if 0 < row < 2 * half else 0.0)


FORMULAS = Formulas("pulse", len(COLUMNS), PLACE, _node, _place, _push)


def solve(oracle: Pulse, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values [N], gradients [N, 8] (meaningless without `gradient`) and status [N] at acceptable points."""

    def concentration(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.ones(len(points), dtype=torch.bool, device=points.device)

        def run(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return extrapolated(oracle.grid, lambda cells, steps: solve_steady(FORMULAS, frames, cells, steps, chosen, gradient))

        values, slopes = carried(points, gradient, posed, run)
        return values, slopes if gradient else points.new_zeros(0, points.shape[1])

    return in_parts(concentration, x, gradient)
