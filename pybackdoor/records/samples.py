"""Labelled rows, and the separate record of what an attacker did to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pybackdoor.arrays import as_points, as_values
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError


@dataclass(frozen=True)
class Samples:
    """N labelled rows in natural units: x [N, d] and y [N], float64. Row numbers are positions, from 0."""

    domain: Domain
    x: torch.Tensor
    y: torch.Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", as_points(self.x, self.domain.dimension, "features", columns=self.domain.names))
        object.__setattr__(self, "y", as_values(self.y, self.x.shape[0], self.domain.target))

    @property
    def count(self) -> int:
        """The number of rows, N."""
        return int(self.x.shape[0])

    @property
    def unit(self) -> torch.Tensor:
        """The features in the unit cube [N, d]."""
        return self.domain.to_unit(self.x)

    def rows(self, index: torch.Tensor) -> Samples:
        """The rows that `index` names or, as a mask, keeps."""
        return Samples(self.domain, self.x[index], self.y[index])

    def join(self, other: Samples) -> Samples:
        """These rows, then those of `other`; the domains must be the same."""
        if self.domain != other.domain:
            raise InputError("samples: rows of two different domains cannot be joined")
        return Samples(self.domain, torch.cat([self.x, other.x]), torch.cat([self.y, other.y]))


@dataclass(frozen=True)
class PoisonTruth:
    """What the attacker knows: only evaluation code receives it, no defense signature accepts it.

    poisoned_rows, shield_rows: row numbers [P], [S] of the poisoned data set; center [d] natural units; radius and shield_radius in the unit cube;
    shift: mean label error planted; settings: the attack's configuration.
    """

    poisoned_rows: torch.Tensor
    shield_rows: torch.Tensor
    center: torch.Tensor
    radius: float
    shield_radius: float
    shift: float
    settings: dict[str, Any]
