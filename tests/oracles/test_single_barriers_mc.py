"""European options and single barriers by Monte Carlo against their closed forms: values, standard errors, gradients, order, steps, bits."""

from __future__ import annotations

import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.european_mc import EuropeanCallMonteCarlo, EuropeanPutMonteCarlo
from pybackdoor.oracles.monte_carlo import MonteCarloOracle
from pybackdoor.oracles.single_barriers import KINDS
from pybackdoor.oracles.single_barriers_mc import SingleBarrierMonteCarlo

FLOOR = 2e-5  # of a rebate or payoff of 20: what is met less often than once in all paths


def made(name: str, **arguments: object) -> MonteCarloOracle:
    if name.startswith("european"):
        return (EuropeanCallMonteCarlo if name == "european_call" else EuropeanPutMonteCarlo)(**arguments)  # type: ignore[arg-type]
    return SingleBarrierMonteCarlo(name.removeprefix("barrier_"), **arguments)  # type: ignore[arg-type]


NAMES = ("european_call", "european_put", *(f"barrier_{kind}" for kind in KINDS))


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_what_the_standard_errors_say(name: str) -> None:
    """One seed a point, so that errors are independent: t with 31 degrees of freedom, of which 1 in 4,500 lies beyond 4.2."""
    points = design(oracle(name).domain, 250, method="uniform", seed=4)
    truth = oracle(name).values(points)
    answers = [made(name, paths=2048, seed=seed).evaluate(points[seed : seed + 1]) for seed in range(len(points))]
    error = torch.cat([answer.values for answer in answers]) - truth
    spread = torch.cat([answer.standard_errors for answer in answers])
    assert int((error.abs() > 4.2 * spread + 8 * FLOOR).sum()) <= 1
    seen = spread > 1e-4
    assert int(seen.sum()) > 60
    assert float((error / spread)[seen].std()) == pytest.approx(1.03, abs=0.25)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("draws", ["sobol", "philox"])
def test_values_over_the_domain_and_its_corners(name: str, draws: str) -> None:
    domain = oracle(name).domain
    generator = torch.Generator().manual_seed(3)
    unit = torch.rand(400, domain.dimension, dtype=torch.float64, generator=generator)
    unit[200:] = torch.where(torch.rand(200, domain.dimension, generator=generator) < 0.5, unit[200:].round(), unit[200:])
    points = domain.to_natural(unit)
    answer = made(name, draws=draws, seed=1).evaluate(points)
    error = (answer.values - oracle(name).values(points)).abs()
    assert bool((error < 5.5 * answer.standard_errors + FLOOR).all())  # 400 errors that depend on one another
    if draws == "sobol":
        assert float(error.max()) < 0.05
        assert float(error.median()) < 2e-3


@pytest.mark.parametrize("steps", [1, 3, 20])
@pytest.mark.parametrize("name", ["barrier_down_out_put", "barrier_up_in_call", "barrier_up_out_call", "european_put"])
def test_steps_make_no_bias(name: str, steps: int) -> None:
    """20 independent seeds at a barrier near the spot, where a watch at the steps alone would be wrong by percents."""
    barrier = {"down": [95.0], "up": [112.0]}.get(name.split("_")[1], [])
    row = [100.0, 104.0, *barrier, *([3.0] if barrier else []), 0.3, 1.5, 0.04, 0.01]
    truth, slopes = oracle(name).values_and_gradients([row])
    answers = [made(name, paths=4096, steps=steps, seed=seed).evaluate([row], True) for seed in range(20)]
    for got, exact in ((torch.stack([a.values for a in answers]), truth), (torch.cat([a.gradients for a in answers]), slopes[0])):
        mean, spread = got.mean(dim=0), got.std(dim=0) / 20**0.5
        assert bool(((mean - exact).abs() < 4.5 * spread + 1e-9).all())
        assert bool((spread < 0.02 * (1 + exact.abs())).all())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_over_the_domain(name: str) -> None:
    points = design(oracle(name).domain, 200, method="uniform", seed=8)
    slopes = oracle(name).values_and_gradients(points)[1]
    gradients = made(name, seed=2).values_and_gradients(points)[1]
    error = (gradients - slopes).abs() / (1 + slopes.abs())
    assert float(error.quantile(0.5)) < 1e-3
    assert float(error.quantile(0.99)) < 0.05
    assert float(error.max()) < 0.7


def test_error_falls_with_the_paths() -> None:
    """Sobol points beat the order 1/2 of independent draws, which Philox has."""
    points = design(oracle("barrier_down_out_put").domain, 60, seed=5)
    orders = {}
    for draws in ("sobol", "philox"):
        few, many = (made("barrier_down_out_put", paths=paths, draws=draws).evaluate(points).standard_errors for paths in (2048, 131072))
        seen = (few > 1e-7) & (many > 0)
        assert int(seen.sum()) > 20
        orders[draws] = float((few / many)[seen].log2().median() / 6)
    assert orders["philox"] == pytest.approx(0.5, abs=0.12)  # standard errors from 32 copies are themselves known to an eighth
    assert orders["sobol"] > 0.8


def test_rare_payments_are_seen() -> None:
    """Prices down to 1e-20: importance sampling keeps the standard error a small part of the price."""
    rows = torch.tensor([[100.0, strike, 0.1, 0.25, 0.0, 0.0] for strike in (130.0, 150.0, 160.0)], dtype=torch.float64)
    truth = oracle("european_call").values(rows)
    answer = EuropeanCallMonteCarlo().evaluate(rows)
    assert float(truth.min()) < 1e-15
    assert bool(((answer.values / truth - 1).abs() < 1e-3).all())
    assert bool((answer.standard_errors < 1e-3 * truth).all())


def test_the_rebate_at_the_touch_where_its_exponents_meet() -> None:
    """drift^2 + 2 r T near 0: the derivative in the rate divides by its root."""
    rows = torch.tensor([[100.0, 90.0, 97.0, 20.0, 0.02, 5.0, rate, rate - 0.0002] for rate in (0.0, 1e-9, 1e-6, 1e-4)], dtype=torch.float64)
    slopes = oracle("barrier_down_out_put").values_and_gradients(rows, strict=False)[1]
    gradients = SingleBarrierMonteCarlo("down_out_put").values_and_gradients(rows, strict=False)[1]
    assert float(((gradients - slopes).abs() / (1 + slopes.abs())).max()) < 5e-3


def test_a_spot_on_the_barrier_has_touched() -> None:
    row = [100.0, 104.0, 100.0, 3.0, 0.3, 1.5, 0.04, 0.01]
    out = SingleBarrierMonteCarlo("down_out_put").evaluate([row], True)
    assert out.values.tolist() == [3.0]
    assert out.standard_errors.tolist() == [0.0]
    assert out.gradients[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    vanilla = oracle("european_put").values([[100.0, 104.0, 0.3, 1.5, 0.04, 0.01]]).item()
    assert SingleBarrierMonteCarlo("down_in_put").values([row]).item() == pytest.approx(vanilla, abs=1e-2)
    near = SingleBarrierMonteCarlo("down_out_put").evaluate([[*row[:2], 100.0 - 1e-9, *row[3:]]], True)
    exact, slopes = oracle("barrier_down_out_put").values_and_gradients([[*row[:2], 100.0 - 1e-9, *row[3:]]])
    assert near.values.item() == pytest.approx(exact.item(), abs=5 * near.standard_errors.item())
    assert near.standard_errors.item() < 1e-3
    assert near.gradients[0, 2].item() == pytest.approx(slopes[0, 2].item(), rel=0.01)


@pytest.mark.parametrize("steps", [1, 4])
def test_bits_depend_neither_on_threads_nor_on_the_batch(steps: int) -> None:
    priced = SingleBarrierMonteCarlo("up_out_put", paths=4096, steps=steps)
    points = design(priced.domain, 257, method="uniform", seed=1)
    whole = priced.evaluate(points, gradient=True)
    with settings.use_threads(3):
        again = priced.evaluate(points, gradient=True)
    part = priced.evaluate(points[101:102], gradient=True)
    assert torch.equal(part.gradients, whole.gradients[101:102])
    assert torch.equal(part.standard_errors, whole.standard_errors[101:102])
    assert torch.equal(again.gradients, whole.gradients)
    assert torch.equal(again.values, whole.values)


def test_seed_and_draws_name_the_numbers() -> None:
    row = [[100.0, 104.0, 0.3, 1.5, 0.04, 0.01]]
    price = EuropeanPutMonteCarlo(seed=5).values(row)
    assert torch.equal(price, EuropeanPutMonteCarlo(seed=5).values(row))
    others = [EuropeanPutMonteCarlo(seed=6), EuropeanPutMonteCarlo(seed=5 + 2**32), EuropeanPutMonteCarlo(seed=5, draws="philox")]
    assert all(not torch.equal(price, other.values(row)) for other in others)


def test_coarser_has_a_quarter_of_the_paths() -> None:
    barrier = SingleBarrierMonteCarlo("up_out_put", paths=16384, steps=3, seed=4, draws="philox")
    coarser = barrier.coarser()
    assert isinstance(coarser, SingleBarrierMonteCarlo)
    assert (coarser.paths, coarser.seed, coarser.draws.dimensions, coarser.draws.method, coarser.name) == (4096, 4, 3, "philox", barrier.name)
    assert coarser.coarser() is None


def test_refused() -> None:
    with pytest.raises(InputError, match="kind is 'sideways'"):
        SingleBarrierMonteCarlo("sideways")
    for steps_refused in (lambda: EuropeanPutMonteCarlo(steps=0), lambda: SingleBarrierMonteCarlo("up_in_put", steps=0)):
        with pytest.raises(InputError, match="0 steps; at least 1"):
            steps_refused()
    with pytest.raises(InputError, match="100 paths"):
        EuropeanPutMonteCarlo(paths=100)
    row = [100.0, 104.0, 90.0, 3.0, 0.0, 1.5, 0.04, 0.01]
    assert SingleBarrierMonteCarlo("down_in_put").evaluate([row], errors="nan").standard_errors.isnan().all()
