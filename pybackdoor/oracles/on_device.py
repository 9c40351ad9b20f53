"""Oracles that have a kernel for CUDA devices: points that lie on one are answered there."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from pybackdoor.oracles.cuda.availability import unavailable
from pybackdoor.oracles.oracle import Oracle, say_once
from pybackdoor.records.evaluation import Evaluation


class OnDevice(Oracle):
    """Put before the base that computes on the CPU; subclasses implement `_solve_on_device`.

    Points on a CUDA device are answered by the kernel, without leaving the device and without a wait. Where no kernel can run (numba-cuda is missing,
    see `pybackdoor info`) the CPU computes, and the log says so once.
    """

    devices = ("cpu", "cuda")

    def _answer(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        if not x.is_cuda:
            return super()._answer(x, gradient)
        reason = unavailable()
        if reason is None:
            return self._evaluate_on_device(x, gradient)
        say_once(f"oracle {self.name} computes on the CPU for points on {x.device}: {reason}")
        return self._evaluate(x, gradient)

    def _evaluate_on_device(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        values, gradients, status, *sampling = self._solve_on_device(x, gradient)
        errors = sampling[0] if sampling else torch.zeros_like(values)
        return Evaluation(values, gradients if gradient else None, errors, status, self.cost(x.shape[0], gradient))

    @abstractmethod
    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        """Values [N], gradients [N, d] (anything if not asked for), status [N] int64 and, if sampled, standard errors [N], at acceptable points.

        All lie on the points' device and are NaN where the status is not OK; kernels are launched, and nothing waits for them.
        """


def solve_elsewhere(oracle: Any, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
    """What the CPU answers where a grid is too large for the kernel of a `Gridded` oracle; the log says so once."""
    say_once(f"oracle {oracle.name} computes on the CPU for points on {x.device}: its kernel has no room for a grid of {oracle.grid.space} cells")
    return tuple(part.to(x.device) for part in oracle._solve(x.cpu().numpy(), gradient))
