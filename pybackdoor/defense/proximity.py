"""How many training rows lie near a point, judged against what the data themselves lead one to expect.

A fixed radius is empty in eight dimensions and crowded in two, so nearness is measured by the distance to the k-th nearest row, and compared with
the same distance taken at the training rows themselves, each left out of its own count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree


class Neighbourhood:
    """A KD-tree over the rows' features [N, d], unit cube."""

    def __init__(self, unit: torch.Tensor) -> None:
        self.count, self.dimension = unit.shape
        self._points = unit.cpu().numpy()
        self._tree = cKDTree(self._points)

    def nearest(self, points: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances [M, k'] and row numbers [M, k'] of the k' = min(k, N) nearest rows, nearest first."""
        k = min(k, self.count)
        distances, rows = self._tree.query(points.cpu().numpy(), k=k)
        return torch.from_numpy(np.asarray(distances).reshape(-1, k)), torch.from_numpy(np.asarray(rows, dtype=np.int64).reshape(-1, k))

    def nearest_others(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """For each row the distances and numbers [N, k'] of its k' = min(k, N - 1) nearest other rows."""
        distances, rows = self.nearest(torch.from_numpy(self._points), k + 1)
        own = rows == torch.arange(self.count)[:, None]
        own[~own.any(dim=1), -1] = True  # among exact duplicates the row itself may be missing: leave out the last
        keep = ~own
        return distances[keep].reshape(self.count, -1), rows[keep].reshape(self.count, -1)

    def within(self, point: torch.Tensor, radius: float) -> torch.Tensor:
        """Numbers of the rows no farther than `radius` from `point` [d], nearest first."""
        rows = np.array(sorted(self._tree.query_ball_point(point.cpu().numpy(), radius)), dtype=np.int64)
        distances = np.linalg.norm(self._points[rows] - point.cpu().numpy(), axis=1)
        return torch.from_numpy(rows[np.argsort(distances, kind="stable")])


@dataclass(frozen=True)
class Expectation:
    """What the training rows see around themselves: `k` neighbours, the typical (median) distance to the k-th, and the one only a share `level`
    exceeds.
    """

    k: int
    typical_distance: float
    sparse_distance: float
    level: float

    def crowding(self, distances: torch.Tensor) -> torch.Tensor:
        """Typical distance over the k-th neighbour's distance [M]: above 1 denser than typical, 0 far from all data."""
        return self.typical_distance / torch.clamp(distances, min=1e-300)


def local_expectation(neighbourhood: Neighbourhood, *, k: int = 20, level: float = 0.02) -> Expectation:
    """The calibration of "near" for these data: a point whose k-th row is farther than all but a share `level` of the rows see is sparse."""
    k = max(1, min(k, neighbourhood.count - 1))
    distances, _ = neighbourhood.nearest_others(k)
    farthest = distances[:, -1]
    return Expectation(k, float(farthest.median()), float(torch.quantile(farthest, 1.0 - level)), level)
