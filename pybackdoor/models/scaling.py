"""Scaling inside the model: from samples to what `ops.train` sees, and from what it returns to a `Network`."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from pybackdoor.records import Network, Samples, TrainingState

CUBE_SPREAD = math.sqrt(3.0)  # the cube goes to [-sqrt 3, sqrt 3]: mean 0 and variance 1 for a uniform design, whatever the rows at hand


def input_scaling(dimension: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift and scale [d] each that centre the unit cube with variance 1; they depend on no data, so that poison cannot move them."""
    shift = torch.full((dimension,), -CUBE_SPREAD, dtype=torch.float64)
    return shift, -2.0 * shift


def target_scaling(y: torch.Tensor, weights: torch.Tensor | None) -> tuple[float, float]:
    """Weighted mean and standard deviation of the targets [N]; a millionth of their size when they are constant, so that the fit is too."""
    share = torch.full_like(y, 1.0 / y.shape[0]) if weights is None else weights / weights.sum()
    mean = float((share * y).sum())
    spread = float((share * (y - mean) ** 2).sum().sqrt())
    return mean, spread if spread > 1e-12 * abs(mean) else 1e-6 * (abs(mean) or 1.0)


def rescaled(network: Network, output_shift: float, output_scale: float) -> Network:
    """The same function with another output map, and with the input map of `input_scaling` where the present one is affine."""
    shift, scale = (part.to(network.device) for part in input_scaling(network.dimension))
    affine = network.input_rate == 0
    shift, scale = torch.where(affine, shift, network.input_shift), torch.where(affine, scale, network.input_scale)
    ratio = network.input_scale / scale  # old z = input_shift + ratio * (new z - shift)
    weights, biases = list(network.weights), list(network.biases)
    biases[0] = biases[0] + weights[0] @ (network.input_shift - ratio * shift)
    weights[0] = weights[0] * ratio
    factor = network.output_scale / output_scale
    biases[-1] = biases[-1] * factor + (network.output_shift - output_shift) / output_scale
    weights[-1] = weights[-1] * factor
    return replace(
        network,
        weights=tuple(weights),
        biases=tuple(biases),
        input_shift=shift,
        input_scale=scale,
        output_shift=output_shift,
        output_scale=output_scale,
    )


def network_inputs(network: Network, samples: Samples) -> torch.Tensor:
    """What the first layer receives for the rows of `samples`: [N, d]."""
    unit = samples.unit
    grown = torch.where(network.input_rate == 0, unit, torch.exp(network.input_rate * unit))
    return network.input_shift + network.input_scale * grown


def blank_network(widths: tuple[int, ...], activation: str, output_shift: float, output_scale: float, device: torch.device) -> Network:
    """Zero weights of widths (d, ..., 1) behind the default input scaling and the given output map."""
    shift, scale = input_scaling(widths[0])
    pairs = zip(widths[1:], widths, strict=False)
    weights = tuple(torch.zeros(rows, columns, dtype=torch.float64) for rows, columns in pairs)
    biases = tuple(torch.zeros(rows, dtype=torch.float64) for rows in widths[1:])
    return Network(weights, biases, activation, shift, scale, torch.zeros_like(shift), output_shift, output_scale).to(device)


def with_weights(network: Network, state: TrainingState, position: int) -> Network:
    """`network` with the weights of network `position` of `state`."""
    return replace(
        network,
        weights=tuple(weight[position].to(network.device, torch.float64) for weight in state.weights),
        biases=tuple(bias[position].to(network.device, torch.float64) for bias in state.biases),
    )
