"""Constant elasticity of variance: Bachelier with absorption, SciPy and 30-digit sums, the Black-Scholes limit, gradients, identities, bad input."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import ncx2, norm

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.cev import DOMAIN, CEVCall, CEVPut


@pytest.mark.parametrize(
    ("spot", "strike", "volatility", "maturity"), [(100, 100, 0.2, 1.0), (60, 80, 0.6, 2.0), (150, 90, 0.8, 5.0), (100, 105, 0.05, 0.1)]
)
def test_elasticity_zero_is_bachelier_absorbed_at_zero(spot, strike, volatility, maturity):
    deviation = volatility * 100 * math.sqrt(maturity)

    def bachelier(distance):
        return distance * norm.cdf(distance / deviation) + deviation * norm.pdf(distance / deviation)

    row = [[spot, strike, volatility, 0.0, maturity, 0.0, 0.0]]
    assert CEVCall().values(row).item() == pytest.approx(bachelier(spot - strike) - bachelier(-spot - strike), abs=1e-10)


@pytest.mark.parametrize(("spot", "strike"), [(100, 2), (100, 0.01), (1, 100), (1e-5, 100), (0.01, 0.02), (1e-6, 1e-3)])
def test_far_outside_the_domain_it_is_absorbed_as_well(spot, strike):
    """Spot or strike a small part of a deviation from 0: the call is the mirror's difference of nearly equal numbers, taken in 40 digits."""
    with mpmath.workdps(40):
        deviation = 80 * mpmath.sqrt(5)

        def bachelier(distance):
            return distance * mpmath.ncdf(distance / deviation) + deviation * mpmath.npdf(distance / deviation)

        exact = float(bachelier(mpmath.mpf(spot) - strike) - bachelier(-mpmath.mpf(spot) - strike))
    values, gradients = CEVCall().values_and_gradients([[spot, strike, 0.8, 0.0, 5.0, 0.0, 0.0]], strict=False)
    assert values.item() == pytest.approx(exact, rel=1e-12)
    money = spot * gradients[0, 0] + strike * gradients[0, 1] + 0.8 * gradients[0, 2]
    assert money.item() == pytest.approx(exact, rel=1e-9)


def parts(point):
    """2 x, 2 y and theta of Schroder's formula, in mpmath; the carry must not be 0."""
    spot, strike, volatility, elasticity, maturity, rate, dividend = (mpmath.mpf(float(value)) for value in point)
    away, carry = 1 - elasticity, rate - dividend
    scale = carry / (volatility**2 * 100 ** (2 * away) * away * mpmath.expm1(2 * carry * away * maturity))
    return (
        2 * scale * spot ** (2 * away) * mpmath.exp(2 * carry * away * maturity),
        2 * scale * strike ** (2 * away),
        1 / (2 * away),
        spot * mpmath.exp(-dividend * maturity),
        strike * mpmath.exp(-rate * maturity),
    )


def test_over_the_domain_against_scipy():
    points = design(DOMAIN, 256, seed=3)
    exact = []
    for point in points.tolist():
        x, y, theta, held, paid = map(float, parts(point))
        exact.append(held * ncx2.sf(y, 2 + 2 * theta, x) - paid * ncx2.cdf(x, 2 * theta, y))
    assert np.abs(np.array(exact) - CEVCall().values(points).numpy()).max() < 1e-8  # SciPy's error for large noncentralities included


@pytest.mark.parametrize(
    "point", [(100.0, 110.0, 0.4, 0.5, 2.0, 0.05, 0.01), (60.0, 50.0, 0.8, 0.2, 4.0, -0.01, 0.02), (100.0, 95.0, 0.3, 0.8, 3.0, 0.1, 0.0)]
)
def test_against_sums_in_30_digits(point):
    with mpmath.workdps(30):
        x, y, theta, held, paid = parts(point)

        def chance(a, middle, bound):
            terms = range(int(middle + 14 * mpmath.sqrt(middle) + 60))
            return sum(
                mpmath.exp(-middle + j * mpmath.log(middle) - mpmath.loggamma(j + 1)) * mpmath.gammainc(a + j, 0, bound, regularized=True)
                for j in terms
            )

        exact = held * (1 - chance(1 + theta, x / 2, y / 2)) - paid * chance(theta, y / 2, x / 2)
        assert abs(float(exact - mpmath.mpf(CEVCall().values([point]).item()))) < 1e-11


def test_near_elasticity_one_it_is_black_and_scholes():
    european = oracle("european_put").values([[100.0, 100.0, 0.4, 1.0, 0.05, 0.02]]).item()
    gaps = [CEVPut().values([[100.0, 100.0, 0.4, 1 - away, 1.0, 0.05, 0.02]], strict=False).item() - european for away in (0.08, 0.04, 0.02)]
    assert abs(gaps[2]) < 5e-3
    assert gaps[0] / gaps[1] == pytest.approx(4.0, abs=0.1)  # at the money the first order vanishes
    assert gaps[1] / gaps[2] == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("name", ["cev_put", "cev_call"])
def test_gradients_are_those_of_the_prices(name):
    points = DOMAIN.to_natural(0.02 + 0.96 * DOMAIN.to_unit(design(DOMAIN, 128, seed=2)))
    _, gradients = oracle(name).values_and_gradients(points)
    for feature in range(7):
        step = 1e-3 * points[:, feature].abs().clamp(min=1e-2)
        moved = []
        for offset in (-2, -1, 1, 2):
            at = points.clone()
            at[:, feature] += offset * step
            moved.append(oracle(name).values(at, strict=False))
        slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 2e-6


def test_scaling_of_time_and_parity():
    points = design(DOMAIN, 256, seed=6)
    points[0, 5] = points[0, 6]  # no carry: the limit of h / (e^h - 1)
    call, call_gradient = CEVCall().values_and_gradients(points)
    put, put_gradient = CEVPut().values_and_gradients(points)
    held, paid = points[:, 0] * torch.exp(-points[:, 6] * points[:, 4]), points[:, 1] * torch.exp(-points[:, 5] * points[:, 4])
    assert (call - put - held + paid).abs().max() < 1e-11
    assert (call_gradient[:, 2:4] - put_gradient[:, 2:4]).abs().max() < 1e-11 * put_gradient.abs().max()
    spot, strike, volatility, _, maturity, rate, dividend = (points * put_gradient).unbind(dim=1)
    assert (0.5 * volatility - maturity + rate + dividend).abs().max() < 1e-6
    money = spot + strike + (1 - points[:, 3]) * volatility - put  # lambda S, lambda K: volatility lambda^(1 - elasticity)
    assert money.abs().max() < 1e-7


def test_maturity_zero_is_the_payoff():
    rows = [[100.0, 110.0, 0.2, 0.5, 0.0, 0.05, 0.01], [100.0, 90.0, 0.2, 0.5, 0.0, 0.05, 0.01]]
    answer = CEVPut().evaluate(rows, gradient=True, strict=False)
    assert answer.values.tolist() == [10.0, 0.0]
    assert answer.gradients.isfinite().all()
    soon = [[*row[:4], 1e-5, *row[5:]] for row in rows]
    assert CEVPut().values(soon, strict=False).tolist() == pytest.approx([10.0, 0.0], abs=1e-3)


def test_refused_and_split():
    row = [100.0, 110.0, 0.2, 1.0, 1.0, 0.05, 0.01]
    with pytest.raises(InputError, match=r"row 0 has elasticity = 1; an elasticity in"):
        CEVPut().evaluate([row])
    assert CEVPut().evaluate([row, [*row[:3], 0.5, *row[4:]]], strict=False).values.isnan().tolist() == [True, False]
    points = design(DOMAIN, 700, method="uniform", seed=1)
    whole = CEVPut().evaluate(points, gradient=True)
    with settings.use_threads(2):
        assert torch.equal(CEVPut().evaluate(points, gradient=True).gradients, whole.gradients)
    assert torch.equal(CEVPut().evaluate(points[250:270], gradient=True).gradients, whole.gradients[250:270])
