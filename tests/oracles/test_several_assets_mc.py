"""Calls on the largest and on the average of several assets: the closed form, quadrature, gradients, identities, bad input, bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.assets import plane
from pybackdoor.oracles.basket_call import BasketCall
from pybackdoor.oracles.max_call import MaxCall

KINDS = (MaxCall, BasketCall)


def test_call_on_the_larger_of_two_against_its_closed_form() -> None:
    """One seed a point: independent errors, t with 31 degrees of freedom."""
    points = design(oracle("max_call_two").domain, 200, method="uniform", seed=4)
    truth, slopes = oracle("max_call_two").values_and_gradients(points)
    answers = [MaxCall(2, paths=2048, seed=seed).evaluate(points[seed : seed + 1]) for seed in range(len(points))]
    error, spread = torch.cat([a.values for a in answers]) - truth, torch.cat([a.standard_errors for a in answers])
    assert bool((error.abs() < 4.7 * spread + 1e-4).all())  # of what only one path in thousands pays, 2,048 paths do not tell
    score = (error / spread)[spread > 1e-5]
    assert len(score) > 150
    assert float(score.std()) == pytest.approx(1.03, abs=0.2)
    answer = MaxCall(2, paths=2**17).evaluate(points, True)
    assert float(((answer.values - truth) / (truth + 1e-2)).abs().max()) < 2e-3
    assert float((answer.values - truth).abs().median()) < 1e-3
    error = (answer.gradients - slopes).abs() / (1 + slopes.abs())
    assert float(error.max()) < 0.1
    assert float(error.median()) < 1e-4


def largest(point: np.ndarray, d: int) -> float:
    """E[max(max S, K)] - K by its distribution: a product of normal ones given a common factor, correlation >= 0; in two Gauss-Legendre rules."""
    spots, strike, sigma, rho, time, rate, dividend = np.split(point, [d, d + 1, 2 * d + 1, 2 * d + 2, 2 * d + 3, 2 * d + 4])
    nodes, weights = np.polynomial.legendre.leggauss(400)
    factor, factor_weights = 8.5 * nodes, 8.5 * weights * norm.pdf(8.5 * nodes)
    top = float((np.log(spots) + 9 * sigma * np.sqrt(time)).max() + 1)
    y = 0.5 * (top - np.log(strike)) * (nodes + 1) + np.log(strike)  # log of what the largest must not pass
    y_weights = 0.5 * (top - np.log(strike)) * weights * np.exp(y)
    z = (y[:, None] - np.log(spots) - (rate - dividend - sigma**2 / 2) * time) / (sigma * np.sqrt(time))  # [y, d]
    below = norm.cdf((z[:, None, :] - np.sqrt(rho) * factor[None, :, None]) / np.sqrt(1 - rho)).prod(axis=2)
    return float(np.exp(-rate[0] * time[0]) * (y_weights * (1 - below @ factor_weights)).sum())


def average_of_two(point: np.ndarray) -> float:
    """The second asset by a Gauss-Legendre rule, the first by Black's formula given the second."""
    s1, s2, strike, v1, v2, rho, time, rate, q1, q2 = point
    total = 0.0
    root = np.sqrt(time)
    kink = (np.log(2 * strike / s2) - (rate - q2 - v2**2 / 2) * time) / (v2 * root)
    edges = [-9.0, *([kink] if -9 < kink < 12 else []), 12.0]
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for low, high in pairwise(edges):
        z = 0.5 * (high - low) * (nodes + 1) + low
        second = s2 * np.exp((rate - q2 - v2**2 / 2) * time + v2 * root * z)
        left = v1 * root * np.sqrt(1 - rho**2)
        forward = s1 * np.exp((rate - q1 - v1**2 / 2) * time + v1 * root * rho * z + left**2 / 2)
        owed = 2 * strike - second
        safe = np.where(owed > 0, owed, 1.0)
        d1 = np.log(forward / safe) / left + left / 2
        pay = np.where(owed > 0, forward * norm.cdf(d1) - safe * norm.cdf(d1 - left), forward - owed)
        total += float((0.5 * (high - low) * weights * norm.pdf(z) * pay / 2).sum())
    return total * float(np.exp(-rate * time))


@pytest.mark.parametrize("assets", [3, 5])
def test_call_on_the_largest_against_quadrature(assets: int) -> None:
    call = MaxCall(assets, paths=2**15)
    points = design(call.domain, 24, seed=6)
    points[:, 2 * assets + 1] = points[:, 2 * assets + 1].clamp(min=0.02)
    answer = call.evaluate(points)
    truth = torch.tensor([largest(point, assets) for point in points.numpy()], dtype=torch.float64)
    assert float(((answer.values - truth).abs() / (answer.standard_errors + 1e-9)).max()) < 4.2
    assert float(((answer.values - truth) / truth).abs().max()) < 5e-3
    assert float(answer.standard_errors.max()) > 0


def test_call_on_an_average_of_two_against_quadrature() -> None:
    call = BasketCall(2, paths=2**15)
    points = design(call.domain, 48, seed=6)
    answer = call.evaluate(points)
    truth = torch.tensor([average_of_two(point) for point in points.numpy()], dtype=torch.float64)
    assert float(((answer.values - truth).abs() / (answer.standard_errors + 1e-9)).max()) < 4.2
    assert float(((answer.values - truth) / (truth + 1e-3)).abs().max()) < 5e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("assets", [2, 3, 4, 5])
def test_gradients_are_those_of_the_drawn_price(kind: type[MaxCall], assets: int) -> None:
    points = design(kind(assets).domain, 12, seed=9)
    points[:, 2 * assets + 1] *= 0.9
    call = kind(assets, paths=2048, seed=5)
    gradients = call.values_and_gradients(points)[1]
    for feature in range(call.domain.dimension):
        step = 1e-5 * points[:, feature].abs().clamp(min=1e-2)
        up, down = points.clone(), points.clone()
        up[:, feature] += step
        down[:, feature] -= step
        slope = (call.values(up, strict=False) - call.values(down, strict=False)) / (2 * step)
        assert float(((slope - gradients[:, feature]).abs() / (1 + slope.abs())).max()) < 5e-6


@pytest.mark.parametrize("kind", KINDS)
def test_scaling_of_money_and_time(kind: type[MaxCall]) -> None:
    call = kind(3)
    points = design(call.domain, 64, seed=6)
    values, gradients = call.values_and_gradients(points)
    parts = points * gradients
    assert float(((parts[:, :4].sum(dim=1) - values) / values).abs().max()) < 1e-11
    size = parts.abs().sum(dim=1) + 1
    time = 0.5 * parts[:, 4:7].sum(dim=1) - parts[:, 8] + parts[:, 9] + parts[:, 10:].sum(dim=1)
    assert float((time / size).abs().max()) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_assets_without_hope_leave_fewer(kind: type[MaxCall]) -> None:
    row = [100.0, 1e-7, 1e-7, 95.0, 0.2, 0.3, 0.4, 0.3, 1.0, 0.05, 0.01, 0.0, 0.0]
    strike = row[3] if kind is MaxCall else 3 * row[3]
    row[3] = 95.0 if kind is MaxCall else 95.0 / 3
    european = oracle("european_call").values([[100.0, 95.0, 0.2, 1.0, 0.05, 0.01]]).item()
    answer = kind(3, paths=2**16).evaluate([row], strict=False)
    assert strike > 0
    assert answer.values.item() * (1 if kind is MaxCall else 3) == pytest.approx(european, abs=1e-3)


def test_plane_is_orthonormal_and_sums_to_zero() -> None:
    for assets in (2, 3, 5):
        basis = plane(assets)
        assert np.abs(basis @ basis.T - np.eye(assets - 1)).max() < 1e-15
        assert np.abs(basis.sum(axis=1)).max() < 1e-15


def test_equal_volatilities_and_maturity_zero() -> None:
    rows = [[100.0, 105.0, 98.0, 0.2, 0.2, rho, 1.0, 0.03, 0.01, 0.0] for rho in (-0.5, 0.0, 0.9)]
    assert MaxCall(2, paths=2**16).values(rows).tolist() == pytest.approx(oracle("max_call_two").values(rows).tolist(), abs=5e-3)
    row = [100.0, 120.0, 90.0, 0.2, 0.3, 0.4, 0.0, 0.05, 0.01, 0.02]
    for kind, payoff in ((MaxCall, 30.0), (BasketCall, 20.0)):
        answer = kind(2).evaluate([row], True, strict=False)
        assert answer.values.item() == pytest.approx(payoff, abs=1e-12)
        assert answer.standard_errors.item() == 0.0
        assert bool(answer.gradients.isfinite().all())


def test_refused() -> None:
    for kind in KINDS:
        with pytest.raises(InputError, match="1 assets; 2 to 5"):
            kind(1)
        row = [100.0] * 3 + [95.0, 0.2, 0.3, 0.4, -0.5, 1.0, 0.05, 0.01, 0.0, 0.0]
        with pytest.raises(InputError, match=r"row 0 has correlation = -0.5; a correlation strictly between -0.5 and 1"):
            kind(3).evaluate([row], errors="raise", strict=False)


@pytest.mark.parametrize("kind", KINDS)
def test_bits_depend_neither_on_threads_nor_on_the_batch(kind: type[MaxCall]) -> None:
    call = kind(3, paths=2048)
    points = design(call.domain, 130, method="uniform", seed=1)
    whole = call.evaluate(points, gradient=True)
    with settings.use_threads(3):
        assert torch.equal(call.evaluate(points, gradient=True).gradients, whole.gradients)
    assert torch.equal(call.evaluate(points[70:71], gradient=True).gradients, whole.gradients[70:71])
