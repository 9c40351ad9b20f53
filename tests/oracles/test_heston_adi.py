"""Heston's equation by finite differences: against the semi-closed price over the domain, published prices, orders, gradients, identities, limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.adi_plan import graded
from pybackdoor.oracles.heston import DOMAIN, HestonCall, HestonPut
from pybackdoor.oracles.heston_adi import LEVELS, HestonADICall, HestonADIPut, scaled
from pybackdoor.oracles.heston_grid import Memory, solve_grid

FANG_OOSTERLEE = [100.0, 100.0, 0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(("level", "error"), [("fast", 3e-3), ("standard", 3e-4), ("high", 3e-5)])
def test_published_prices(level: str, error: float) -> None:
    """Fang and Oosterlee (2008) at one year; strikes 80, 100 and 120 of A. Lewis's reference prices, as QuantLib's test suite has them."""
    rows = [FANG_OOSTERLEE, *([100.0, strike, 0.04, 4.0, 0.25, 1.0, -0.5, 1.0, 0.01, 0.02] for strike in (80.0, 100.0, 120.0))]
    exact = [5.785155450, 26.774758743998854, 16.070154917028834, 9.024913483457836]
    assert HestonADICall(level).values(rows).tolist() == pytest.approx(exact, abs=error)


# The four cases of K. J. in 't Hout and S. Foulon (2010), as QuantLib's test suite has them (fdheston.cpp, testFdmHestonConvergence); strike 100
IN_T_HOUT_FOULON = {
    "1": (1.5, 0.04, 0.3, -0.9, 1.0, 0.025, 0.0),
    "2": (3.0, 0.12, 0.04, 0.6, 1.0, 0.01, 0.04),
    "3": (0.6067, 0.0707, 0.2928, -0.7571, 3.0, 0.03, 0.0),
    "4": (2.5, 0.06, 0.5, -0.1, 0.25, 0.0507, 0.0469),
}


@pytest.mark.parametrize("case", IN_T_HOUT_FOULON)
def test_the_region_of_interest_of_in_t_hout_and_foulon(case: str) -> None:
    """Spots K/2 to 3K/2 and variances to 1, where they measure their errors; the call's truth is the semi-closed price."""
    reversion, mean, vol, correlation, maturity, rate, dividend = IN_T_HOUT_FOULON[case]
    rows = [
        [spot, 100.0, variance, reversion, mean, vol, correlation, maturity, rate, dividend]
        for spot in (51.0, 80.0, 100.0, 120.0, 149.0)
        for variance in (0.001, 0.04, 0.3, 0.99)
    ]
    exact = HestonCall("high").values(rows, strict=False)
    assert (HestonADICall().values(rows, strict=False) - exact).abs().max() < 1e-2


def test_levels_hold_their_errors_over_the_domain() -> None:
    inside = design(DOMAIN, 160, seed=8)
    corners = DOMAIN.to_natural(DOMAIN.to_unit(design(DOMAIN, 96, seed=9)).round())  # Feller violated, correlation .95, maturity .02 ...
    for level, (median, ninety, largest, in_corners) in {"fast": (1e-3, 4e-3, 0.05, 0.3), "standard": (1e-4, 8e-4, 0.01, 0.12)}.items():
        errors = [(HestonADIPut(level).values(points) - HestonPut("high").values(points)).abs() for points in (inside, corners)]
        assert errors[0].median() < median
        assert errors[0].quantile(0.9) < ninety
        assert errors[0].max() < largest
        assert errors[1].median() < median
        assert errors[1].max() < in_corners


def test_gradients_agree_with_those_of_the_semi_closed_price() -> None:
    points = design(DOMAIN, 96, seed=18)
    ours, exact = HestonADICall().values_and_gradients(points)[1], HestonCall("high").values_and_gradients(points)[1]
    error = DOMAIN.gradient_to_unit(points, ours - exact).abs().amax(dim=1)
    assert error.median() < 2e-3
    assert error.quantile(0.9) < 2e-2


def test_second_order_and_fourth_by_extrapolation() -> None:
    points = design(DOMAIN, 24, seed=4)
    points[:, 5] = points[:, 5].clamp(max=0.6)
    exact = HestonCall("high").values(points).numpy()
    columns = scaled(np.ascontiguousarray(points.numpy().T))
    _, strike, *_, maturity, rate, dividend = points.numpy().T
    paid = strike * np.exp(-rate * maturity)
    carried = np.where(columns[0] > 0, points[:, 0].numpy() * np.exp(-dividend * maturity) - paid, 0.0)
    grids = [paid * solve_grid(columns, Memory(24 * n + 1, 12 * n + 1, graded(6 * n, 4, damped=2)), False)[0] + carried for n in (1, 2, 4, 8)]
    single = [np.median(np.abs(grid - exact)) for grid in grids]
    combined = [np.median(np.abs(fine + (fine - coarse) / 3 - exact)) for coarse, fine in pairwise(grids)]
    assert np.log2(single[1] / single[3]) / 2 == pytest.approx(2, abs=0.2)
    assert combined[2] < single[3] / 20
    assert np.log2(combined[0] / combined[2]) / 2 > 2.5


@pytest.mark.parametrize("name", ["heston_put_adi", "heston_call_adi"])
def test_gradients_are_those_of_the_discrete_prices(name: str) -> None:
    """To the differences' own error, in every feature: the mesh moves with the features, and the gradient knows."""
    made = type(oracle(name))("fast")
    points = design(DOMAIN, 32, seed=2)
    points[0, 2] = points[1, 4] = 0.0026
    values, gradients = made.values_and_gradients(points)
    assert torch.equal(values, made.values(points))
    for feature, column in enumerate(DOMAIN.names):
        step = 1e-5 * points[:, feature].abs().clamp(min=1e-2)
        ends = []
        for sign in (1, -1):
            at = points.clone()
            at[:, feature] += sign * step
            ends.append(made.values(at, strict=False))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 3e-6, column


def test_scaling_of_money_and_time_and_parity_hold_to_rounding() -> None:
    points = design(DOMAIN, 64, seed=6)
    call, call_gradient = HestonADICall("fast").values_and_gradients(points)
    put, put_gradient = HestonADIPut("fast").values_and_gradients(points)
    held, paid = points[:, 0] * torch.exp(-points[:, 9] * points[:, 7]), points[:, 1] * torch.exp(-points[:, 8] * points[:, 7])
    assert (call - put - held + paid).abs().max() < 1e-11
    assert torch.allclose(call_gradient[:, 2:7], put_gradient[:, 2:7], rtol=0, atol=1e-12)
    spot, strike, variance, reversion, mean, vol, _, maturity, rate, dividend = (points * put_gradient).unbind(dim=1)
    assert (spot + strike - put).abs().max() < 1e-10
    assert (variance + mean + reversion + vol - maturity + rate + dividend).abs().max() < 1e-9


def test_no_saw_tooth_along_the_strike() -> None:
    """Third differences of the price, which a grid that jumps or a payoff that slides between nodes would fill with noise."""
    rows = torch.tensor([FANG_OOSTERLEE], dtype=torch.float64).repeat(161, 1)
    rows[:, 1] = torch.linspace(60, 140, 161)
    ours, exact = (each.values(rows).diff(n=3) for each in (HestonADICall(), HestonCall("high")))
    assert (ours - exact).abs().max() < 0.05 * exact.abs().max()


def test_without_randomness_of_variance_it_is_black_and_scholes() -> None:
    rows = [[100.0, 110.0, 0.04, 1.0, 0.04, 1e-5, 0.0, 1.0, 0.03, 0.01]]
    expected = oracle("european_put").values([[100.0, 110.0, 0.2, 1.0, 0.03, 0.01]])
    assert HestonADIPut().values(rows, strict=False).item() == pytest.approx(expected.item(), abs=1e-3)


@pytest.mark.parametrize("maturity", [0.0, 1e-9, 1e-6])
def test_short_maturities_are_the_payoff(maturity: float) -> None:
    rows = [[100.0, strike, *FANG_OOSTERLEE[2:7], maturity, 0.05, 0.01] for strike in (90.0, 110.0)]
    for made, payoff in ((HestonADIPut("fast"), [0.0, 10.0]), (HestonADICall("fast"), [10.0, 0.0])):
        answer = made.evaluate(rows, gradient=True, strict=False)
        assert answer.values.tolist() == pytest.approx(payoff, abs=1e-5)
        assert answer.gradients is not None
        assert bool(answer.gradients.isfinite().all())


def test_variance_and_mean_may_be_nothing_and_spots_far_away() -> None:
    rows = [
        [100.0, 95.0, 0.0, 1.0, 0.0, 0.5, -0.5, 1.0, 0.02, 0.0],
        [100.0, 100.0, 0.0, 1.0, 0.04, 0.5, -0.5, 1.0, 0.02, 0.0],
        [1.0, 1e6, 0.04, 1.0, 0.04, 0.5, 0.5, 1.0, 0.02, 0.0],
        [1e6, 1.0, 0.04, 1.0, 0.04, 0.5, 0.5, 1.0, 0.02, 0.0],
    ]
    ours, exact = (each.evaluate(rows, gradient=True, strict=False) for each in (HestonADICall(), HestonCall("high")))
    assert bool(ours.gradients.isfinite().all())
    assert ours.values[1:].tolist() == pytest.approx(exact.values[1:].tolist(), abs=2e-3)
    assert ours.values[0].item() == pytest.approx(100 - 95 * np.exp(-0.02), abs=1e-6)


def test_bits_depend_neither_on_threads_nor_on_the_batch() -> None:
    points = design(DOMAIN, 203, method="uniform", seed=1)
    made = HestonADIPut("fast")
    with settings.use_threads(1):
        whole = made.evaluate(points, gradient=True)
    with settings.use_threads(2):
        again = made.evaluate(points.flip(0), gradient=True)
    part = made.evaluate(points[101:102], gradient=True)
    assert torch.equal(part.values, whole.values[101:102])
    assert torch.equal(part.gradients, whole.gradients[101:102])
    assert torch.equal(again.gradients.flip(0), whole.gradients)


def test_levels_and_bad_rows() -> None:
    with pytest.raises(InputError, match="level is 'exact'; one of fast"):
        HestonADIPut("exact")
    assert [type(HestonADIPut(level)).__name__ for level in LEVELS] == ["HestonADIPut"] * 3
    assert HestonADIPut("high").coarser().level == "standard"
    assert HestonADIPut("fast").coarser() is None
    assert HestonADIPut("fast").estimate_error([FANG_OOSTERLEE]).item() < 1e-2
    rows = torch.tensor([FANG_OOSTERLEE] * 3, dtype=torch.float64)
    rows[1, 6] = -1.0
    assert HestonADIPut("fast").evaluate(rows, errors="nan").status.tolist() == [0, 5, 0]
