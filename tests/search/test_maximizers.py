"""The maximizers found are those that were planted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import SQUARE, Planted, Wave, distances

from pybackdoor import settings
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.models import CallableSurrogate, FitConfig, NetworkSurrogate, fit_many
from pybackdoor.oracles import CountedOracle, oracle
from pybackdoor.records import AscentStatus, Maximizers, Samples
from pybackdoor.search import SearchConfig, screen, search
from pybackdoor.search.seeds import residual_seeds

THREE = Planted([[0.2, 0.3], [0.75, 0.7], [0.8, 0.15]], [1.0, -0.8, 0.6])
CONFIGS = {
    "plain": SearchConfig(method="plain", iterations=60, step_size=0.04, seeds=32, climbers=12),
    "oracle": SearchConfig(slopes="oracle", seeds=32, climbers=12),
    "secant": SearchConfig(slopes="secant", seeds=32, climbers=12),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("gradient_cost", [0.2, 1.0, 4.0])
def test_finds_planted_bumps(name: str, gradient_cost: float) -> None:
    counted = CountedOracle(Wave(gradient_cost=gradient_cost))
    found = search(THREE, counted, CONFIGS[name], seed=1)
    assert distances(found, THREE).max() < 0.01
    assert found.errors[:3].abs().tolist() == pytest.approx([1.0, 0.8, 0.6], rel=5e-3)
    assert found.errors.abs().diff().max() <= 0  # worst first
    assert found.oracle_calls == pytest.approx(counted.value_calls)
    torch.testing.assert_close(found.surrogate, THREE.values(found.x), rtol=0, atol=0)
    torch.testing.assert_close(found.oracle, Wave().values(found.x), rtol=0, atol=0)
    assert not torch.isin(found.status, torch.tensor([AscentStatus.BUDGET_SPENT, AscentStatus.ORACLE_FAILED, AscentStatus.NOT_FINITE])).any()


def test_trust_region_needs_fewer_calls_than_plain() -> None:
    calls = {name: sum(search(THREE, Wave(), config, seed=seed).oracle_calls for seed in range(4)) for name, config in CONFIGS.items()}
    assert calls["secant"] < calls["oracle"] < calls["plain"] / 1.5


def test_first_calls_are_exact() -> None:
    wave = Wave(gradient_cost=3.0)
    found = search(THREE, wave, SearchConfig(seeds=10, climbers=4, iterations=0))
    assert (wave.points, wave.gradients, found.oracle_calls) == (14, 4, 10 + 4 * 4)  # a value a seed, value and gradient a climber
    every = Wave(gradient_cost=3.0)
    assert search(THREE, every, SearchConfig(seeds=4, climbers=4, iterations=0)).oracle_calls == 16
    assert (every.points, every.gradients) == (4, 4)  # nothing is asked twice where every seed climbs


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    ("tilt", "center", "corner"),
    [([1.0, 2.0], [[0.5, 5.0]], [1.0, 1.0]), ([-3.0, 1.0], [[0.5, 5.0]], [0.0, 1.0]), ([0.0, 0.0], [[0.4, 1.2]], [0.4, 1.0])],
    ids=["corner", "zero corner", "face"],
)
def test_maximizers_on_the_boundary(name: str, tilt: list[float], center: list[list[float]], corner: list[float]) -> None:
    surrogate = Planted(center, [2.0], width=0.3, tilt=tilt)
    offset = 4.0 if tilt[0] else 0.0  # keeps the error of one sign over the square
    lifted = CallableSurrogate(
        lambda x: surrogate.values(x).numpy() + offset, SQUARE, gradient=lambda x: surrogate.values_and_gradients(x)[1].numpy()
    )
    best = search(lifted, Wave(), replace(CONFIGS[name], iterations=80, seeds=16), seed=0).unit[0]
    for axis, target in enumerate(corner):
        assert float(best[axis]) == target if target in (0.0, 1.0) else float(best[axis]) == pytest.approx(target, abs=0.02)


@pytest.mark.parametrize("name", CONFIGS)
def test_log_axes(name: str) -> None:
    domain = Domain(("volatility", "rate"), (0.01, -1.0), (1.0, 1.0), ("log", "linear"))
    surrogate = Planted([[0.5, 0.25]], [1.0], domain=domain)
    found = search(surrogate, Wave(domain), CONFIGS[name], seed=2)
    assert found.x[0].tolist() == pytest.approx([0.1, -0.5], abs=0.01)  # half way between 0.01 and 1 in the logarithm


def test_no_error_is_flat_and_costs_only_the_seeds() -> None:
    wave = Wave()
    found = search(Planted([], []), wave, SearchConfig(seeds=8, climbers=8))
    assert found.oracle_calls == 16
    assert (found.errors == 0).all()
    assert (found.status == AscentStatus.FLAT).all()


def test_pseudo_oracle_saves_calls_and_gradients() -> None:
    clean = Planted([], [])
    wave = Wave()
    config = SearchConfig(slopes="none", seeds=12, climbers=6)
    found = search(THREE, wave, config, pseudo_oracle=clean, seed=1)
    assert wave.gradients == 0
    assert distances(found, THREE).max() < 0.01
    assert found.oracle_calls < 40
    with pytest.raises(InputError, match="pseudo_oracle"):
        search(THREE, wave, config)


def test_a_wrong_pseudo_oracle_is_put_right_by_values() -> None:
    tilted = Planted([[0.5, 0.5]], [0.5], width=0.3, tilt=[1.0, -1.0])
    found = search(THREE, Wave(), SearchConfig(slopes="secant", seeds=32, climbers=12), pseudo_oracle=tilted, seed=1)
    assert distances(found, THREE).max() < 0.02


def test_screen_costs_nothing_and_finds_the_difference() -> None:
    unit, differences = screen(THREE, Planted([], []), starts=128)
    assert torch.cdist(THREE.centers, unit).amin(dim=1).max() < 0.02
    assert differences[0] == pytest.approx(1.0, rel=1e-2)
    assert differences[1] == pytest.approx(-0.8, rel=1e-2)


def test_residual_seeds_are_the_worst_rows_apart_and_inside() -> None:
    u = torch.tensor([[0.5, 0.5], [0.505, 0.5], [0.1, 0.1], [0.9, 0.9], [1.5, 0.5]], dtype=torch.float64)
    x = SQUARE.to_natural(u)
    samples = Samples(SQUARE, x, Wave().evaluate(x, strict=False).values + torch.tensor([3.0, 4.0, -2.0, 1.0, 9.0]))
    seeds = residual_seeds(samples, Planted([], []), 3, distance=0.05)
    torch.testing.assert_close(seeds, u[[1, 2, 3]])


@pytest.fixture(scope="module")
def networks() -> list[NetworkSurrogate]:
    branin = oracle("branin")
    x = branin.domain.to_natural(torch.rand(300, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    config = FitConfig(widths=(16, 16), epochs=1, least_steps=300)
    return fit_many([Samples(branin.domain, x, branin.values(x))] * 2, config, streams=[0, 1])


def same(left: Maximizers, right: Maximizers, **tolerance: float) -> None:
    assert left.oracle_calls == right.oracle_calls
    torch.testing.assert_close(left.unit, right.unit, **tolerance)
    torch.testing.assert_close(left.errors, right.errors, **tolerance)
    assert left.status.tolist() == right.status.tolist()


@pytest.mark.parametrize("pseudo", [False, True])
@pytest.mark.parametrize("method", ["plain", "trust_region"])
def test_any_surrogate_climbs_as_its_network_does(networks: list[NetworkSurrogate], method: str, pseudo: bool) -> None:
    first, second = networks
    as_callables = [
        CallableSurrogate(
            lambda x, model=model: model.values(x).numpy(), model.domain, gradient=lambda x, model=model: model.values_and_gradients(x)[1].numpy()
        )
        for model in networks
    ]
    config = SearchConfig(method=method, seeds=16, climbers=6, precision="float64", backend="reference")
    branin = oracle("branin")
    native = search(first, branin, config, pseudo_oracle=second if pseudo else None)
    generic = search(as_callables[0], branin, config, pseudo_oracle=as_callables[1] if pseudo else None)
    same(native, generic, rtol=1e-6, atol=1e-6)  # the unit cube is left and entered again on the generic path
    assert native.errors[0].abs() > 1  # there is an error to climb


@pytest.mark.parametrize("pseudo", [False, True])
def test_same_seed_same_result_whatever_the_threads(networks: list[NetworkSurrogate], pseudo: bool) -> None:
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with settings.use_threads(threads):
                results.append(search(networks[0], oracle("branin"), SearchConfig(seeds=24), pseudo_oracle=networks[1] if pseudo else None, seed=5))
    finally:
        torch.set_num_threads(before)
    same(*results, rtol=0, atol=0)


def test_another_domain_is_refused() -> None:
    other = Domain(("a", "b"), (-1.0, 2.0), (3.0, 5.0))
    with pytest.raises(InputError, match="domain of surrogate"):
        search(Planted([], [], domain=other), Wave())
    with pytest.raises(InputError, match="domain of samples"):
        search(THREE, Wave(), samples=Samples(other, torch.tensor([[0.0, 3.0]]), torch.tensor([0.0])))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "newton"},
        {"slopes": "auto"},
        {"seeds": 0},
        {"residual_share": 0.7, "screen_share": 0.7},
        {"radius": 1e-5},
        {"tolerance": -1.0},
        {"budget": 0},
    ],
)
def test_unusable_configurations_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match="search: "):
        SearchConfig(**change)
