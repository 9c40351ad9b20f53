"""American options by spectral collocation: published values, QuantLib, gradients, the exercised region, degenerate markets, bad input."""

from __future__ import annotations

import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.american import DOMAIN, AmericanCall, AmericanPut
from pybackdoor.records.evaluation import EvaluationStatus

# F. A. Longstaff and E. S. Schwartz, Review of Financial Studies 14 (2001), table 1, finite differences: strike 40, rate .06; spot 36, 38 .. 44.
# Theirs may be exercised on 50 days a year only, and is worth up to 0.01 less.
LONGSTAFF_SCHWARTZ = {
    (0.2, 1.0): (4.478, 3.250, 2.314, 1.617, 1.110),
    (0.2, 2.0): (4.840, 3.745, 2.885, 2.212, 1.690),
    (0.4, 1.0): (7.101, 6.148, 5.312, 4.582, 3.948),
    (0.4, 2.0): (8.508, 7.670, 6.920, 6.248, 5.647),
}


@pytest.mark.parametrize(("volatility", "maturity"), LONGSTAFF_SCHWARTZ)
def test_table_of_longstaff_and_schwartz(volatility, maturity):
    rows = [[spot, 40.0, volatility, maturity, 0.06, 0.0] for spot in (36.0, 38.0, 40.0, 42.0, 44.0)]
    values = AmericanPut().values(rows, strict=False)
    more = values - torch.tensor(LONGSTAFF_SCHWARTZ[volatility, maturity], dtype=torch.float64)
    assert more.min() > -1e-3
    assert more.max() < 1e-2
    assert more[0] > 5e-3


@pytest.mark.parametrize(("level", "tolerance"), [("fast", 2e-5), ("standard", 1e-6), ("high", 2e-7)])
def test_premium_of_andersen_lake_and_offengenden(level, tolerance):
    row = [[100.0, 100.0, 0.25, 1.0, 0.05, 0.05]]
    premium = AmericanPut(level).values(row) - oracle("european_put").values(row)
    assert premium.item() == pytest.approx(0.106952702747, abs=tolerance)


def hard_points(count):
    """Half of them with rate next to dividend, the others of low volatility about the strike; all with a reason to exercise early."""
    points = design(DOMAIN, count, seed=3)
    points[:, 4] = points[:, 4].clamp(min=1e-3)
    near = slice(0, count // 2)
    points[near, 5] = points[near, 4] * (1 + torch.logspace(-5, -1, count // 2, dtype=torch.float64) * torch.tensor([-1.0, 1.0]).repeat(count // 4))
    points[near, 5] = points[near, 5].clamp(max=0.1)
    points[count // 2 :, 2] = torch.logspace(-1.3, -0.7, count - count // 2, dtype=torch.float64)
    points[:, 0] = points[:, 1] * (1 + 0.2 * torch.linspace(-1, 1, count, dtype=torch.float64) * points[:, 2])
    return points


@pytest.mark.parametrize(("level", "median", "largest", "steepest"), [("fast", 2e-6, 3e-4, 1e-2), ("standard", 3e-8, 5e-6, 2e-3)])
@pytest.mark.parametrize("where", ["domain", "hard"])
def test_levels_hold_their_errors(level, median, largest, steepest, where):
    points = design(DOMAIN, 256, seed=11) if where == "domain" else hard_points(256)
    truth = AmericanPut("high").evaluate(points, strict=False, gradient=True)
    ours = AmericanPut(level).evaluate(points, strict=False, gradient=True)
    error = (ours.values - truth.values).abs()
    slopes = (ours.gradients - truth.gradients).abs() / (1 + truth.gradients.abs())
    assert error.median() < median
    assert error.max() < largest
    assert slopes.median() < median
    assert slopes.max() < steepest


def test_against_quantlib():
    pytest.importorskip("QuantLib", reason="QuantLib (the bench extra) is not installed")
    peer = pytest.importorskip("benchmarks.quantlib_prices", reason="not run as `python -m pytest` from the repository's root")
    points = design(DOMAIN, 8, seed=4)
    points[:, 3] = (points[:, 3] * 365).round().clamp(min=4) / 365
    points[:, 4] = points[:, 4].clamp(min=2e-3)
    error = (AmericanPut("high").values(points) - peer.american_truth(points)).abs()
    assert error.median() < 1e-8
    assert error.max() < 1e-6


def test_strong_drifts_beyond_the_domain():
    """Of a put that is exercised soon or never the price does not depend on the maturity."""
    rows = torch.tensor(
        [[100.0, 100.0, 0.05, maturity, 0.1, dividend] for dividend in (-0.05, 0.0) for maturity in (20.0, 40.0, 80.0)], dtype=torch.float64
    )
    rising = AmericanPut().evaluate(rows, strict=False, gradient=True)
    assert rising.ok.all()
    assert rising.values.reshape(2, 3).std(dim=1).max() < 1e-6
    assert rising.gradients[:, 3].abs().max() < 1e-6
    beta = 0.5 - 0.1 / 0.0025 - ((0.1 / 0.0025 - 0.5) ** 2 + 2 * 0.1 / 0.0025) ** 0.5  # the perpetual put without dividends, R. C. Merton (1973)
    boundary = 100 * beta / (beta - 1)
    assert rising.values[-1].item() == pytest.approx((100 - boundary) * (100 / boundary) ** beta, abs=3e-6)


def test_what_does_not_settle_is_a_status():
    answer = AmericanPut().evaluate([[100.0, 100.0, 0.002, 0.01, 0.01, -0.05], [100.0, 100.0, 0.2, 0.01, 0.01, 0.0]], strict=False, gradient=True)
    assert answer.status.tolist() == [EvaluationStatus.NOT_CONVERGED, EvaluationStatus.OK]
    assert answer.values.isnan().tolist() == [True, False]


@pytest.mark.parametrize("name", ["american_put", "american_call"])
def test_gradients_are_those_of_the_prices(name):
    option = oracle(name)
    points = design(DOMAIN, 64, seed=2)
    points[:8, 5] = points[:8, 4] + 4e-5  # rate next to dividend
    points = points[(points[:, 4] > 1e-3) & (points[:, 5] > 1e-3)]
    gradients = option.evaluate(points, gradient=True).gradients
    for feature, step in enumerate((1e-2, 1e-2, 1e-4, 1e-4, 1e-5, 1e-5)):
        moved = []
        for offset in (-2, -1, 1, 2):
            at = points.clone()
            at[:, feature] += offset * step
            moved.append(option.values(at, strict=False))
        slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        error = (gradients[:, feature] - slope).abs()
        assert error.median() < 1e-6
        assert torch.quantile(error / (1 + slope.abs()), 0.9) < 2e-4  # rows where the difference crosses the exercise boundary are the rest


@pytest.mark.parametrize("name", ["american_put", "american_call"])
def test_scaling_of_money_and_time_and_bounds(name):
    points = design(DOMAIN, 200, seed=9)
    values, gradients = oracle(name).values_and_gradients(points)
    european = oracle(name.replace("american", "european")).values(points)
    spot, strike, volatility, maturity, rate, dividend = (points * gradients).unbind(dim=1)
    intrinsic = (points[:, 1] - points[:, 0]) * (1 if name.endswith("put") else -1)
    assert (spot + strike - values).abs().max() < 1e-9
    running = intrinsic < values  # exercised options do not know of time
    assert (0.5 * volatility - maturity + rate + dividend)[running].abs().max() < 1e-6 * gradients.abs().max()
    assert (values >= european - 1e-6).all()
    assert (values >= intrinsic - 3e-5).all()


def test_deep_in_the_money_is_intrinsic():
    put = AmericanPut().evaluate([[50.0, 150.0, 0.2, 1.0, 0.05, 0.01]], gradient=True)
    assert put.values.item() == 100.0
    assert put.gradients.tolist() == [[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    call = AmericanCall().evaluate([[200.0, 50.0, 0.2, 1.0, 0.0, 0.08]], gradient=True)
    assert call.values.item() == 150.0
    assert call.gradients.tolist() == [[1.0, -1.0, 0.0, 0.0, 0.0, 0.0]]


def test_price_meets_the_payoff_smoothly():
    spots = torch.linspace(75.0, 90.0, 301, dtype=torch.float64)
    rows = torch.tensor([[0.0, 100.0, 0.2, 1.0, 0.05, 0.0]], dtype=torch.float64).repeat(301, 1)
    rows[:, 0] = spots
    values, gradients = AmericanPut().values_and_gradients(rows)
    assert values[0] == 25.0
    assert values[-1] > 10.2
    assert (values.diff().diff() > -1e-6).all()
    assert gradients[:, 0].diff().abs().max() < 1.2e-2


@pytest.mark.parametrize(("name", "rate", "dividend"), [("put", -0.01, 0.02), ("put", 0.0, 0.03), ("put", -0.02, -0.01), ("call", 0.03, 0.0)])
def test_without_reason_to_exercise_it_is_european(name, rate, dividend):
    row = [[100.0, 110.0, 0.3, 2.0, rate, dividend]]
    american, european = (oracle(f"{kind}_{name}").evaluate(row, gradient=True, strict=False) for kind in ("american", "european"))
    assert american.values.item() == pytest.approx(european.values.item(), abs=1e-12)
    assert torch.allclose(american.gradients, european.gradients, rtol=0, atol=1e-10)


def test_maturity_zero_is_the_payoff():
    answer = AmericanPut().evaluate([[100.0, 110.0, 0.3, 0.0, 0.05, 0.0], [100.0, 90.0, 0.3, 0.0, 0.05, 0.0]], gradient=True, strict=False)
    assert answer.values.tolist() == pytest.approx([10.0, 0.0], abs=1e-12)
    assert answer.gradients.isfinite().all()


def test_refused():
    with pytest.raises(InputError, match="level is 'best'; one of fast"):
        AmericanPut("best")
    rows = [[100.0, 110.0, 0.3, 1.0, -0.01, -0.02], [100.0, 110.0, 0.3, 1.0, 0.01, 0.0]]
    assert AmericanPut().evaluate(rows, strict=False).status.tolist() == [EvaluationStatus.BAD_INPUT, EvaluationStatus.OK]
    with pytest.raises(InputError, match="at most one exercise boundary"):
        AmericanPut().evaluate(rows, strict=False, errors="raise")
    assert AmericanCall().evaluate(rows, strict=False).status.tolist() == [EvaluationStatus.OK, EvaluationStatus.OK]


def test_bits_depend_neither_on_threads_nor_on_the_batch():
    points = design(DOMAIN, 1100, method="uniform", seed=1)
    whole = AmericanPut("fast").evaluate(points, gradient=True)
    with settings.use_threads(2):
        again = AmericanPut("fast").evaluate(points, gradient=True)
    part = AmericanPut("fast").evaluate(points[1021:1030], gradient=True)
    assert torch.equal(part.values, whole.values[1021:1030])
    assert torch.equal(part.gradients, whole.gradients[1021:1030])
    assert torch.equal(again.gradients, whole.gradients)
    assert torch.equal(AmericanPut("fast").values(points), whole.values)
    assert AmericanPut().evaluate(torch.zeros(0, 6), gradient=True).gradients.shape == (0, 6)


def test_a_call_without_dividends_at_a_negative_rate_has_a_gradient() -> None:
    """As a put its rate is 0 and its dividend yield negative: a boundary whose limit does not move, divided by that rate all the same once."""
    row = torch.tensor([[190.0, 70.0, 0.97, 4.36, -0.02, 0.0]], dtype=torch.float64)
    gradient = AmericanCall("high").values_and_gradients(row)[1]
    step = 1e-4
    for feature in range(5):  # the last is a bound of what has one boundary
        moved = torch.zeros(1, 6, dtype=torch.float64)
        moved[0, feature] = step
        up, down = (AmericanCall("high").values(row + sign * moved, strict=False) for sign in (1, -1))
        assert float(gradient[0, feature]) == pytest.approx(float((up - down) / (2 * step)), rel=1e-3, abs=1e-3)
