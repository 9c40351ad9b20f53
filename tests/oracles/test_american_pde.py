"""American options by finite differences: the spectral method over the domain, its derivatives next to the boundary, the region that exercises."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.american import AmericanCall, AmericanPut
from pybackdoor.oracles.american_pde import AmericanCallPDE, AmericanPDE, AmericanPutPDE
from pybackdoor.oracles.european_vanilla import EuropeanPut


def rows(count: int, right: str = "put", seed: int = 5) -> torch.Tensor:
    x = design(AmericanPutPDE.domain, count, seed=seed)
    rate, dividend = (x[:, 4], x[:, 5]) if right == "put" else (x[:, 5], x[:, 4])
    return x[~((rate < 0) & (dividend < rate))]


@pytest.mark.parametrize(("level", "median", "largest"), [("fast", 4e-4, 1e-2), ("standard", 4e-5, 1.5e-3), ("high", 4e-6, 1e-4)])
def test_accuracy_over_the_domain(level: str, median: float, largest: float) -> None:
    """The bar of the standard level is a median of 5e-4. Gradients are as exact as values, the largest next to the boundary."""
    x = rows(1024)
    truth, slopes = AmericanPut("high").values_and_gradients(x)
    values, gradients = AmericanPutPDE(level).values_and_gradients(x)
    assert float((values - truth).abs().median()) < median
    assert float((values - truth).abs().max()) < largest
    error = ((gradients - slopes).abs() / (1 + slopes.abs())).amax(dim=1)
    assert float(error.median()) < median
    assert float(error.quantile(0.99)) < largest


def test_gradients_next_to_the_exercise_boundary() -> None:
    """Where every derivative but that in the spot goes to 0: errors were of the derivatives' own size, and larger, on a mesh that does not move."""
    x = rows(4096)
    truth, slopes = AmericanPut("high").values_and_gradients(x)
    next_to = (truth > x[:, 1] - x[:, 0]) & (truth < x[:, 1] - x[:, 0] + 0.05)
    assert int(next_to.sum()) > 20
    error = (AmericanPutPDE().values_and_gradients(x[next_to])[1] - slopes[next_to]).abs() / (1 + slopes[next_to].abs())
    assert float(error.max()) < 5e-3


def test_the_call_is_the_put_of_the_exchanged_market() -> None:
    x = rows(256, "call")
    error = (AmericanCallPDE().values(x) - AmericanCall("high").values(x)).abs()
    assert float(error.median()) < 4e-5


def test_second_order_without_extrapolation() -> None:
    x = rows(512)
    truth = AmericanPut("high").values_and_gradients(x)
    grids = [AmericanPutPDE(space=cells, time=cells, extrapolate=False).values_and_gradients(x) for cells in (48, 96)]
    for part in range(2):
        coarse, fine = ((answer[part] - truth[part]).abs().flatten() for answer in grids)
        seen = coarse > 1e-4
        assert int(seen.sum()) > 200
        assert float(torch.log2(coarse / fine)[seen].median()) == pytest.approx(2, abs=0.2)


def test_gradients_are_homogeneous_and_scale_with_time() -> None:
    x = rows(96)
    values, gradients = AmericanPutPDE("fast").values_and_gradients(x)
    scaled = x * gradients
    assert torch.allclose(scaled[:, 0] + scaled[:, 1], values, rtol=1e-12, atol=1e-10)
    assert torch.allclose(scaled[:, 3], 0.5 * scaled[:, 2] + scaled[:, 4] + scaled[:, 5], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("rate", [1e-4, 1e-7, 1e-10, 1e-13])
def test_a_rate_of_almost_nothing_adds_almost_nothing(rate: float) -> None:
    """Exercise is worth at most the interest on the strike; its boundary then lies far down and is hard to find."""
    cases = [[s, 100.0, v, t, rate, q] for s in (60.0, 100.0) for v in (0.05, 1.0) for t in (0.01, 5.0) for q in (0.0, 1e-6, 0.05)]
    x = torch.tensor(cases, dtype=torch.float64)
    premium = AmericanPutPDE("high").values(x) - EuropeanPut().values(x)
    assert float(premium.min()) > -1e-9
    assert bool((premium <= 100.0 * rate * x[:, 3] + 1e-9).all())


def test_a_drift_of_many_deviations_is_refused() -> None:
    x = [[100.0, 100.0, 0.02, 30.0, 0.05, 0.3], [100.0, 100.0, 0.2, 30.0, 0.05, 0.3]]
    with pytest.raises(InputError, match="10 deviations"):
        AmericanPutPDE("fast").evaluate(x, strict=False, errors="raise")
    assert AmericanPutPDE("fast").evaluate(x, strict=False).values.isnan().tolist() == [True, False]


def test_what_is_exercised_is_the_payoff() -> None:
    x = torch.tensor([[50.0, 200.0, 0.2, 1.0, 0.1, 0.0], [60.0, 150.0, 0.05, 5.0, 0.05, 0.01]], dtype=torch.float64)
    values, gradients = AmericanPutPDE().values_and_gradients(x)
    assert values.tolist() == pytest.approx([150.0, 90.0], abs=1e-10)
    assert torch.allclose(gradients, torch.tensor([[-1.0, 1.0, 0, 0, 0, 0]], dtype=torch.float64), rtol=0, atol=1e-12)


def test_maturity_nothing_is_the_payoff() -> None:
    x = [[90.0, 100.0, 0.2, 0.0, 0.05, 0.02], [110.0, 100.0, 0.2, 0.0, 0.05, 0.02]]
    assert AmericanPutPDE().values(x, strict=False).tolist() == [10.0, 0.0]


def test_what_cannot_be_made_is_refused() -> None:
    kind: type[AmericanPDE] = AmericanPutPDE
    with pytest.raises(InputError, match="needed"):
        kind("best")
    with pytest.raises(InputError, match="needed"):
        kind(space=50)
