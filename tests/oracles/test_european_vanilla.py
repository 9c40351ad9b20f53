"""European put and call: known prices, 30-digit arithmetic, identities, edges, bad input."""

from __future__ import annotations

import math
from functools import partial

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pybackdoor import settings as package
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle, reference_barriers
from pybackdoor.oracles.european_vanilla import DOMAIN, EuropeanCall, EuropeanPut
from pybackdoor.records.evaluation import EvaluationStatus

MIDDLE = [100.0, 95.0, 0.2, 0.5, 0.1, 0.05]


def test_known_prices():
    assert EuropeanPut().values([MIDDLE]).item() == pytest.approx(2.4648, abs=5e-5)
    hull = [42.0, 40.0, 0.2, 0.5, 0.1, 0.0]
    assert EuropeanCall().values([hull], strict=False).item() == pytest.approx(4.7594, abs=5e-5)
    assert EuropeanPut().values([hull], strict=False).item() == pytest.approx(0.8086, abs=5e-5)


@pytest.mark.parametrize("name", ["european_put", "european_call"])
def test_within_1e12_of_30_digits(name):
    points = design(DOMAIN, 256, seed=3)
    values, gradients = oracle(name).values_and_gradients(points)
    formula = partial(reference_barriers.european, name.endswith("call"))
    for row, (point, value) in enumerate(zip(points.tolist(), values.tolist(), strict=True)):
        with mpmath.workdps(60):
            assert abs(float(formula(*map(mpmath.mpf, point)) - value)) < 1e-12
        if row % 8 == 0:
            for got, exact in zip(gradients[row].tolist(), reference_barriers.gradient(formula, tuple(point)), strict=True):
                assert abs(float(exact) - got) < 1e-10 * max(1.0, abs(float(exact)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
def test_identities(unit):
    x = DOMAIN.to_natural(torch.tensor([unit], dtype=torch.float64))
    put, call = oracle("european_put").evaluate(x, gradient=True), oracle("european_call").evaluate(x, gradient=True)
    spot, strike, volatility, maturity, rate, dividend = x[0].tolist()
    for one in (put, call):
        g = one.gradients[0].tolist()
        assert spot * g[0] + strike * g[1] == pytest.approx(one.values.item(), abs=1e-11)
        assert 0.5 * volatility * g[2] - maturity * g[3] + rate * g[4] + dividend * g[5] == pytest.approx(0.0, abs=1e-9)
    forward = spot * math.exp(-dividend * maturity) - strike * math.exp(-rate * maturity)
    assert call.values.item() - put.values.item() == pytest.approx(forward, abs=1e-11)
    assert put.gradients[0, 2].item() == pytest.approx(call.gradients[0, 2].item(), abs=1e-12)


def test_maturity_zero_is_the_payoff():
    rows = [[100.0, strike, 0.2, 0.0, 0.05, 0.03] for strike in (90.0, 100.0, 120.0)]
    put = EuropeanPut().evaluate(rows, gradient=True, strict=False)
    assert put.values.tolist() == pytest.approx([0.0, 0.0, 20.0], abs=1e-14)
    assert put.gradients[:, 2].tolist() == [0.0, 0.0, 0.0]
    assert put.gradients[2].tolist() == pytest.approx([-1.0, 1.0, 0.0, 100 * 0.03 - 120 * 0.05, 0.0, 0.0], abs=1e-12)


def test_bits_depend_neither_on_threads_nor_on_the_batch():
    points = design(DOMAIN, 9001, method="uniform", seed=1)
    whole = EuropeanPut().evaluate(points, gradient=True)
    with package.use_threads(2):
        again = EuropeanPut().evaluate(points, gradient=True)
    for start in (0, 1, 4095, 8997):
        part = EuropeanPut().evaluate(points[start : start + 7], gradient=True)
        assert torch.equal(part.values, whole.values[start : start + 7])
        assert torch.equal(part.gradients, whole.gradients[start : start + 7])
    assert torch.equal(whole.values, EuropeanPut().values(points))
    assert torch.equal(again.gradients, whole.gradients)


@pytest.mark.parametrize(("feature", "value", "needed"), [("volatility", 0.0, "positive"), ("maturity", -1.0, ">= 0"), ("spot", -5.0, "positive")])
def test_bad_rows(feature, value, needed):
    rows = np.array([MIDDLE, MIDDLE, MIDDLE])
    rows[1, DOMAIN.names.index(feature)] = value
    kept = rows.copy()
    with pytest.raises(InputError, match=rf"row 1 has {feature} = {value:g}.*{needed}"):
        EuropeanPut().evaluate(rows)
    answer = EuropeanPut().evaluate(rows, gradient=True, errors="nan")
    assert answer.status.tolist() == [EvaluationStatus.OK, EvaluationStatus.BAD_INPUT, EvaluationStatus.OK]
    assert answer.values.isnan().tolist() == [False, True, False]
    assert answer.gradients[1].isnan().all()
    assert answer.gradients[2].isfinite().all()
    assert EuropeanPut().evaluate(rows, strict=False).status.tolist() == [0, EvaluationStatus.BAD_INPUT, 0]
    assert np.array_equal(rows, kept)


def test_rows_that_are_not_finite_and_shapes():
    rows = torch.tensor([MIDDLE, MIDDLE], dtype=torch.float64)
    rows[0, 2] = math.nan
    with pytest.raises(InputError, match=r"row 0, column volatility is nan"):
        EuropeanPut().evaluate(rows)
    assert EuropeanPut().evaluate(rows, errors="nan").status.tolist() == [EvaluationStatus.BAD_INPUT, 0]
    with pytest.raises(InputError, match=r"\[N, 6\]"):
        EuropeanPut().evaluate(rows[:, :5])
    with pytest.raises(InputError, match="outside"):
        EuropeanPut().evaluate([[1000.0, *MIDDLE[1:]]])
    with pytest.raises(InputError, match="errors is 'ignore'"):
        EuropeanPut().evaluate(rows, errors="ignore")
    empty = EuropeanPut().evaluate(torch.zeros(0, 6), gradient=True)
    assert empty.values.shape == (0,)
    assert empty.gradients.shape == (0, 6)


def test_negative_rates_are_valid():
    value = EuropeanCall().values([[100.0, 100.0, 0.2, 2.0, -0.02, 0.0]]).item()
    with mpmath.workdps(30):
        exact = reference_barriers.european(True, *map(mpmath.mpf, (100.0, 100.0, 0.2, 2.0, -0.02, 0.0)))
    assert value == pytest.approx(float(exact), abs=1e-12)
