"""A network's values as a node of torch's graph: the gradient comes from the same native call."""

from __future__ import annotations

from typing import Any

import torch

from pybackdoor.records.network import Network


class NetworkValues(torch.autograd.Function):
    """Forward keeps dy/du, backward scales it by the incoming gradient. First derivatives with respect to the points only."""

    @staticmethod
    def forward(context: Any, points: torch.Tensor, network: Network, options: dict[str, Any]) -> torch.Tensor:
        """Values [N] in the points' floating type."""
        from pybackdoor.ops.ascent import value_and_input_gradient  # the front imports this module

        values, gradients = value_and_input_gradient(network, points.detach(), **options)
        context.save_for_backward(gradients.to(points.dtype))
        return values.to(points.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, incoming: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """d(loss)/du [N, d]."""
        (gradients,) = context.saved_tensors
        return incoming[:, None] * gradients, None, None


def values(network: Network, points: torch.Tensor, **options: Any) -> torch.Tensor:
    """y(u) [N] at points u [N, d], differentiable once in the points; the network's weights are constants.

    `options` are those of `value_and_input_gradient` (precision, backend, threads). The result has the points' floating type.

    >>> import torch
    >>> from pybackdoor.ops.ascent import values
    >>> from pybackdoor.records import Network
    >>> zero = torch.zeros(2, dtype=torch.float64)
    >>> line = Network((torch.tensor([[3.0, 4.0]], dtype=torch.float64),), (zero[:1],), "relu", zero, zero + 1, zero)
    >>> points = torch.tensor([[0.5, 0.25]], requires_grad=True)
    >>> values(line, points).sum().backward()
    >>> points.grad
    tensor([[3., 4.]])
    """
    return NetworkValues.apply(points, network, options)
