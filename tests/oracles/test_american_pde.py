"""American options by finite differences: the spectral method over the domain, exact derivatives of the scheme, the region that exercises."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.american import AmericanCall, AmericanPut
from pybackdoor.oracles.american_pde import AmericanCallPDE, AmericanPDE, AmericanPutPDE


def rows(count: int, right: str = "put", seed: int = 5) -> torch.Tensor:
    x = design(AmericanPutPDE.domain, count, seed=seed)
    rate, dividend = (x[:, 4], x[:, 5]) if right == "put" else (x[:, 5], x[:, 4])
    return x[~((rate < 0) & (dividend < rate))]


@pytest.mark.parametrize(("level", "median", "largest"), [("fast", 1e-3, 0.4), ("standard", 1.5e-4, 0.1), ("high", 3e-5, 0.05)])
def test_accuracy_over_the_domain(level: str, median: float, largest: float) -> None:
    """The bar of the standard level is a median of 5e-4."""
    x = rows(1024)
    error = (AmericanPutPDE(level).values(x) - AmericanPut("high").values(x)).abs()
    assert float(error.median()) < median
    assert float(error.max()) < largest


def test_the_call_is_the_put_of_the_exchanged_market() -> None:
    x = rows(256, "call")
    error = (AmericanCallPDE().values(x) - AmericanCall("high").values(x)).abs()
    assert float(error.median()) < 1.5e-4


def test_second_order_without_extrapolation() -> None:
    x = rows(512)
    truth = AmericanPut("high").values(x)
    coarse, fine = ((AmericanPutPDE(space=space, time=space // 2, extrapolate=False).values(x) - truth).abs() for space in (80, 160))
    seen = coarse > 1e-2
    assert int(seen.sum()) > 100
    assert float(torch.log2(coarse / fine)[seen].median()) == pytest.approx(2, abs=0.15)


def test_gradients_are_those_of_the_discrete_price() -> None:
    x = rows(96)
    made = AmericanPutPDE(space=48, time=16)
    values, gradients = made.values_and_gradients(x)
    held = values > x[:, 1] - x[:, 0]
    for feature in range(6):
        gaps = []
        for size in (1e-5, 1e-6, 1e-7):
            step = torch.zeros_like(x)
            step[:, feature] = size * (x[:, feature].abs() + 0.01)
            up, down = (made.values(x + sign * step, strict=False) for sign in (1, -1))
            gaps.append(((up - down) / (2 * step[:, feature]) - gradients[:, feature]).abs())
        gap = (torch.stack(gaps).amin(dim=0) / (1 + gradients[:, feature].abs()))[held]
        assert float(gap.quantile(0.95)) < 1e-5


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
