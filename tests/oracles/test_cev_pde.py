"""CEV options by finite differences: the closed form over the domain and in its corners, orders, limits, identities, exact derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.cev import DOMAIN, CEVCall, CEVPut
from pybackdoor.oracles.cev_pde import CEVPDE, CEVCallPDE, CEVPutPDE


def corners(count: int) -> torch.Tensor:
    """Half of the features at a bound."""
    generator = torch.Generator().manual_seed(8)
    unit, chance = (torch.rand(count, 7, dtype=torch.float64, generator=generator) for _ in range(2))
    return DOMAIN.to_natural(torch.where(chance < 0.5, unit.round(), unit))


def errors(x: torch.Tensor, made: CEVPDE) -> tuple[torch.Tensor, torch.Tensor]:
    """Absolute errors of values; errors of gradients over 1 + their size."""
    values, gradients = made.values_and_gradients(x)
    truth, slopes = (CEVPut() if made.name == "cev_put_pde" else CEVCall()).values_and_gradients(x)
    return (values - truth).abs(), (gradients - slopes).abs() / (1 + slopes.abs())


@pytest.mark.parametrize(("level", "scale"), [("fast", 32.0), ("standard", 1.0), ("high", 1 / 12)])
def test_accuracy_over_the_domain_and_in_its_corners(level: str, scale: float) -> None:
    value, gradient = errors(design(DOMAIN, 1024, seed=5), CEVPutPDE(level))
    assert float(value.median()) < 1e-5 * scale
    assert float(value.max()) < 2e-4 * scale
    assert float(gradient.median(dim=0).values.max()) < 4e-6 * scale
    assert float(gradient.max()) < 2e-3 * scale
    value, gradient = errors(corners(512), CEVCallPDE(level))
    assert float(value.median()) < 5e-6 * scale
    assert float(value.max()) < 4e-4 * scale
    assert float(gradient.max()) < 6e-3 * scale


def test_orders() -> None:
    """Two without extrapolation, four with it."""
    x = design(DOMAIN, 256, seed=6)
    for extrapolate, order in ((False, 2.0), (True, 4.0)):
        coarse, fine = (errors(x, CEVPutPDE(space=cells, time=cells // 4, extrapolate=extrapolate)) for cells in (64, 128))
        seen = coarse[0] > 1e-5
        assert int(seen.sum()) > 150
        assert float(torch.log2(coarse[0] / fine[0])[seen].median()) == pytest.approx(order, abs=0.2)
        vega = coarse[1][:, 2] > 1e-5
        assert int(vega.sum()) > 80
        assert float(torch.log2(coarse[1] / fine[1])[vega, 2].median()) == pytest.approx(order, abs=0.3)


def test_gradients_are_those_of_the_discrete_price() -> None:
    """To the accuracy of central differences; elasticities near 1 and below 0 among them."""
    x = corners(160)
    x[:30, 3] = 1.0 - 10.0 ** torch.linspace(-4, -1, 30, dtype=torch.float64)
    x[30:50, 3] = torch.linspace(-3.0, 0.0, 20, dtype=torch.float64)
    made = CEVCallPDE(space=48, time=16)
    gradients = made.values_and_gradients(x, strict=False)[1]
    for feature in range(7):
        gaps = []
        for size in (1e-4, 1e-5, 1e-6):
            step = torch.zeros_like(x)
            step[:, feature] = size * torch.minimum(x[:, feature].abs() + 0.01, (1.0 - x[:, feature]).abs() + (feature != 3))
            up, down = (made.values(x + sign * step, strict=False) for sign in (1, -1))
            gaps.append(((up - down) / (2 * step[:, feature]) - gradients[:, feature]).abs())
        gap = torch.stack(gaps).amin(dim=0) / (1 + gradients[:, feature].abs())
        assert float(gap.quantile(0.95)) < 1e-6
        assert float(gap.max()) < 1e-4


def test_identities_hold_on_every_grid() -> None:
    """Parity, money and time to rounding: the discrete problem knows its units."""
    x = torch.cat([design(DOMAIN, 128, seed=7), corners(128)])
    put, gradient = CEVPutPDE(space=16, time=8).values_and_gradients(x)
    call = CEVCallPDE(space=16, time=8).values(x)
    assert float((call - put - x[:, 0] * torch.exp(-x[:, 6] * x[:, 4]) + x[:, 1] * torch.exp(-x[:, 5] * x[:, 4])).abs().max()) < 1e-11
    spot, strike, volatility, _, maturity, rate, dividend = (x * gradient).unbind(dim=1)
    terms = torch.stack([0.5 * volatility, maturity, rate, dividend, spot, strike, put, x[:, 0]]).abs().amax(dim=0)
    assert float(((0.5 * volatility - maturity + rate + dividend) / terms).abs().max()) < 1e-10
    assert float(((spot + strike + (1 - x[:, 3]) * volatility - put) / terms).abs().max()) < 1e-10


@pytest.mark.parametrize("away", [1e-3, 1e-6, 1e-12])
def test_towards_elasticity_one_it_is_black_and_scholes(away: float) -> None:
    rows = torch.tensor([[100.0, 110.0, 0.3, 1 - away, 1.0, 0.05, 0.02], [100.0, 60.0, 0.8, 1 - away, 5.0, 0.0, 0.1]], dtype=torch.float64)
    kept = [0, 1, 2, 4, 5, 6]
    truth, slopes = oracle("european_call").values_and_gradients(rows[:, kept])
    values, gradients = CEVCallPDE("high").values_and_gradients(rows, strict=False)
    assert float((values - away * -gradients[:, 3] - truth).abs().max()) < 1e-5 + 20 * away**2
    assert float((gradients[:, kept] - slopes).abs().max()) < 1e-3 + 20 * away


@pytest.mark.parametrize(
    ("spot", "strike", "volatility", "maturity"),
    [(100, 100, 0.2, 1.0), (60, 80, 0.6, 2.0), (150, 90, 0.8, 5.0), (1, 100, 0.8, 5.0), (100, 1, 0.8, 5.0)],
)
def test_elasticity_zero_is_bachelier_absorbed_at_zero(spot: float, strike: float, volatility: float, maturity: float) -> None:
    deviation = volatility * 100 * math.sqrt(maturity)

    def bachelier(distance: float) -> float:
        return float(distance * norm.cdf(distance / deviation) + deviation * norm.pdf(distance / deviation))

    value = CEVCallPDE("high").values([[spot, strike, volatility, 0.0, maturity, 0.0, 0.0]], strict=False).item()
    assert value == pytest.approx(bachelier(spot - strike) - bachelier(-spot - strike), abs=2e-5)


def test_without_spread_it_is_the_payoff_of_the_forward() -> None:
    x = [[100.0, 98.0, 1e-9, 0.5, 2.0, 0.05, 0.01], [100.0, 110.0, 0.2, 0.5, 0.0, 0.05, 0.01], [100.0, 120.0, 1e-9, 0.9, 2.0, 0.0, 0.05]]
    values, gradients = CEVPutPDE().values_and_gradients(x, strict=False)
    held, paid = 100 * math.exp(-0.1), 120.0
    assert values.tolist() == pytest.approx([0.0, 10.0, paid - held], abs=1e-12)
    assert gradients[2].tolist() == pytest.approx([-held / 100, 1.0, 0.0, 0.0, 0.05 * held, -240.0, 2 * held], abs=1e-12)
    soon = [[*row[:4], 1e-6, *row[5:]] for row in x]
    assert CEVPutPDE().values(soon, strict=False).tolist() == pytest.approx([0.0, 10.0, 20.0], abs=1e-4)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match="needed"):
        CEVPutPDE("best")
    with pytest.raises(InputError, match="needed"):
        CEVPutPDE(space=50)
    with pytest.raises(InputError, match="elasticity = 1"):
        CEVPutPDE().values([[100.0, 100.0, 0.2, 1.0, 1.0, 0.0, 0.0]])
