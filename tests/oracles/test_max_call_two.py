"""The call on the larger of two assets: published prices, 20-digit quadrature, gradients, identities, degenerate correlations, bad input."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.max_call_two import DOMAIN, MaxCallTwo
from pybackdoor.oracles.scalar.bivariate import bivariate_normal


def test_published_prices():
    haug = [100.0, 105.0, 98.0, 0.11, 0.16, 0.63, 0.5, 0.05, 0.0, 0.0]
    assert MaxCallTwo().values([haug]).item() == pytest.approx(11.6323, abs=5e-5)
    # N. Firth's table, as in QuantLib's tests: spots and strike 100, volatilities .3, one year, rate .05
    rows = [[100.0, 100.0, 100.0, 0.3, 0.3, rho, 1.0, 0.05, 0.0, 0.0] for rho in (0.9, 0.7, 0.5, 0.3)]
    assert MaxCallTwo().values(rows).tolist() == pytest.approx([17.565, 19.980, 21.619, 22.932], abs=1e-3)


def exact(row):
    """The second asset integrated numerically, the first by Black's formula given the second."""
    s1, s2, strike, v1, v2, rho, maturity, rate, q1, q2 = map(mpmath.mpf, row)
    root = mpmath.sqrt(maturity)
    left = v1 * root * mpmath.sqrt(1 - rho**2)

    def payoff(z):
        second = s2 * mpmath.exp((rate - q2 - v2**2 / 2) * maturity + v2 * root * z)
        forward = s1 * mpmath.exp((rate - q1 - v1**2 / 2) * maturity + v1 * root * rho * z + left**2 / 2)
        beaten = max(second, strike)
        d1 = mpmath.log(forward / beaten) / left + left / 2
        return mpmath.npdf(z) * (beaten - strike + forward * mpmath.ncdf(d1) - beaten * mpmath.ncdf(d1 - left))

    kink = (mpmath.log(strike / s2) - (rate - q2 - v2**2 / 2) * maturity) / (v2 * root)
    turn = (mpmath.log(s1 / s2)) / (v2 * root)
    pieces = sorted({mpmath.mpf(-14), *(min(max(p, -14), 16) for p in (kink, turn, -4, -1, 1, 4)), mpmath.mpf(16)})
    return mpmath.exp(-rate * maturity) * mpmath.quad(payoff, pieces)


def test_against_quadrature_in_20_digits():
    points = design(DOMAIN, 12, seed=3)
    values = MaxCallTwo().values(points)
    for point, value in zip(points.tolist(), values.tolist(), strict=True):
        with mpmath.workdps(20):
            assert abs(float(exact(point) - mpmath.mpf(value))) < 1e-12 * max(1.0, value)


@pytest.mark.parametrize("correlation", [-0.9999, -0.95, -0.3, 0.0, 0.6, 0.93, 0.999999])
def test_bivariate_normal(correlation):
    with mpmath.workdps(25):
        rho = mpmath.mpf(correlation)
        width = mpmath.sqrt(1 - rho**2)
        for x, y in ((0.3, -1.2), (-2.0, -1.9), (1.5, 1.50001), (-0.7, 0.70002), (3.0, -4.0)):
            turn = y / rho if correlation else mpmath.mpf(0)
            marks = {turn + k * width for k in (-8, -2, 0, 2, 8)} | {mpmath.mpf(-3)}
            pieces = [mpmath.mpf(-14), *sorted(mark for mark in marks if -14 < mark < x), mpmath.mpf(x)]
            truth = mpmath.quad(lambda t, y=y: mpmath.npdf(t) * mpmath.ncdf((y - rho * t) / width), pieces)
            assert abs(float(truth - bivariate_normal(x, y, correlation))) < 1e-15


def test_gradients_are_those_of_the_prices():
    points = design(DOMAIN, 128, seed=2)
    points[:, 5] *= 0.95
    _, gradients = MaxCallTwo().values_and_gradients(points)
    for feature in range(10):
        step = 1e-3 * points[:, feature].abs().clamp(min=1e-2)
        moved = []
        for offset in (-2, -1, 1, 2):
            at = points.clone()
            at[:, feature] += offset * step
            moved.append(MaxCallTwo().values(at, strict=False))
        slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 1e-7


def test_scaling_of_money_and_time_and_symmetry():
    points = design(DOMAIN, 256, seed=6)
    values, gradients = MaxCallTwo().values_and_gradients(points)
    one, two, strike, vol1, vol2, _, maturity, rate, q1, q2 = (points * gradients).unbind(dim=1)
    assert (one + two + strike - values).abs().max() < 1e-11
    assert (0.5 * (vol1 + vol2) - maturity + rate + q1 + q2).abs().max() < 1e-9
    swapped = points[:, [1, 0, 2, 4, 3, 5, 6, 7, 9, 8]]
    assert (MaxCallTwo().values(swapped) - values).abs().max() < 1e-12


def test_a_hopeless_second_asset_leaves_the_european_call():
    row = [[100.0, 1e-6, 95.0, 0.2, 0.3, 0.4, 1.0, 0.05, 0.01, 0.0]]
    call = oracle("european_call").values([[100.0, 95.0, 0.2, 1.0, 0.05, 0.01]]).item()
    assert MaxCallTwo().values(row, strict=False).item() == pytest.approx(call, abs=1e-12)


def test_maturity_zero_is_the_payoff():
    rows = [[100.0, 120.0, 90.0, 0.2, 0.3, 0.4, 0.0, 0.05, 0.01, 0.02], [80.0, 70.0, 90.0, 0.2, 0.3, 0.4, 0.0, 0.05, 0.01, 0.02]]
    answer = MaxCallTwo().evaluate(rows, gradient=True, strict=False)
    assert answer.values.tolist() == pytest.approx([30.0, 0.0], abs=1e-12)
    assert answer.gradients[0, :7].tolist() == pytest.approx([0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.05 * 90 - 0.02 * 120], abs=1e-12)
    assert answer.gradients.isfinite().all()


def test_refused():
    row = [100.0, 120.0, 90.0, 0.2, 0.3, 1.0, 1.0, 0.05, 0.01, 0.02]
    with pytest.raises(InputError, match="row 0 has correlation = 1; a correlation strictly"):
        MaxCallTwo().evaluate([row])
    assert MaxCallTwo().evaluate([row], errors="nan").values.isnan().all()
    assert math.isfinite(MaxCallTwo().values([[*row[:5], 0.999999, *row[6:]]], strict=False).item())


def test_bits_depend_neither_on_threads_nor_on_the_batch():
    points = design(DOMAIN, 1100, method="uniform", seed=1)
    whole = MaxCallTwo().evaluate(points, gradient=True)
    with settings.use_threads(2):
        again = MaxCallTwo().evaluate(points, gradient=True)
    part = MaxCallTwo().evaluate(points[500:530], gradient=True)
    assert torch.equal(part.gradients, whole.gradients[500:530])
    assert torch.equal(again.gradients, whole.gradients)
