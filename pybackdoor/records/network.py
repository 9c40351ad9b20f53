"""A fully connected network with its input and output scaling: the form every fast op takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pybackdoor.errors import InputError

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "silu", "gelu", "gelu_tanh", "softplus", "sigmoid", "elu")
LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Network:
    """y = output_shift + output_scale * MLP(z) on the unit cube, with one activation after every layer but the last.

    weights: L tensors, weights[l] [width_l, width_{l-1}] (torch.nn.Linear's layout), the last [1, width]; biases: L tensors [width_l];
    activation: a name of ACTIVATIONS ("gelu" is the exact erf form, "leaky_relu" has slope 0.01, "elu" and "softplus" have alpha = beta = 1).
    The input map takes a point u of the unit cube to the first layer's input, feature by feature:
        input_rate == 0:  z = input_shift + input_scale * u              (affine)
        input_rate != 0:  z = input_shift + input_scale * exp(input_rate * u)   (a natural-unit network searched on a log axis)
    All tensors float64; kernels fold the affine parts in float64 before rounding.
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    activation: str
    input_shift: torch.Tensor  # [d]
    input_scale: torch.Tensor  # [d]
    input_rate: torch.Tensor  # [d]
    output_shift: float = 0.0
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise InputError(f"network: unknown activation {self.activation!r}; one of {', '.join(ACTIVATIONS)} is needed")
        if not self.weights or len(self.weights) != len(self.biases):
            raise InputError(
                f"network: {len(self.weights)} weight matrices and {len(self.biases)} biases; one of each a layer is needed, at least one layer"
            )
        width = self.input_shift.shape[0]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
                raise InputError(
                    f"network: layer {layer} has weights {tuple(weight.shape)} and bias {tuple(bias.shape)}; [width, {width}] and [width] are needed"
                )
            width = weight.shape[0]
        if width != 1:
            raise InputError(f"network: the last layer has {width} outputs; a regression surrogate has one")
        if not self.input_shift.shape == self.input_scale.shape == self.input_rate.shape:
            raise InputError("network: input_shift, input_scale and input_rate must all have shape [d]")
        for tensor in (*self.weights, *self.biases, self.input_shift, self.input_scale, self.input_rate):
            if tensor.dtype != torch.float64 or not bool(torch.isfinite(tensor).all()):
                raise InputError("network: every weight, bias and scaling must be float64 and finite")

    @property
    def dimension(self) -> int:
        """The number of features, d."""
        return int(self.input_shift.shape[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Outputs of each layer; the last is 1."""
        return tuple(int(weight.shape[0]) for weight in self.weights)

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.weights[0].device

    def to(self, device: torch.device | str) -> Network:
        """The network on a device: itself where it is there already, so that what backends keep for it is kept."""
        if torch.empty(0, device=device).device == self.device:
            return self
        return replace(
            self,
            weights=tuple(weight.to(device) for weight in self.weights),
            biases=tuple(bias.to(device) for bias in self.biases),
            input_shift=self.input_shift.to(device),
            input_scale=self.input_scale.to(device),
            input_rate=self.input_rate.to(device),
        )
