"""Random initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from pybackdoor.errors import InputError
from pybackdoor.ops.philox import uniforms
from pybackdoor.records import ACTIVATIONS, TrainingState

_SATURATING = ("tanh", "sigmoid")


def initial_state(
    widths: Sequence[int],
    activation: str,
    *,
    networks: int = 1,
    seed: int = 0,
    streams: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> TrainingState:
    """M networks with random weights, zero moments, at step 0.

    widths: (d, W, ..., 1), inputs, hidden widths, output. Weights are uniform with variance g / fan_in: g = 2 for the rectifier-like activations
    (He et al. 2015), 1 for tanh, sigmoid and the last layer (LeCun et al. 1998); biases uniform in +-1 / sqrt(fan_in), to spread the kinks.
    Network m draws from Philox stream streams[m] (default 0 .. M - 1) and does not depend on the others; float32 is the float64 draw rounded.
    Raises InputError on widths, activation or counts that make no network.

    >>> initial_state((5, 64, 64, 1), "silu", networks=3).weights[0].shape
    torch.Size([3, 64, 5])
    """
    widths = tuple(widths)
    if len(widths) < 2 or any(int(width) != width or width < 1 for width in widths) or widths[-1] != 1:
        raise InputError(f"widths: got {widths}; (inputs, hidden widths ..., 1) is needed, whole numbers >= 1")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation: got {activation!r}; one of {', '.join(ACTIVATIONS)} is needed")
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"dtype: got {dtype}; torch.float32 or torch.float64 is needed")
    numbers = tuple(range(networks)) if streams is None else tuple(streams)
    if networks < 1 or len(numbers) != networks:
        raise InputError(f"networks: {networks}, with {len(numbers)} streams; at least one network, and one stream each, is needed")
    drawn = [_parameters(widths, activation, seed, stream) for stream in numbers]
    parameters = [torch.stack(tensors).to(device=device, dtype=dtype) for tensors in zip(*drawn, strict=True)]
    layers = len(widths) - 1
    return TrainingState(
        tuple(parameters[:layers]),
        tuple(parameters[layers:]),
        tuple(torch.zeros_like(tensor) for tensor in parameters),
        tuple(torch.zeros_like(tensor) for tensor in parameters),
    )


def _parameters(widths: tuple[int, ...], activation: str, seed: int, stream: int) -> list[torch.Tensor]:
    """Weights, then biases, of one network, float64."""
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    sizes = [fan_out * fan_in for fan_out, fan_in in shapes] + [fan_out for fan_out, _ in shapes]
    draws = (2 * uniforms(sum(sizes), seed=seed, purpose="initial weights", stream=stream) - 1).split(sizes)
    weights = []
    for layer, ((fan_out, fan_in), draw) in enumerate(zip(shapes, draws[: len(shapes)], strict=True)):
        gain = 1.0 if activation in _SATURATING or layer == len(shapes) - 1 else 2.0
        weights.append(draw.reshape(fan_out, fan_in) * math.sqrt(3 * gain / fan_in))
    return weights + [draw / math.sqrt(fan_in) for (_, fan_in), draw in zip(shapes, draws[len(shapes) :], strict=True)]
