"""A torch module in natural units as a surrogate, with gradients by autograd."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.models.surrogate import Surrogate

ROWS_PER_CHUNK = 1 << 16


class TorchSurrogate(Surrogate):
    """`module`: natural-unit points [N, d] to [N] or [N, 1], row by row independent of each other (evaluation mode is set on each call and put back).

    Points are given in the dtype and on the device of the module's first floating parameter, float64 on the points' device where it has none.
    Raises InputTypeError for something that is not a module, InputError for an output of another shape.
    """

    def __init__(self, module: torch.nn.Module, domain: Domain, name: str | None = None) -> None:
        if not isinstance(module, torch.nn.Module):
            raise InputTypeError(f"surrogate: got {type(module).__name__}; a torch.nn.Module is needed (use CallableSurrogate for a function)")
        self.module = module
        self.domain = domain
        self.name = name or type(module).__name__

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([self._run(part).to(x) for part in x.split(ROWS_PER_CHUNK)])

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, gradients = [], []
        for part in x.split(ROWS_PER_CHUNK):
            with torch.enable_grad():
                leaf = part.clone().requires_grad_()
                output = self._run(leaf)
                if not output.requires_grad:
                    raise InputError(
                        f"surrogate {self.name}: the module cuts the graph from its input to its output; "
                        "wrap it in CallableSurrogate for finite differences"
                    )
                (gradient,) = torch.autograd.grad(output.sum(), leaf)
            values.append(output.detach().to(x))
            gradients.append(gradient)
        return torch.cat(values), torch.cat(gradients)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        parameter = next((tensor for tensor in self.module.parameters() if tensor.is_floating_point()), x)
        modes = {module: module.training for module in self.module.modules()}
        self.module.eval()
        try:
            output = self.module(x.to(parameter.device, parameter.dtype))
        finally:
            for module, mode in modes.items():
                module.training = mode
        if not isinstance(output, torch.Tensor) or output.shape not in ((x.shape[0],), (x.shape[0], 1)):
            got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise InputError(f"surrogate {self.name}: got {got} for {x.shape[0]} points; [{x.shape[0]}] or [{x.shape[0]}, 1] is needed")
        return output.reshape(x.shape[0])
