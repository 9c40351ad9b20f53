"""Distances to neighbours against brute force, and the calibration of "near"."""

import pytest
import torch

from pybackdoor.defense import Neighbourhood, local_expectation


def cloud(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("count", "dimension", "k"), [(2, 1, 1), (7, 3, 20), (101, 5, 20), (64, 8, 63)])
def test_nearest_others_is_brute_force_without_the_row_itself(count: int, dimension: int, k: int) -> None:
    points = cloud(count, dimension)
    distances, rows = Neighbourhood(points).nearest_others(k)
    between = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(float("inf"))
    expected = between.sort(dim=1).values[:, : min(k, count - 1)]
    torch.testing.assert_close(distances, expected, rtol=0, atol=1e-14)
    assert not (rows == torch.arange(count)[:, None]).any()


def test_duplicates_are_neighbours_at_distance_zero() -> None:
    points = torch.cat([torch.full((30, 2), 0.5, dtype=torch.float64), cloud(10, 2)])
    distances, rows = Neighbourhood(points).nearest_others(5)
    assert distances.shape == rows.shape == (40, 5)
    assert float(distances[:30].max()) == 0.0


def test_within_lists_rows_nearest_first() -> None:
    points = cloud(500, 3)
    center = torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64)
    distances = torch.linalg.vector_norm(points - center, dim=1)
    rows = Neighbourhood(points).within(center, 0.3)
    assert set(rows.tolist()) == set((distances <= 0.3).nonzero()[:, 0].tolist())
    assert (distances[rows].diff() >= 0).all()


def test_expectation_calls_a_fixed_share_of_the_rows_sparse() -> None:
    points = cloud(4000, 5)
    neighbourhood = Neighbourhood(points)
    expectation = local_expectation(neighbourhood, k=20, level=0.02)
    farthest = neighbourhood.nearest_others(20)[0][:, -1]
    assert float((farthest > expectation.sparse_distance).double().mean()) == pytest.approx(0.02, abs=1e-3)
    assert float(expectation.crowding(torch.tensor([expectation.typical_distance]))) == pytest.approx(1.0)
    center, far = torch.full((1, 5), 0.5, dtype=torch.float64), torch.full((1, 5), 1.5, dtype=torch.float64)
    assert float(neighbourhood.nearest(center, 20)[0][0, -1]) < expectation.sparse_distance < float(neighbourhood.nearest(far, 20)[0][0, -1])
