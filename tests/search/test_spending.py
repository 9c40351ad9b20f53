"""What a search spends, and what it makes of an oracle that fails or is noisy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import Planted, Wave, distances

from pybackdoor.oracles import BudgetedOracle, CachedOracle
from pybackdoor.records import AscentStatus
from pybackdoor.search import SearchConfig, search

THREE = Planted([[0.2, 0.3], [0.75, 0.7], [0.8, 0.15]], [1.0, -0.8, 0.6])
WAYS = [("plain", "secant", False), ("trust_region", "oracle", False), ("trust_region", "secant", False), ("trust_region", "none", True)]


@settings(deadline=None, max_examples=40)
@given(budget=st.integers(1, 150), gradient_cost=st.sampled_from([0.0, 0.3, 1.0, 4.0]), way=st.sampled_from(WAYS), wrapped=st.integers(0, 2))
def test_no_budget_is_exceeded(budget: int, gradient_cost: float, way: tuple[str, str, bool], wrapped: int) -> None:
    method, slopes, pseudo = way
    wave = Wave(gradient_cost=gradient_cost)
    config = SearchConfig(method=method, slopes=slopes, seeds=20, climbers=8, budget=budget if wrapped == 0 else None, radius=0.05, step_size=0.01)
    asked = wave if wrapped == 0 else BudgetedOracle(wave, budget) if wrapped == 1 else CachedOracle(BudgetedOracle(wave, budget))
    found = search(THREE, asked, config, pseudo_oracle=Planted([], [], tilt=[0.3, 0.3]) if pseudo else None)
    spent = wave.points + gradient_cost * wave.gradients
    assert spent <= budget + 1e-9
    assert found.oracle_calls == pytest.approx(spent)
    assert found.count >= (1 if budget >= 1 + gradient_cost else 0)
    assert found.count == 0 or torch.isfinite(found.errors).all()


def test_a_spent_budget_keeps_the_best_so_far() -> None:
    full = search(THREE, Wave(), SearchConfig(seeds=12, climbers=6), seed=1)
    tight = search(THREE, Wave(), SearchConfig(seeds=12, climbers=6, budget=int(full.oracle_calls) - 4), seed=1)
    assert (tight.status == AscentStatus.BUDGET_SPENT).any()
    assert tight.errors.abs().max() >= 0.9 * full.errors.abs().max()
    torch.testing.assert_close(tight.oracle, Wave().values(tight.x), rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS[:3], ids=lambda way: f"{way[0]}-{way[1]}")
def test_failing_points_are_counted_and_the_rest_is_found(way: tuple[str, str, bool]) -> None:
    wave = Wave(broken=0.6)
    found = search(THREE, wave, SearchConfig(method=way[0], slopes=way[1], seeds=32, climbers=12, iterations=40), seed=1)
    assert found.failures >= 8  # two fifths of the seeds
    assert distances(found, THREE)[0] < 0.01
    assert (found.unit[:, 0] <= 0.6).all()
    assert torch.isfinite(found.errors).all()


def test_a_climber_whose_oracle_fails_ends_with_that_status() -> None:
    config = SearchConfig(method="plain", seeds=16, climbers=4, step_size=0.1)
    found = search(Planted([[0.7, 0.5]], [1.0], width=0.3), Wave(broken=0.6), config, seed=1)
    assert AscentStatus.ORACLE_FAILED in found.status.tolist()
    assert found.failures > 0


def test_an_oracle_that_always_fails_gives_no_maximizer() -> None:
    found = search(THREE, Wave(broken=-1.0), SearchConfig(seeds=10, climbers=4))
    assert (found.count, found.failures, found.oracle_calls) == (0, 10, 10)


def test_noise_is_not_climbed() -> None:
    clean = Planted([], [])
    config = SearchConfig(slopes="none", seeds=16, climbers=8, screen_share=0.0)
    tilted = Planted([], [], tilt=[0.02, 0.02])  # promises gains smaller than the noise
    careful = search(clean, Wave(noise=0.1), config, pseudo_oracle=tilted)
    careless = search(clean, Wave(noise=0.1), SearchConfig(slopes="none", seeds=16, climbers=8, screen_share=0.0, noise=0.0), pseudo_oracle=tilted)
    assert careful.oracle_calls == 16  # the seeds, and not one trial
    assert careless.oracle_calls > 24


def test_bumps_above_the_noise_are_found() -> None:
    found = search(THREE, Wave(noise=0.02), SearchConfig(seeds=32, climbers=12), seed=1)
    assert distances(found, THREE).max() < 0.05
    assert found.errors[0].abs() == pytest.approx(1.0, abs=0.06)
    assert (found.standard_errors == 0.02).all()
