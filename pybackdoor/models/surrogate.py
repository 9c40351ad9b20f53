"""The surrogate protocol: a cheap map from natural-unit features to one number, with gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from pybackdoor.domain import Domain


class Surrogate(ABC):
    """A model under audit. Subclasses set `name` and `domain` and implement `_values` and `_values_and_gradients` on checked points."""

    name: str
    domain: Domain

    def values(self, x: Any) -> torch.Tensor:
        """Values [N], float64, at x: [N, d], natural units, on x's device. Points outside the domain are answered too."""
        return self._values(self.domain.check_points(x, f"surrogate {self.name}"))

    def values_and_gradients(self, x: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and d(value)/d(feature) [N, d], float64, at x: [N, d], natural units."""
        return self._values_and_gradients(self.domain.check_points(x, f"surrogate {self.name}"))

    @abstractmethod
    def _values(self, x: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...
