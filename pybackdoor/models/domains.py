"""The same model on another domain: other bounds, other order of features, another scale of an axis."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.models.network_surrogate import NetworkSurrogate


def on_domain(surrogate: NetworkSurrogate, domain: Domain) -> NetworkSurrogate:
    """The same function of natural units, searched on `domain`; exact, by recomposing the input map of each feature.

    Bounds and order may differ. An axis that turns from linear to log takes the exponential input map; from log to linear is refused (a network of
    log x has no input map from a linear axis) unless the network takes that feature in natural units.
    Raises InputError when the features or the target have other names, or for such an axis.
    """
    own = surrogate.domain
    if set(own.names) != set(domain.names) or own.target != domain.target:
        raise InputError(
            f"model {surrogate.name}: made for the features {', '.join(own.names)} and the target {own.target}, the domain has "
            f"{', '.join(domain.names)} and {domain.target}; give the domain the model was made for"
        )
    if own == domain:
        return surrogate
    order = [own.names.index(name) for name in domain.names]
    network = surrogate.network
    maps = torch.stack([network.input_shift, network.input_scale, network.input_rate], dim=1).tolist()
    columns = [_map(own, old, domain, new, maps[old]) for new, old in enumerate(order)]
    shift, scale, rate = torch.tensor(columns, dtype=torch.float64, device=network.device).T.contiguous()
    weights = (network.weights[0][:, order].contiguous(), *network.weights[1:])
    return NetworkSurrogate(replace(network, weights=weights, input_shift=shift, input_scale=scale, input_rate=rate), domain, surrogate.name)


def _map(own: Domain, old: int, domain: Domain, new: int, given: list[float]) -> tuple[float, float, float]:
    """(shift, scale, rate) of one feature on the new domain, from those on its own."""
    shift, scale, rate = given
    logs = own.scales[old] == "log", domain.scales[new] == "log"
    low, span = _axis(own, old)
    new_low, new_span = _axis(domain, new)
    if logs[0] == logs[1]:  # old u = offset + stretch * new u
        offset, stretch = (new_low - low) / span, new_span / span
        if rate == 0:
            return shift + scale * offset, scale * stretch, 0.0
        return shift, scale * math.exp(rate * offset), rate * stretch
    if logs[1] and rate == 0:  # z = shift + scale * (x - low) / span, x = lower * exp(new_span * new u)
        return shift - scale * low / span, scale * domain.lower[new] / span, new_span
    if logs[0] and rate == span:  # exp(rate * old u) = x / lower
        return shift + scale * new_low / own.lower[old], scale * new_span / own.lower[old], 0.0
    raise InputError(f"model: takes {own.names[old]} by its logarithm, so it cannot be searched on a linear axis; give that feature the scale 'log'")


def _axis(domain: Domain, feature: int) -> tuple[float, float]:
    lower, upper = domain.lower[feature], domain.upper[feature]
    return (math.log(lower), math.log(upper) - math.log(lower)) if domain.scales[feature] == "log" else (lower, upper - lower)
