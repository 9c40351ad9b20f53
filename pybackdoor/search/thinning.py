"""Keeps of every cluster of candidates the worst one."""

from __future__ import annotations

import math

import torch

from pybackdoor.arrays import as_tensor, as_values, check_finite
from pybackdoor.errors import InputError
from pybackdoor.stages import staged

_BLOCKS = {"cpu": 1024}  # candidates that are settled together: a block's own distance matrix stays in cache
_LARGE_BLOCK = 4096  # on a GPU, where each block is waited for a few times
_ROUNDS = 8  # of settling on a GPU between two looks at whether all are settled


@staged("search.thin")
def thin(unit: torch.Tensor, errors: torch.Tensor, radius: float) -> torch.Tensor:
    """Indices of the candidates that stay, worst first: a candidate goes when a worse one that stays lies within `radius`.

    unit: [N, d]; errors: [N], any sign, compared by size; radius >= 0, Euclidean, in the units of `unit` (0 merges exact duplicates only).
    Ties go to the lower index. This is the sequential greedy rule exactly, settled block by block: O(N * kept * d) time, O(N) memory.
    Returns int64 indices on the device of `unit`. Raises InputError on NaN, a wrong shape or a negative radius.

    >>> import torch
    >>> thin(torch.tensor([[0.0], [0.04], [1.0]]), torch.tensor([1.0, -2.0, 0.5]), 0.05).tolist()
    [1, 2]
    """
    points = as_tensor(unit, "unit")
    if points.ndim != 2:
        raise InputError(f"unit: got shape {tuple(points.shape)}; [N, d] is needed")
    check_finite(points, "unit")
    sizes = as_values(errors, points.shape[0], "errors").abs()
    if not (math.isfinite(radius) and radius >= 0):
        raise InputError(f"radius: got {radius}; a number >= 0 is needed")
    order = torch.argsort(sizes, descending=True, stable=True)
    kept = torch.empty_like(points)  # the first `count` rows are those that stay, worst first
    chosen = torch.empty_like(order)
    count = 0
    size = _BLOCKS.get(points.device.type, _LARGE_BLOCK)
    settle = _settle if points.device.type == "cpu" else _settle_at_once
    for block in torch.split(order, size):
        alone = torch.ones(block.shape[0], dtype=torch.bool, device=points.device)
        for stayed in torch.split(kept[:count], size):
            block, alone = block[alone], alone[alone]
            if not block.shape[0]:
                break
            alone = ~_within(points[block], stayed, radius).any(dim=1)
        block = settle(points, block[alone], radius)
        kept[count : count + block.shape[0]] = points[block]
        chosen[count : count + block.shape[0]] = block
        count += block.shape[0]
    return chosen[:count].clone()


def _settle(points: torch.Tensor, block: torch.Tensor, radius: float) -> torch.Tensor:
    """The greedy rule inside one block, already in order, row by row."""
    near = _within(points[block], points[block], radius).numpy()
    stays = near.diagonal().copy()
    for row in range(stays.shape[0]):
        if stays[row]:
            stays[row + 1 :] &= ~near[row, row + 1 :]
    return block[torch.from_numpy(stays)]


def _settle_at_once(points: torch.Tensor, block: torch.Tensor, radius: float) -> torch.Tensor:
    """The same on a device without row-by-row work: whoever has no open neighbour before it stays, and its neighbours go, until none is open."""
    earlier = torch.tril(_within(points[block], points[block], radius), diagonal=-1)
    stays = torch.zeros(block.shape[0], dtype=torch.bool, device=block.device)
    opened = ~stays
    while bool(opened.any()):
        for _ in range(_ROUNDS):
            settled = opened & ~(earlier & opened[None, :]).any(dim=1)
            stays |= settled
            opened = opened & ~settled & ~(earlier & settled[None, :]).any(dim=1)
    return block[stays]


def _within(left: torch.Tensor, right: torch.Tensor, radius: float) -> torch.Tensor:
    """Which pairs lie within the radius, by direct differences: the product form cancels for near neighbours."""
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist") <= radius
