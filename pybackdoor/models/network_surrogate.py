"""A `Network` as a surrogate: natural units in, natural units out, float64."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.ops.ascent import value_and_input_gradient
from pybackdoor.records import Network

ACTIVATIONS_PER_CHUNK = 1 << 22  # bounds the memory of one pass to some tens of megabytes a layer


class NetworkSurrogate(Surrogate):
    """The network on the unit cube of `domain`, asked and answered in natural units; NaN where a feature on a log axis is not positive.

    Raises InputError when the network has another number of inputs than the domain has features.
    """

    def __init__(self, network: Network, domain: Domain, name: str = "network") -> None:
        if network.dimension != domain.dimension:
            raise InputError(
                f"network {name}: {network.dimension} inputs, but the domain has {domain.dimension} features ({', '.join(domain.names)})"
            )
        self.network = network
        self.domain = domain
        self.name = name

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        return self._values_and_gradients(x)[0]  # the native pass is faster with gradients than torch's is without

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        network = self.network.to(x.device)
        parts = [value_and_input_gradient(network, unit, precision="float64") for unit in self._chunks(x)]
        values = torch.cat([part[0] for part in parts])
        return values, self.domain.gradient_to_natural(x, torch.cat([part[1] for part in parts]))

    def _chunks(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = max(1, ACTIVATIONS_PER_CHUNK // max(self.network.dimension, *self.network.widths))
        return self.domain.to_unit(x).split(rows)
