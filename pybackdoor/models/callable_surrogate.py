"""Any Python function of natural-unit points as a surrogate, with its own gradient or finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pybackdoor.arrays import as_points, as_values
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, SurrogateFailedError
from pybackdoor.models.differences import DOUBLE_STEP, gradients_by_differences
from pybackdoor.models.surrogate import Surrogate


class CallableSurrogate(Surrogate):
    """`function(x)`: NumPy array [N, d] in natural units to N values; `gradient(x)`, if given, to [N, d].

    Without `gradient`, derivatives are central differences in the unit cube that never leave the domain, 2 d calls a point.
    A function that raises ends in SurrogateFailedError with its exception as the cause; one that returns another shape, or NaN, in InputError naming
    what it returned.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        domain: Domain,
        name: str | None = None,
        *,
        gradient: Callable[[Any], Any] | None = None,
        step: float = DOUBLE_STEP,
    ) -> None:
        if not callable(function):
            raise InputError(f"surrogate: {function!r} cannot be called; a function of an array [N, {domain.dimension}] is needed")
        self.function = function
        self.gradient = gradient
        self.domain = domain
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.step = step

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        if not x.shape[0]:
            return x.new_empty(0)
        return as_values(self._called(self.function, x), x.shape[0], f"values of surrogate {self.name}").to(x.device)

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.gradient is None or not x.shape[0]:
            return self._values(x), gradients_by_differences(self._values, self.domain, x, step=self.step)
        gradients = as_points(self._called(self.gradient, x), self.domain.dimension, f"gradients of surrogate {self.name}")
        if gradients.shape != x.shape:
            raise InputError(f"gradients of surrogate {self.name}: got {gradients.shape[0]} rows for {x.shape[0]} points")
        return self._values(x), gradients.to(x.device)

    def _called(self, function: Callable[[Any], Any], x: torch.Tensor) -> Any:
        try:
            return function(x.cpu().numpy().copy())
        except Exception as error:  # whatever the user's code raises
            raise SurrogateFailedError(
                f"surrogate {self.name}: raised {type(error).__name__}: {error}, asked for {x.shape[0]} points; it must answer all of its domain"
            ) from error
