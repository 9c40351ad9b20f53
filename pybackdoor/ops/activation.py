"""The nine activations and their derivatives in plain torch: the definition the kernels are tested against."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from pybackdoor.records.network import LEAKY_SLOPE

_CUBIC = 0.044715  # of the tanh form of GELU (Hendrycks and Gimpel, 2016)
_LOWEST = -1e4  # sigmoid and the normal distribution are exactly 0 far above this, so that -inf gives 0 and not -inf * 0


def value_and_derivative(name: str, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a(z) and a'(z), elementwise, for a name of ACTIVATIONS.

    At a kink (z = 0) the derivative is the left one: 0 for "relu", 0.01 for "leaky_relu". Far tails keep their relative accuracy.
    """
    return _FORMULAS[name](z)


def activate(name: str, z: torch.Tensor) -> torch.Tensor:
    """a(z) alone; differentiable."""
    return _FORMULAS[name](z)[0]


def _relu(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.relu(z), (z > 0).to(z.dtype)


def _leaky_relu(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    slope = torch.where(z > 0, torch.ones_like(z), torch.full_like(z, LEAKY_SLOPE))
    return slope * z, slope


def _tanh(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    shrunk = torch.exp(-2 * z.abs())
    return torch.tanh(z), 4 * shrunk / (1 + shrunk) ** 2


def _sigmoid(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.sigmoid(z), torch.sigmoid(z) * torch.sigmoid(-z)


def _silu(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    gate = torch.sigmoid(z)
    return z.clamp(min=_LOWEST) * gate, gate * (1 + z.clamp(min=_LOWEST) * torch.sigmoid(-z))


def _gelu(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    below = 0.5 * torch.erfc(-z * math.sqrt(0.5))
    bounded = z.clamp(_LOWEST, -_LOWEST)
    return z.clamp(min=_LOWEST) * below, below + bounded * torch.exp(-0.5 * bounded * bounded) / math.sqrt(2 * math.pi)


def _gelu_tanh(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    bounded = z.clamp(_LOWEST, -_LOWEST)
    rate = math.sqrt(8 / math.pi)
    inner = rate * (bounded + _CUBIC * bounded**3)
    gate = torch.sigmoid(inner)
    slope = bounded * torch.sigmoid(-inner) * rate * (1 + 3 * _CUBIC * bounded**2)
    return z.clamp(min=_LOWEST) * gate, gate * (1 + slope)


def _softplus(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return z.clamp(min=0) + torch.log1p(torch.exp(-z.abs())), torch.sigmoid(z)


def _elu(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low = z.clamp(max=0)
    return torch.where(z > 0, z, torch.expm1(low)), torch.where(z > 0, torch.ones_like(z), torch.exp(low))


_FORMULAS: dict[str, Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "tanh": _tanh,
    "silu": _silu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "softplus": _softplus,
    "sigmoid": _sigmoid,
    "elu": _elu,
}
