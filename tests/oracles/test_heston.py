"""Heston's model: published prices, 20-digit quadrature with Feller violated and strong correlation, gradients, identities, limits, bad input."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.heston import DOMAIN, HestonCall, HestonPut
from pybackdoor.records.evaluation import EvaluationStatus

FANG_OOSTERLEE = [100.0, 100.0, 0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 1.0, 0.0, 0.0]
# A. Lewis: spot 100, variance .04, reversion 4, mean .25, vol 1, correlation -.5, one year, rate .01, dividend .02; strikes 80, 90 .. 120
LEWIS = {
    "heston_call": (26.774758743998854, 20.933349000596710, 16.070154917028834, 12.132211516709845, 9.024913483457836),
    "heston_put": (7.958878113256768, 12.017966707346304, 17.055270961270109, 23.017825898442800, 29.811026202682471),
}


@pytest.mark.parametrize("name", LEWIS)
def test_prices_of_lewis(name):
    rows = [[100.0, strike, 0.04, 4.0, 0.25, 1.0, -0.5, 1.0, 0.01, 0.02] for strike in (80.0, 90.0, 100.0, 110.0, 120.0)]
    assert oracle(name).values(rows).tolist() == pytest.approx(LEWIS[name], abs=1e-11)


@pytest.mark.parametrize(("maturity", "price"), [(1.0, 5.785155450), (10.0, 22.318945791474590)])
def test_prices_of_fang_and_oosterlee(maturity, price):
    row = list(FANG_OOSTERLEE)
    row[7] = maturity
    value = HestonCall().values([row], strict=False).item()
    assert value == pytest.approx(price, abs=2e-8)  # theirs is good to that: 20-digit quadrature agrees with ours


def exact_call(row):
    """Lewis's integral along the real line, the exponent from Heston's own coefficients, in 20 digits."""
    spot, strike, variance, reversion, mean, vol, rho, maturity, rate, dividend = map(mpmath.mpf, row)
    k = mpmath.log(spot / strike) + (rate - dividend) * maturity

    def integrand(u):
        z = mpmath.mpc(u, -0.5)
        beta = reversion - rho * vol * 1j * z
        d = mpmath.sqrt(beta**2 + vol**2 * (z**2 + 1j * z))
        g = (beta - d) / (beta + d)
        e = mpmath.exp(-d * maturity)
        power = reversion * mean / vol**2 * ((beta - d) * maturity - 2 * mpmath.log((1 - g * e) / (1 - g)))
        power += variance * (beta - d) / vol**2 * (1 - e) / (1 - g * e)
        return (mpmath.exp(power + 1j * u * k)).real / (u**2 + mpmath.mpf("0.25"))

    pieces = [0, 1, *(4 * 1.6**step for step in range(24))]
    total = mpmath.quad(integrand, pieces)
    return spot * mpmath.exp(-dividend * maturity) - mpmath.sqrt(spot * strike) * mpmath.exp(-(rate + dividend) * maturity / 2) / mpmath.pi * total


HARD = {
    "Feller violated": [100.0, 90.0, 0.04, 0.5, 0.04, 1.5, -0.9, 1.0, 0.03, 0.0],
    "short": [100.0, 101.0, 0.02, 2.0, 0.05, 0.8, -0.9, 0.02, 0.0, 0.02],
    "long": [100.0, 160.0, 0.1, 0.3, 0.2, 2.0, 0.9, 5.0, 0.1, 0.0],
    "nearly constant": [100.0, 105.0, 0.09, 10.0, 0.09, 0.05, 0.0, 0.5, -0.02, 0.0],
    "far": [50.0, 200.0, 0.5, 0.1, 0.01, 1.0, 0.95, 2.0, 0.05, 0.05],
    "short, fast reversion from little variance": [140.0, 180.0, 0.0025, 10.0, 0.5, 0.05, 0.95, 0.02, 0.1, 0.0],
}


@pytest.mark.parametrize("case", HARD)
def test_against_quadrature_in_20_digits(case):
    with mpmath.workdps(20):
        exact = float(exact_call(HARD[case]))
    for level, error in (("fast", 1e-7), ("standard", 1e-12), ("high", 1e-12)):
        assert HestonCall(level).values([HARD[case]]).item() == pytest.approx(exact, abs=error)


@pytest.mark.parametrize("level", ["fast", "standard", "high"])
@pytest.mark.parametrize(
    "row", [[200.0, 50.0, 0.0025, 10.0, 0.5, 0.05, 0.95, 0.02, 0.1, 0.0], [50.0, 200.0, 0.1025, 1.4, 0.0146, 0.05, -0.87, 0.02, 0.06, 0.0]]
)
def test_a_short_option_far_from_the_money_is_worth_its_parity(row, level):
    """The oscillation at infinity is the other way than where the integrand lives: forty deviations out, exact is 0."""
    held, paid = row[0], row[1] * math.exp(-row[8] * row[7])
    answer = HestonPut(level).evaluate([row], gradient=True)
    error = 1e-8 if level == "fast" else 1e-12
    assert answer.values.item() == pytest.approx(max(paid - held, 0.0), abs=error)
    due = float(paid > held)
    exact = [-due, due * paid / row[1], 0.0, 0.0, 0.0, 0.0, 0.0, -due * row[8] * paid, -due * row[7] * paid, due * row[7] * held]
    assert answer.gradients[0].tolist() == pytest.approx(exact, abs=1000 * error)


@pytest.mark.parametrize(("level", "largest"), [("fast", 2e-5), ("standard", 2e-12)])
def test_levels_hold_their_errors_over_the_domain(level, largest):
    unit = design(DOMAIN, 512, seed=8)
    corner = DOMAIN.to_natural(DOMAIN.to_unit(design(DOMAIN, 512, seed=9)).round())
    points = torch.cat([unit, corner])
    error = (HestonPut(level).values(points) - HestonPut("high").values(points)).abs()
    assert error.max() < largest
    assert error[:512].quantile(0.98) < max(1e-4 * largest, 1e-12)


@pytest.mark.parametrize("name", ["heston_put", "heston_call"])
def test_gradients_are_those_of_the_prices(name):
    points = design(DOMAIN, 128, seed=2)
    values, gradients = oracle(name).values_and_gradients(points)
    assert (values - oracle(name).values(points)).abs().max() < 1e-12
    for feature in range(10):
        step = 1e-3 * points[:, feature].abs().clamp(min=1e-2)
        moved = []
        for offset in (-2, -1, 1, 2):
            at = points.clone()
            at[:, feature] += offset * step
            moved.append(oracle(name).values(at, strict=False))
        slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 3e-6


def test_scaling_of_money_and_time_and_parity():
    points = design(DOMAIN, 256, seed=6)
    call, call_gradient = HestonCall().values_and_gradients(points)
    put, put_gradient = HestonPut().values_and_gradients(points)
    held, paid = points[:, 0] * torch.exp(-points[:, 9] * points[:, 7]), points[:, 1] * torch.exp(-points[:, 8] * points[:, 7])
    assert (call - put - held + paid).abs().max() < 1e-12
    assert torch.allclose(call_gradient[:, 2:7], put_gradient[:, 2:7], rtol=0, atol=1e-12)
    spot, strike, variance, reversion, mean, vol, _, maturity, rate, dividend = (points * put_gradient).unbind(dim=1)
    assert (spot + strike - put).abs().max() < 1e-11
    assert (variance + mean + reversion + vol - maturity + rate + dividend).abs().max() < 1e-6  # t -> c t: v / c, kappa / c, theta / c, sigma / c


def test_without_randomness_of_variance_it_is_black_and_scholes():
    rows = torch.tensor([[100.0, 110.0, 0.04, 1.0, 0.04, 1e-4, 0.3, 1.0, 0.03, 0.01]], dtype=torch.float64)
    expected = oracle("european_put").values([[100.0, 110.0, 0.2, 1.0, 0.03, 0.01]])
    assert HestonPut().values(rows, strict=False).item() == pytest.approx(expected.item(), abs=1e-3)
    rows[0, 5] = 1e-5
    rows[0, 6] = 0.0
    assert HestonPut().values(rows, strict=False).item() == pytest.approx(expected.item(), abs=1e-5)


def test_maturity_zero_is_the_payoff():
    rows = [[100.0, strike, *FANG_OOSTERLEE[2:7], 0.0, 0.05, 0.01] for strike in (90.0, 110.0)]
    for oracle_class, payoff in ((HestonPut, [0.0, 10.0]), (HestonCall, [10.0, 0.0])):
        answer = oracle_class().evaluate(rows, gradient=True, strict=False)
        assert answer.values.tolist() == pytest.approx(payoff, abs=1e-5)
        assert answer.gradients.isfinite().all()


def test_refused():
    with pytest.raises(InputError, match="level is 'exact'; one of fast"):
        HestonPut("exact")
    rows = torch.tensor([FANG_OOSTERLEE] * 3, dtype=torch.float64)
    rows[1, 6], rows[2, 5] = -1.0, 0.0
    with pytest.raises(InputError, match=r"row 2 has vol = 0; a positive"):
        HestonPut().evaluate(rows)
    assert HestonPut().evaluate(rows, errors="nan").status.tolist() == [0, EvaluationStatus.BAD_INPUT, EvaluationStatus.BAD_INPUT]
    with pytest.raises(InputError, match=r"row 1 has correlation = -1"):
        HestonPut().evaluate(rows[:2])


def test_bits_depend_neither_on_threads_nor_on_the_batch():
    points = design(DOMAIN, 1100, method="uniform", seed=1)
    whole = HestonPut("fast").evaluate(points, gradient=True)
    with settings.use_threads(2):
        again = HestonPut("fast").evaluate(points, gradient=True)
    part = HestonPut("fast").evaluate(points[1021:1030], gradient=True)
    assert torch.equal(part.values, whole.values[1021:1030])
    assert torch.equal(part.gradients, whole.gradients[1021:1030])
    assert torch.equal(again.gradients, whole.gradients)
    assert HestonPut().evaluate(torch.zeros(0, 10), gradient=True).gradients.shape == (0, 10)
