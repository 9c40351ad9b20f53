"""Bermudan bounds around prices by integration on a grid; gradients; QuantLib's prices where Longstaff and Schwartz have theirs; bad input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles.bermudan import BermudanMaxCall, BermudanPut

CASE = [100.0, 100.0, 100.0, 0.2, 0.2, 0.0, 3.0, 0.05, 0.1, 0.1]  # Andersen and Broadie's, spot 100


def integrated(row: list[float], dates: int, points: int) -> float:
    """The call on the larger of two assets that are not correlated: normal densities of the logarithms, summed on a grid about today's prices."""
    spots, strike, vols, (_, time, rate), yields = row[:2], row[2], row[3:5], row[5:8], row[8:]
    axes, densities, dt = [], [], time / dates
    for spot, vol, dividend in zip(spots, vols, yields, strict=True):
        x = np.log(spot / strike) + np.linspace(-7, 7, points) * vol * np.sqrt(time)
        gap = (x[None, :] - x[:, None] - (rate - dividend - vol**2 / 2) * dt) / (vol * np.sqrt(dt))
        axes.append(np.exp(x))
        densities.append(np.exp(-(gap**2) / 2) * (x[1] - x[0]) / (vol * np.sqrt(2 * np.pi * dt)))
    paid = np.maximum(np.maximum(axes[0][:, None], axes[1][None, :]) - 1, 0)
    value = paid
    for date in range(dates):
        value = np.exp(-rate * dt) * densities[0] @ (value if date == 0 else np.maximum(value, paid)) @ densities[1].T
    return strike * value[points // 2, points // 2]


def at_spot(spot: float) -> list[float]:
    return [spot, spot, *CASE[2:]]


def test_the_integrated_prices_converge() -> None:
    """To 8.075, 13.902, 21.345 within what Andersen and Broadie's binomial tree leaves open."""
    for spot, price in ((90.0, 8.075), (100.0, 13.902), (110.0, 21.345)):
        prices = [integrated(at_spot(spot), 9, points) for points in (101, 201, 401)]
        errors = [abs(after - before) for before, after in pairwise(prices)]
        assert errors[1] < 3e-3
        assert errors[1] < errors[0] / 2
        assert prices[2] == pytest.approx(price, abs=4e-3)


def test_bounds_are_close_around_the_price() -> None:
    rows = [at_spot(90.0), CASE, at_spot(110.0), [95.0, 110.0, 100.0, 0.3, 0.15, 0.0, 2.0, 0.03, 0.08, 0.04]]
    price = torch.tensor([integrated(row, 9, 401) for row in rows], dtype=torch.float64)
    found = BermudanMaxCall(training=2048).bounds(rows, inner=64)
    assert bool((found.lower - 4 * found.lower_errors - 3e-3 < price).all())
    assert bool((found.upper + 4 * found.upper_errors + 3e-3 > price).all())
    assert bool((found.upper - found.lower < 0.003 * price).all())
    assert bool((found.lower_errors < 0.001 * price).all())
    assert bool((found.upper_errors < 0.001 * price).all())


def test_more_inner_draws_lower_the_upper_bound() -> None:
    oracle = BermudanMaxCall()
    gaps = [float((bounds.upper - bounds.lower)[0]) for bounds in (oracle.bounds([CASE], inner=inner) for inner in (4, 16, 64))]
    assert gaps[0] > 2 * gaps[1] > 2 * gaps[2] > 0


def test_errors_are_what_the_standard_errors_say() -> None:
    """Of the lower bound, whose own distance to the price is below its standard error."""
    price = integrated(CASE, 9, 401)
    answers = [BermudanMaxCall(seed=seed).evaluate([CASE]) for seed in range(16)]
    score = torch.cat([(answer.values - price) / answer.standard_errors for answer in answers])
    assert -1.5 < float(score.mean()) < 0.8
    assert 0.4 < float(score.std()) < 2.0


def test_gradients_are_those_of_the_integrated_price() -> None:
    row = [95.0, 110.0, 100.0, 0.3, 0.15, 0.0, 2.0, 0.03, 0.08, 0.04]
    samples = torch.cat([BermudanMaxCall(seed=seed).evaluate([row], True).gradients for seed in range(8)])
    mean, error = samples.mean(dim=0), samples.std(dim=0) / 8**0.5
    for feature in (0, 1, 2, 3, 4, 6, 7, 8, 9):
        step = 1e-3 * row[feature]
        up, down = list(row), list(row)
        up[feature] += step
        down[feature] -= step
        slope = (integrated(up, 9, 201) - integrated(down, 9, 201)) / (2 * step)
        assert float(mean[feature]) == pytest.approx(slope, abs=5 * float(error[feature]) + 0.01 * abs(slope)), feature
        assert float(error[feature]) < 0.03 * max(1.0, abs(slope)), feature


def test_the_derivative_in_the_correlation_by_differences() -> None:
    """Differences of the drawn price, far apart and over several seeds: it jumps."""
    up, down = ([*CASE[:5], correlation, *CASE[6:]] for correlation in (0.3, -0.3))
    slopes = torch.cat([BermudanMaxCall(seed=seed).evaluate([CASE], True).gradients[:, 5] for seed in range(8)])
    differences = torch.cat([BermudanMaxCall(seed=seed).values([up, down]).diff() / -0.6 for seed in range(8)])
    assert float(slopes.mean()) == pytest.approx(float(differences.mean()), rel=0.06)


def test_where_longstaff_and_schwartz_have_their_table() -> None:
    """Strike 40, rate .06, one year, 50 dates; QuantLib 1.44, FdBlackScholesVanillaEngine(1000, 1000) with BermudanExercise."""
    table = {(36.0, 0.2): 4.477801, (40.0, 0.2): 2.314062, (44.0, 0.2): 1.109862, (36.0, 0.4): 7.101253, (40.0, 0.4): 5.311955, (44.0, 0.4): 3.947677}
    price = torch.tensor(list(table.values()), dtype=torch.float64)
    found = BermudanPut().bounds([[s, 40.0, v, 1.0, 0.06, 0.0] for s, v in table], inner=16, strict=False)
    assert bool((found.lower - 4 * found.lower_errors < price).all())
    assert bool((found.upper + 4 * found.upper_errors > price).all())
    assert bool((found.upper - found.lower < 0.02 * price).all())


def test_one_date_is_european_and_no_time_the_payoff() -> None:
    from pybackdoor.oracles.max_call_two import MaxCallTwo

    answer = BermudanMaxCall(dates=1).evaluate([CASE])
    assert answer.values.item() == pytest.approx(MaxCallTwo().values([CASE]).item(), abs=4 * answer.standard_errors.item() + 1e-9)
    now = [104.0, 90.0, *CASE[2:6], 0.0, *CASE[7:]]
    assert BermudanMaxCall().values([now], strict=False).item() == pytest.approx(4.0, abs=1e-9)


def test_refused() -> None:
    for wrong in ({"dates": 0}, {"training": 63}, {"inner": 3}, {"inner": 258}, {"assets": 6}):
        with pytest.raises(InputError, match=r"dates and|inner draws|assets; 2 to 5"):
            BermudanMaxCall(**wrong)
    with pytest.raises(InputError, match="inner draws"):
        BermudanMaxCall().bounds([CASE], inner=0)
    with pytest.raises(InputError, match="volatility1"):
        BermudanMaxCall().bounds([[*CASE[:3], 0.0, *CASE[4:]]], strict=False)
    with pytest.raises(InputError, match="maturity"):
        BermudanMaxCall().bounds([[*CASE[:6], 9.0, *CASE[7:]]])
