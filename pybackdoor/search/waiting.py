"""How a search learns what its device has found: seldom, in one transfer, and never as a side effect of an indexing expression."""

from __future__ import annotations

import numpy as np
import torch


def fetch(*numbers: torch.Tensor) -> list[np.ndarray]:
    """The tensors, flat, float64, on the host, in one transfer: the one place where the loop of a search waits for the device."""
    flat = torch.cat([part.reshape(-1).to(torch.float64) for part in numbers]).cpu().numpy()
    return np.split(flat, np.cumsum([part.numel() for part in numbers])[:-1])


def chosen(mask: torch.Tensor, count: int) -> torch.Tensor:
    """The indices, ascending, of the `count` true entries of a mask [N]; unlike `nonzero` it does not ask the device how many there are."""
    return torch.argsort((~mask).to(torch.uint8), stable=True)[:count]
