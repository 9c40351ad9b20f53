"""Piecewise linear functions of one variable, constant beyond their first and last knot."""

from __future__ import annotations

import torch


def hats(points: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """The basis [N, K] at `points` [N]: function k is 1 at the k-th of the ascending, distinct `knots` [K] and 0 at the others."""
    left, share = _cells(points, knots)
    basis = torch.zeros(points.shape[0], knots.numel(), dtype=torch.float64)
    rows = torch.arange(points.shape[0])
    basis[rows, torch.clamp(left + 1, max=knots.numel() - 1)] = share
    basis[rows, left] = 1.0 - share
    return basis


def interpolated(points: torch.Tensor, knots: torch.Tensor, heights: torch.Tensor) -> torch.Tensor:
    """`hats(points, knots) @ heights` [N] without the basis; heights [K]."""
    left, share = _cells(points, knots)
    return (1.0 - share) * heights[left] + share * heights[torch.clamp(left + 1, max=knots.numel() - 1)]


def quantile_knots(points: torch.Tensor, count: int) -> torch.Tensor:
    """Up to `count` distinct knots at evenly spaced quantiles of `points` [N], N >= 1."""
    some = points[torch.linspace(0, points.shape[0] - 1, min(points.shape[0], 100_000)).long()]
    return torch.quantile(some, torch.linspace(0, 1, count, dtype=torch.float64)).unique()


def _cells(points: torch.Tensor, knots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The knot to the left of each point [N], and how far the point lies towards the next one, in [0, 1]."""
    if knots.numel() == 1:
        return torch.zeros(points.shape, dtype=torch.int64), torch.zeros_like(points)
    left = torch.clamp(torch.searchsorted(knots, points.contiguous(), right=True) - 1, 0, knots.numel() - 2)
    return left, torch.clamp((points - knots[left]) / (knots[left + 1] - knots[left]), 0.0, 1.0)
