"""What one call of the ascent asks for, checked."""

from __future__ import annotations

from typing import NamedTuple

import torch

from pybackdoor.records.ascent import Ascents, AscentSchedule
from pybackdoor.records.network import Network


class AscentProblem(NamedTuple):
    """N seeds climb (Y(u) - R(u))^2 with R(u) = second(u) + offsets + slopes . (u - anchors); absent parts are None and count as zero.

    starts, anchors, slopes [N, d]; radii, offsets [N]; all on one device. `precision` is "float32" or "float64".
    `threads` is for the CPU; None: as many as the package may use. A backend fills `out`,
    where it is given, and returns it.
    """

    network: Network
    starts: torch.Tensor
    schedule: AscentSchedule
    anchors: torch.Tensor | None = None
    radii: torch.Tensor | None = None
    second: Network | None = None
    offsets: torch.Tensor | None = None
    slopes: torch.Tensor | None = None
    precision: str = "float32"
    threads: int | None = 1
    out: Ascents | None = None
