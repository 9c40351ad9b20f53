"""Local maximizers of the squared error between surrogate and oracle, worst first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pybackdoor.domain import Domain


@dataclass(frozen=True)
class Maximizers:
    """M local error maximizers, thinned, worst first; every number recomputed in float64.

    x [M, d] natural units; unit [M, d] the same in the unit cube; surrogate [M] and oracle [M] values; standard_errors [M] of the oracle;
    status [M] int64 codes of AscentStatus; oracle_calls spent by the search, in value calls; failures: oracle points that gave no usable value.
    """

    domain: Domain
    x: torch.Tensor
    unit: torch.Tensor
    surrogate: torch.Tensor
    oracle: torch.Tensor
    standard_errors: torch.Tensor
    status: torch.Tensor
    oracle_calls: float
    failures: int = 0

    @property
    def errors(self) -> torch.Tensor:
        """Surrogate - oracle, signed: [M]."""
        return self.surrogate - self.oracle

    @property
    def count(self) -> int:
        """The number of maximizers, M."""
        return int(self.x.shape[0])
