"""The borehole function: water flow through a borehole between two aquifers.

Source: W. V. Harper and S. K. Gupta, "Sensitivity/uncertainty analysis of a borehole scenario comparing Latin hypercube sampling and deterministic
sensitivity approaches", Office of Nuclear Waste Isolation, BMI/ONWI-516 (1983).
"""

from __future__ import annotations

import math

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.analytic import AnalyticOracle
from pybackdoor.oracles.conditions import Condition, Row, positive


def _outside_the_hole(row: Row) -> torch.Tensor:
    return row["r"] > row["rw"]


class Borehole(AnalyticOracle):
    """Flow in cubic metres a year,

        f = 2 pi Tu (Hu - Hl) / (g (1 + 2 L Tu / (g rw^2 Kw) + Tu / Tl)),   g = ln(r / rw).

    Features: radius of the borehole rw [m], radius of influence r [m], transmissivities Tu, Tl [m^2/year], heads Hu, Hl [m], length L [m],
    conductivity Kw [m/year].
    """

    name = "borehole"
    domain = Domain(
        ("rw", "r", "tu", "hu", "tl", "hl", "length", "kw"),
        (0.05, 100.0, 63070.0, 990.0, 63.1, 700.0, 1120.0, 9855.0),
        (0.15, 50000.0, 115600.0, 1110.0, 116.0, 820.0, 1680.0, 12045.0),
        target="flow",
    )
    conditions = (*positive("rw", "r", "tu", "tl", "length", "kw"), Condition("r", "a radius of influence above the borehole's", _outside_the_hole))

    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, 8]."""
        rw, r, tu, hu, tl, hl, length, kw = x.unbind(dim=1)
        log_ratio = torch.log(r / rw)
        conduit = 2 * length / (rw**2 * kw)
        resistance = log_ratio * (1 / tu + 1 / tl) + conduit  # f = 2 pi (Hu - Hl) / resistance
        factor = 2 * math.pi / resistance
        values = factor * (hu - hl)
        slope = -values / resistance  # d f / d resistance
        return values, torch.stack(
            [
                slope * (-(1 / tu + 1 / tl) / rw - 2 * conduit / rw),
                slope * (1 / tu + 1 / tl) / r,
                slope * -log_ratio / tu**2,
                factor,
                slope * -log_ratio / tl**2,
                -factor,
                slope * conduit / length,
                slope * -conduit / kw,
            ],
            dim=1,
        )
