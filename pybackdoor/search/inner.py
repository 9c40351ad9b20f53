"""The inner loop of every search: many seeds climb (Y - R)^2 without asking the oracle."""

from __future__ import annotations

import torch

from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.ops.ascent import AscentProblem, reference, solve
from pybackdoor.records import Ascents, AscentSchedule


class InnerAscent:
    """Y is `surrogate`; R the optional `pseudo_oracle` plus, per call and seed, an offset and a slope (see `ops.ascent`).

    Two networks go to `ops.ascent` in `precision`; with any other surrogate the reference climbs on its values and gradients, in float64.
    """

    def __init__(self, surrogate: Surrogate, pseudo_oracle: Surrogate | None = None, *, precision: str = "float32", backend: str = "auto") -> None:
        self.surrogate = surrogate
        self.pseudo_oracle = pseudo_oracle
        pair = (surrogate, pseudo_oracle)
        self._networks = [part.network.to(self.device) for part in pair if isinstance(part, NetworkSurrogate)]
        self._native = len(self._networks) == sum(part is not None for part in pair)
        self.precision = precision
        self.backend = backend

    @property
    def device(self) -> torch.device:
        """Where the searched networks live; the CPU for any other surrogate."""
        return self.surrogate.network.device if isinstance(self.surrogate, NetworkSurrogate) else torch.device("cpu")

    def climb(
        self,
        starts: torch.Tensor,
        schedule: AscentSchedule,
        *,
        anchors: torch.Tensor | None = None,
        radii: torch.Tensor | None = None,
        offsets: torch.Tensor | None = None,
        slopes: torch.Tensor | None = None,
    ) -> Ascents:
        """The best point of each seed, starts [N, d] in the unit cube; the surrogate's values are those of the search's precision."""
        first, second = self.surrogate, self.pseudo_oracle
        if self._native:
            network, *others = self._networks
            problem = AscentProblem(
                network, starts, schedule, anchors, radii, others[0] if others else None, offsets, slopes, self.precision, threads=None
            )
            return solve(problem, self.backend)
        target = reference.Target(
            _in_unit(first), None if second is None else _in_unit(second), starts if anchors is None else anchors, radii, offsets, slopes
        )
        return reference.climb(target, starts, schedule)

    def pseudo_gradients(self, unit: torch.Tensor) -> torch.Tensor:
        """d(pseudo-oracle)/du [N, d] at points of the unit cube; zero without one."""
        return torch.zeros_like(unit) if self.pseudo_oracle is None else _in_unit(self.pseudo_oracle)(unit)[1]


def _in_unit(surrogate: Surrogate) -> reference.ValueAndGradient:
    """A surrogate's values [N] and gradients d/du [N, d] at points of the unit cube."""
    domain = surrogate.domain

    def value_and_gradient(unit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = domain.to_natural(unit)
        values, gradients = surrogate._values_and_gradients(x)
        return values, domain.gradient_to_unit(x, gradients)

    return value_and_gradient
