"""Keeps of every cluster of candidates the worst one."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial import cKDTree

from pybackdoor.arrays import as_tensor, as_values, check_finite
from pybackdoor.errors import InputError
from pybackdoor.stages import staged

_BLOCK = 1024  # candidates that are settled together on the CPU: their distance matrix stays in cache
_LARGE_BLOCK = 4096  # on a GPU, where each block is waited for a few times
_MARGIN = 1e-9  # of a radius, far above rounding
_ROUNDS = 8  # of settling on a GPU between two looks at whether all are settled


@staged("search.thin")
def thin(unit: torch.Tensor, errors: torch.Tensor, radius: float) -> torch.Tensor:
    """Indices of the candidates that stay, worst first: a candidate goes when a worse one that stays lies within `radius`.

    unit: [N, d]; errors: [N], any sign, compared by size; radius >= 0, Euclidean, in the units of `unit` (0 merges exact duplicates only).
    Ties go to the lower index. This is the sequential greedy rule exactly, settled block by block. O(N) memory; on the CPU a k-d tree finds
    who lies near, N log N as long as few do; on a GPU all that stay are compared with, O(N * kept * d).
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
    if points.device.type == "cpu":
        return order[_stay(points[order], radius)]
    kept = torch.empty_like(points)  # the first `count` rows are those that stay, worst first
    chosen = torch.empty_like(order)
    count = 0
    for block in torch.split(order, _LARGE_BLOCK):
        alone = torch.ones(block.shape[0], dtype=torch.bool, device=points.device)
        for stayed in torch.split(kept[:count], _LARGE_BLOCK):
            block, alone = block[alone], alone[alone]
            if not block.shape[0]:
                break
            alone = ~_within(points[block], stayed, radius).any(dim=1)
        block = _settle_at_once(points, block[alone], radius)
        kept[count : count + block.shape[0]] = points[block]
        chosen[count : count + block.shape[0]] = block
        count += block.shape[0]
    return chosen[:count].clone()


def _stay(points: torch.Tensor, radius: float) -> torch.Tensor:
    """Which of the points [N, d], worst first and on the CPU, stay [N]: those that stay of a block take the later ones near them away."""
    stays = torch.ones(points.shape[0], dtype=torch.bool)
    tree = cKDTree(points.numpy()) if points.shape[0] > _BLOCK else None
    for first in range(0, points.shape[0], _BLOCK):
        opened = first + stays[first : first + _BLOCK].nonzero()[:, 0]
        settled = _settle(points, opened, radius)
        stays[opened] = False
        if tree is not None and settled.numel():
            stays[_around(points, tree, settled, radius)] = False
        stays[settled] = True
    return stays


def _around(points: torch.Tensor, tree: cKDTree, rows: torch.Tensor, radius: float) -> torch.Tensor:
    """All rows within the radius of any of `rows`, those included, by the distances of `_within`; the tree's own are rounded otherwise."""
    found = tree.query_ball_point(points[rows].numpy(), radius * (1.0 + _MARGIN), return_sorted=False)
    centers = rows.repeat_interleave(torch.tensor([len(near) for near in found]))
    near = torch.from_numpy(np.concatenate(found).astype(np.int64))
    return near[torch.linalg.vector_norm(points[near] - points[centers], dim=1) <= radius]


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
