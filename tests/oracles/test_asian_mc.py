"""Arithmetic Asian options against a one-dimensional recursion, the European at one date, gradients, identities, bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.asian import AsianCall, AsianPut


def exact_call(point: np.ndarray, dates: int) -> float:
    """With the share as numeraire Z_k = (sum_{j <= k} S_j / M - K) / S_k is a Markov chain, Z_k = Z_{k-1} / R_k + 1 / M: backwards, for Z < 0.

    Where Z >= 0 the option is exercised for sure and its value is linear.
    """
    spot, strike, sigma, maturity, rate, dividend = point
    step = maturity / dates
    mean, deviation = (rate - dividend + sigma**2 / 2) * step, sigma * np.sqrt(step)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    width = 0.2 / dates
    u = np.linspace(-np.arcsinh(strike / spot * np.exp(9 * sigma * np.sqrt(maturity)) / width), 0.0, 900)
    z = width * np.sinh(u)
    value, (slope, level) = np.zeros_like(z), (1.0, 0.0)  # of max(Z, 0)
    for _ in range(dates):
        spline = CubicSpline(u, value)
        crossing = np.clip((np.log(np.maximum(-z * dates, 1e-300)) - mean) / deviation, -9.0, 9.0)  # where Z passes 0
        total = np.zeros_like(z)
        for low, high, dead in ((-9.0 + 0 * z, crossing, True), (crossing, 9.0 + 0 * z, False)):
            half = 0.5 * (high - low)
            x = low[:, None] + half[:, None] * (nodes + 1)
            after = z[:, None] * np.exp(-mean - deviation * x) + 1 / dates
            paid = spline(np.clip(np.arcsinh(after / width), u[0], 0.0)) if dead else slope * after + level
            total += half * (weights * norm.pdf(x) * paid).sum(axis=1)
        slope, level = slope * np.exp(-(rate - dividend) * step), level + slope / dates
        value = total
    return float(spot * np.exp(-dividend * maturity) * CubicSpline(u, value)(np.arcsinh(-strike / spot / width)))


def parity(points: np.ndarray, dates: int) -> np.ndarray:
    """Call minus put: the forward of the mean, less the strike."""
    spot, strike, _, maturity, rate, dividend = points.T
    growth = np.exp((rate - dividend)[:, None] * maturity[:, None] * np.arange(1, dates + 1) / dates).mean(axis=1)
    return np.exp(-rate * maturity) * (spot * growth - strike)


def test_the_recursion_at_one_date_is_black_and_scholes() -> None:
    points = design(AsianCall.domain, 40, seed=3)
    points = points[points[:, 2] * points[:, 3].sqrt() > 0.03]
    truth = oracle("european_call").values(points)
    assert [exact_call(point, 1) for point in points.numpy()] == pytest.approx(truth.tolist(), abs=2e-7)


@pytest.mark.parametrize("dates", [2, 12, 50])
def test_against_the_recursion(dates: int) -> None:
    points = design(AsianCall.domain, 24, seed=6)
    points[:, 2].clamp_(min=0.05)
    points[:, 3].clamp_(min=0.1)
    truth = torch.tensor([exact_call(point, dates) for point in points.numpy()], dtype=torch.float64)
    for kind, expected in ((AsianCall, truth), (AsianPut, truth - torch.from_numpy(parity(points.numpy(), dates)))):
        answer = kind(dates=dates, paths=2**14, seed=2).evaluate(points)
        error = (answer.values - expected).abs()
        assert bool((error < 4.2 * answer.standard_errors + 1e-4).all())
        assert float(answer.standard_errors.median()) < 3e-3
        assert float((answer.standard_errors / (0.5 + expected)).max()) < 1e-2


def test_errors_are_what_the_standard_errors_say() -> None:
    point = np.array([100.0, 105.0, 0.4, 1.5, 0.05, 0.01])
    truth = exact_call(point, 12)
    for draws in ("sobol", "philox"):
        answers = [AsianCall(paths=2048, seed=seed, draws=draws).evaluate(point[None]) for seed in range(150)]
        score = torch.cat([(a.values - truth) / a.standard_errors for a in answers])
        assert float(score.std()) == pytest.approx(1.03, abs=0.2)
        assert float(score.abs().max()) < 4.7
        assert float(score.mean().abs()) < 0.35


@pytest.mark.parametrize("name", ["call", "put"])
def test_one_date_is_european(name: str) -> None:
    points = design(AsianCall.domain, 200, seed=3)
    values, gradients = oracle(f"european_{name}").values_and_gradients(points)
    answer = (AsianCall if name == "call" else AsianPut)(dates=1, paths=2048).evaluate(points, True)
    assert float((answer.values - values).abs().max()) < 1e-10
    assert float(((answer.gradients - gradients).abs() / (1 + gradients.abs())).max()) < 1e-10


@pytest.mark.parametrize("kind", [AsianCall, AsianPut])
def test_gradients_are_those_of_the_drawn_price(kind: type[AsianCall]) -> None:
    """Exactly: the threshold's own derivative pays nothing."""
    points = design(kind.domain, 40, seed=9)
    priced = kind(paths=2048, seed=3)
    gradients = priced.values_and_gradients(points)[1]
    for feature in range(6):
        step = 1e-5 * points[:, feature].abs().clamp(min=1e-2)
        up, down = points.clone(), points.clone()
        up[:, feature] += step
        down[:, feature] -= step
        slope = (priced.values(up, strict=False) - priced.values(down, strict=False)) / (2 * step)
        assert float(((slope - gradients[:, feature]).abs() / (1 + slope.abs())).max()) < 2e-6


def test_scaling_of_money_and_time() -> None:
    points = design(AsianCall.domain, 64, seed=6)
    values, gradients = AsianCall().values_and_gradients(points)
    spot, strike, sigma, maturity, rate, dividend = (points * gradients).unbind(dim=1)
    assert float(((spot + strike - values) / (1 + values)).abs().max()) < 1e-11
    assert float(((0.5 * sigma - maturity + rate + dividend) / (1 + sigma.abs())).abs().max()) < 1e-9


def test_bits_depend_neither_on_threads_nor_on_the_batch() -> None:
    priced = AsianPut(paths=2048, dates=5)
    points = design(priced.domain, 130, method="uniform", seed=1)
    whole = priced.evaluate(points, gradient=True)
    with settings.use_threads(3):
        assert torch.equal(priced.evaluate(points, gradient=True).gradients, whole.gradients)
    assert torch.equal(priced.evaluate(points[70:71], gradient=True).gradients, whole.gradients[70:71])


def test_refused() -> None:
    with pytest.raises(InputError, match="0 dates; at least 1"):
        AsianCall(dates=0)
