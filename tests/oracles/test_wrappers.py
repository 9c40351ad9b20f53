from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import BudgetExhaustedError, InputError
from pybackdoor.oracles import BudgetedOracle, CachedOracle, CallableOracle, CountedOracle, oracle

POINTS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]], dtype=torch.float64)
DOMAIN = Domain(("a", "b"), (0.0, 0.0), (10.0, 10.0))


def fails_once() -> CallableOracle:
    """Has no value anywhere the first time it is asked."""
    asked = []

    def function(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        return np.full(len(x), math.nan) if len(asked) == 1 else x.sum(axis=1)

    return CallableOracle(function, DOMAIN)


@pytest.mark.parametrize("wrap", [CountedOracle, CachedOracle, lambda inner: BudgetedOracle(inner, 100)], ids=["counted", "cached", "budgeted"])
def test_a_wrapper_answers_as_the_oracle_does(wrap: type[CountedOracle]) -> None:
    inner = oracle("branin")
    wrapped = wrap(inner)
    assert (wrapped.name, wrapped.domain, wrapped.gradient_cost, wrapped.exact) == (inner.name, inner.domain, inner.gradient_cost, inner.exact)
    for gradient in (False, True, False):
        ours, theirs = wrapped.evaluate(POINTS, gradient), inner.evaluate(POINTS, gradient)
        assert torch.equal(ours.values, theirs.values)
        assert torch.equal(ours.status, theirs.status)
        if gradient:
            assert ours.gradients is not None
            assert theirs.gradients is not None
            assert torch.equal(ours.gradients, theirs.gradients)
    assert wrapped.evaluate(POINTS[:0], True).values.shape == (0,)
    with pytest.raises(InputError, match="row 0 has x1 = 99"):
        wrapped.evaluate([[99.0, 0.0]])
    assert wrapped.evaluate([[99.0, 0.0]], strict=False).ok.all()


def test_counted_counts_calls_and_failures() -> None:
    counted = CountedOracle(CallableOracle(lambda x: np.where(x[:, 0] > 2, np.nan, 1.0), DOMAIN))
    counted.evaluate(POINTS)
    counted.evaluate(POINTS[:1], True)
    assert counted.value_calls == 3 + 5
    assert counted.failures == 1


def test_a_cached_row_costs_nothing() -> None:
    cached = CachedOracle(oracle("branin"))
    assert cached.evaluate(POINTS).value_calls == 2  # the third row repeats the first
    assert cached.evaluate(POINTS).value_calls == 0
    assert cached.evaluate(POINTS + 1e-15).value_calls > 0  # other bytes, another row
    assert cached.hits == 1 + 3 + 1


def test_a_cached_value_is_upgraded_to_a_gradient_once() -> None:
    cached = CachedOracle(oracle("branin"))
    cached.values(POINTS)
    assert cached.evaluate(POINTS, True).value_calls == 4
    assert cached.evaluate(POINTS, True).value_calls == 0
    assert cached.evaluate(POINTS).value_calls == 0
    assert cached.value_calls == 6


def test_a_failure_is_not_remembered() -> None:
    cached = CachedOracle(fails_once())
    first = cached.evaluate(POINTS)
    assert first.ok.tolist() == [False] * 3
    assert torch.isnan(first.values).all()
    assert cached.evaluate(POINTS).values.tolist() == [3.0, 7.0, 3.0]
    assert cached.value_calls == 4
    assert cached.failures == 2


def test_a_cached_answer_cannot_be_spoiled_by_its_receiver() -> None:
    cached = CachedOracle(oracle("branin"))
    values, gradients = cached.values_and_gradients(POINTS)
    kept = gradients.clone()
    values.zero_()
    gradients.zero_()
    assert torch.equal(cached.values_and_gradients(POINTS)[1], kept)


def test_a_budget_is_never_exceeded_and_a_refused_question_asks_nothing() -> None:
    asked = CountedOracle(oracle("branin"))
    budgeted = BudgetedOracle(asked, 7)
    budgeted.values(POINTS)
    assert budgeted.remaining == 4
    budgeted.values_and_gradients(POINTS[:2])
    assert budgeted.remaining == 0
    with pytest.raises(BudgetExhaustedError, match=r"1 points would cost 1 value calls and 0 of 7 remain"):
        budgeted.values(POINTS[:1])
    assert asked.value_calls == budgeted.value_calls == 7
    assert budgeted.evaluate(POINTS[:0]).value_calls == 0


def test_hits_of_a_cache_around_a_budget_cost_nothing() -> None:
    budgeted = BudgetedOracle(oracle("branin"), 2)
    cached = CachedOracle(budgeted)
    cached.values(POINTS)
    cached.values(POINTS)
    assert budgeted.remaining == 0
    with pytest.raises(BudgetExhaustedError):
        cached.values([[5.0, 5.0]])
    assert torch.equal(cached.values(POINTS), oracle("branin").values(POINTS))


@pytest.mark.parametrize("budget", [0, -1, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="positive number"):
        BudgetedOracle(oracle("branin"), budget)
