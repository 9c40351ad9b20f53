"""Surrogates whose error is known in closed form: an oracle plus planted Gaussian bumps in the unit cube."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import Evaluation, EvaluationStatus, Maximizers

SQUARE = Domain(("a", "b"), (-1.0, 2.0), (3.0, 4.0))


class Wave(Oracle):
    """A smooth function of the unit cube with a declared gradient cost, optional noise and a half space u0 > `broken` where it fails."""

    name = "wave"

    def __init__(self, domain: Domain = SQUARE, *, gradient_cost: float = 1.0, noise: float = 0.0, broken: float = 2.0) -> None:
        self.domain, self.gradient_cost, self.noise, self.broken = domain, gradient_cost, noise, broken
        self.points = 0
        self.gradients = 0

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        unit = self.domain.to_unit(x)
        values, slopes = wave(unit)
        self.points += x.shape[0]
        self.gradients += x.shape[0] * gradient
        if self.noise:
            values = values + self.noise * torch.sin(1e5 * unit.sum(dim=1))  # the same point gives the same value: common random numbers
        status = torch.where(unit[:, 0] > self.broken, EvaluationStatus.NOT_FINITE, EvaluationStatus.OK).to(torch.int64)
        values = torch.where(status == EvaluationStatus.OK, values, torch.nan)
        slopes = self.domain.gradient_to_natural(x, slopes)
        return Evaluation(values, slopes if gradient else None, torch.full_like(values, self.noise), status, self.cost(x.shape[0], gradient))


class Planted(Surrogate):
    """`Wave` plus heights[j] exp(-|u - centers[j]|^2 / (2 width^2)) plus tilt . u."""

    name = "planted"

    def __init__(
        self, centers: list[list[float]], heights: list[float], *, width: float = 0.1, tilt: list[float] | None = None, domain: Domain = SQUARE
    ) -> None:
        self.domain, self.width = domain, width
        self.centers = torch.tensor(centers, dtype=torch.float64).reshape(-1, domain.dimension)
        self.heights = torch.tensor(heights, dtype=torch.float64)
        self.tilt = torch.zeros(domain.dimension, dtype=torch.float64) if tilt is None else torch.tensor(tilt, dtype=torch.float64)

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        return self._values_and_gradients(x)[0]

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        unit = self.domain.to_unit(x)
        values, slopes = wave(unit)
        away = unit[:, None, :] - self.centers
        bumps = self.heights * torch.exp(-(away**2).sum(dim=2) / (2 * self.width**2))  # [N, J]
        values = values + bumps.sum(dim=1) + unit @ self.tilt
        slopes = slopes - (bumps[:, :, None] * away).sum(dim=1) / self.width**2 + self.tilt
        return values, self.domain.gradient_to_natural(x, slopes)


def wave(unit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A product-free sine and its gradient in the unit cube."""
    scale = torch.arange(1, unit.shape[1] + 1, dtype=unit.dtype)
    return torch.sin(3 * unit * scale).sum(dim=1), 3 * scale * torch.cos(3 * unit * scale)


def distances(maximizers: Maximizers, surrogate: Planted) -> torch.Tensor:
    """From each planted center to the nearest maximizer: [J]."""
    return torch.cdist(surrogate.centers, maximizers.unit).amin(dim=1)
