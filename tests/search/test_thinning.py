from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pybackdoor.errors import InputError
from pybackdoor.search import thin, thinning


def brute_force(unit: torch.Tensor, errors: torch.Tensor, radius: float) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(errors)), key=lambda row: (-abs(float(errors[row])), row)):
        if bool((torch.linalg.vector_norm(unit[row] - unit[kept], dim=1) > radius).all()):
            kept.append(row)
    return kept


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, 120), dimension=st.integers(1, 6), radius=st.sampled_from([0.0, 0.05, 0.3, 2.0]), seed=st.integers(0, 10**6))
def test_is_the_sequential_rule(count: int, dimension: int, radius: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.randint(0, 8, (count, dimension), generator=generator).double() / 7  # duplicates are common
    errors = torch.randint(-4, 5, (count,), generator=generator).double()  # and so are ties
    assert thin(unit, errors, radius).tolist() == brute_force(unit, errors, radius)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 120), dimension=st.integers(1, 4), radius=st.sampled_from([0.0, 0.05, 0.3, 2.0]), seed=st.integers(0, 10**6))
def test_a_device_settles_a_block_as_the_sequential_rule_does(count: int, dimension: int, radius: float, seed: int) -> None:
    points = torch.rand(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    block = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(thinning._settle_at_once(points, block, radius), thinning._settle(points, block, radius))


def test_a_long_chain_is_settled() -> None:
    points = 0.09 * torch.arange(500, dtype=torch.float64)[:, None]  # each within reach of the next alone: every other one stays
    assert thinning._settle_at_once(points, torch.arange(500), 0.1).tolist() == list(range(0, 500, 2))


def test_many_candidates_across_blocks() -> None:
    generator = torch.Generator().manual_seed(0)
    unit, errors = torch.rand(3000, 3, generator=generator).double(), torch.randn(3000, generator=generator).double()
    kept = thin(unit, errors, 0.02)
    assert 1024 < len(kept) < 3000  # more than one block stays
    assert kept.tolist() == brute_force(unit, errors, 0.02)


def test_who_lies_near_is_found_without_comparing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many candidates, nearly all of which stay, take twice as many comparisons, and not four times."""
    compared: list[int] = []
    within, around = thinning._within, thinning._around

    def counted_within(left: torch.Tensor, right: torch.Tensor, radius: float) -> torch.Tensor:
        compared.append(left.shape[0] * right.shape[0])
        return within(left, right, radius)

    def counted_around(points: torch.Tensor, tree: object, rows: torch.Tensor, radius: float) -> torch.Tensor:
        found = around(points, tree, rows, radius)
        compared.append(found.numel())
        return found

    monkeypatch.setattr(thinning, "_within", counted_within)
    monkeypatch.setattr(thinning, "_around", counted_around)
    totals = []
    for count in (8192, 16384):
        compared.clear()
        generator = torch.Generator().manual_seed(3)
        unit = torch.rand(count, 5, generator=generator, dtype=torch.float64)
        kept = thin(unit, torch.rand(count, generator=generator, dtype=torch.float64), 0.05)
        assert len(kept) > 0.9 * count
        totals.append(sum(compared))
    assert totals[1] < 2.2 * totals[0]
    assert totals[1] < 16384**2 / 10


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_dense_and_distant_candidates_across_blocks(dimension: int) -> None:
    """Some all in one place, some on a lattice whose spacing is the radius itself."""
    generator = torch.Generator().manual_seed(dimension)
    crowd = 0.5 + 1e-3 * torch.randn(1500, dimension, generator=generator, dtype=torch.float64)
    lattice = torch.randint(0, 9, (1500, dimension), generator=generator).double() / 8
    unit, errors = torch.cat([crowd, lattice]), torch.randn(3000, generator=generator, dtype=torch.float64)
    for radius in (0.0, 0.125, 0.2):
        assert thin(unit, errors, radius).tolist() == brute_force(unit, errors, radius)


@pytest.mark.parametrize(
    ("unit", "errors", "radius"), [([[0.5]], [float("nan")], 0.1), ([[0.5]], [1.0, 2.0], 0.1), ([0.5], [1.0], 0.1), ([[0.5]], [1.0], -1.0)]
)
def test_refuses_what_has_no_order(unit: list, errors: list, radius: float) -> None:
    with pytest.raises(InputError):
        thin(torch.tensor(unit), torch.tensor(errors), radius)
