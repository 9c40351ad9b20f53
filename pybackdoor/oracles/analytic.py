"""Cheap test functions with closed-form gradients, in torch, on any device."""

from __future__ import annotations

from abc import abstractmethod

import torch

from pybackdoor.oracles.families import TEST_FUNCTIONS
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation


class AnalyticOracle(Oracle):
    """A formula of a few lines. Subclasses set `name` and `domain` and give values and gradients together."""

    exact = True
    family = TEST_FUNCTIONS
    method = "formula"
    accuracy = "rounding"
    devices = ("cpu", "cuda")
    gradient_cost = 1.0

    @abstractmethod
    def formula(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [N] and gradients [N, d] at x [N, d], natural units."""

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        values, gradients = self.formula(x)
        return Evaluation(
            values,
            gradients if gradient else None,
            torch.zeros_like(values),
            torch.zeros_like(values, dtype=torch.int64),
            self.cost(x.shape[0], gradient),
        )
