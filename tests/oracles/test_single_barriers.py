"""The eight single barriers: Haug's table, arbitrary precision over the domain, identities, the traps at the barrier."""

from __future__ import annotations

from functools import partial

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle, reference_barriers
from pybackdoor.oracles.single_barriers import KINDS, SingleBarrier
from pybackdoor.records.evaluation import EvaluationStatus

# E. G. Haug (2007), table 4-13: spot 100, rebate 3, half a year, rate .08, dividend yield .04, volatility .25; strikes 90, 100, 110
HAUG = {
    ("down_out_call", 95.0): (9.0246, 6.7924, 4.8759),
    ("up_out_call", 105.0): (2.6789, 2.3580, 2.3453),
    ("down_in_call", 95.0): (7.7627, 4.0109, 2.0576),
    ("up_in_call", 105.0): (14.1112, 8.4482, 4.5910),
    ("down_out_put", 95.0): (2.2798, 2.2947, 2.6252),
    ("up_out_put", 105.0): (3.7760, 5.4932, 7.5187),
    ("down_in_put", 95.0): (2.9586, 6.5677, 11.9752),
    ("up_in_put", 105.0): (1.4653, 3.3721, 7.0846),
}


@pytest.mark.parametrize(("kind", "barrier"), HAUG)
def test_table_of_haug(kind, barrier):
    rows = [[100.0, strike, barrier, 3.0, 0.25, 0.5, 0.08, 0.04] for strike in (90.0, 100.0, 110.0)]
    assert SingleBarrier(kind).values(rows).tolist() == pytest.approx(HAUG[kind, barrier], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_over_the_domain(kind):
    put = oracle(f"barrier_{kind}")
    unit = torch.cat([design(put.domain, 48, seed=5), _corners(put, seed=KINDS.index(kind))])
    values, gradients = put.values_and_gradients(unit)
    formula = partial(reference_barriers.single_barrier, kind)
    for row, (point, value) in enumerate(zip(unit.tolist(), values.tolist(), strict=True)):
        with mpmath.workdps(60):
            assert abs(float(formula(*map(mpmath.mpf, point)) - value)) < 1e-10, point
        touched = point[0] <= point[2] if kind.startswith("down") else point[0] >= point[2]
        if row % 3 == 0 and not (touched and abs(point[0] / point[2] - 1) < 1e-8):
            exact = [float(part) for part in reference_barriers.gradient(formula, tuple(point), digits=75)]
            assert gradients[row].tolist() == pytest.approx(exact, rel=1e-8, abs=1e-8), point


def _corners(put, *, seed):
    """Points with features at the ends of their ranges, the spot drawn to the barrier and the strike."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(48, 8, dtype=torch.float64, generator=generator)
    unit = torch.where(torch.rand(48, 8, generator=generator) < 0.5, unit.round(), unit)
    points = put.domain.to_natural(unit)
    near = points[:, 0] * (1 + 1e-3 * torch.randn(48, dtype=torch.float64, generator=generator))
    points[::2, 2] = near[::2].clamp(put.domain.lower[2], put.domain.upper[2])
    points[1::4, 1] = near[1::4].clamp(50.0, 200.0)
    return points


def test_rebate_at_the_touch_against_its_density():
    point = (100.0, 100.0, 90.0, 3.0, 0.3, 0.8, 0.05, 0.02)
    with mpmath.workdps(25):
        exact = reference_barriers.single_barrier("down_out_call", *map(mpmath.mpf, point), by_density=True)
    assert SingleBarrier("down_out_call").values([point]).item() == pytest.approx(float(exact), abs=1e-11)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8))
def test_scaling_of_money_and_time(kind, unit):
    put = SingleBarrier(kind)
    x = put.domain.to_natural(torch.tensor([unit], dtype=torch.float64))
    value, gradient = put.values_and_gradients(x)
    size = (x * gradient).abs().sum().item() + 1
    assert (x * gradient)[0, :4].sum().item() == pytest.approx(value.item(), abs=1e-12 * size)
    _, _, _, _, volatility, maturity, rate, dividend = (x * gradient)[0].tolist()
    assert 0.5 * volatility - maturity + rate + dividend == pytest.approx(0.0, abs=1e-10 * size)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(("down_{}_call", "down_{}_put", "up_{}_call", "up_{}_put")), st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8))
def test_in_and_out_are_the_european(kind, unit):
    one, other = SingleBarrier(kind.format("in")), SingleBarrier(kind.format("out"))
    x = one.domain.to_natural(torch.tensor([unit], dtype=torch.float64))
    x[0, 3] = 0.0
    european = oracle("european_" + kind[-4:].strip("_")).values_and_gradients(x[:, [0, 1, 4, 5, 6, 7]])
    values, gradients = zip(one.values_and_gradients(x), other.values_and_gradients(x), strict=True)
    assert sum(values).item() == pytest.approx(european[0].item(), abs=1e-11)
    size = max(gradient.abs().max().item() for gradient in gradients) + 1
    assert (sum(gradients)[0, [0, 1, 4, 5, 6, 7]] - european[1][0]).abs().max().item() < 1e-11 * size


def test_a_spot_on_the_barrier_has_touched():
    row = [100.0, 110.0, 100.0, 3.0, 0.2, 1.0, 0.05, 0.01]
    assert SingleBarrier("down_out_put").evaluate([row], gradient=True).gradients.tolist() == [[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    assert SingleBarrier("up_out_call").values([row]).item() == 3.0
    european = oracle("european_put").values([[100.0, 110.0, 0.2, 1.0, 0.05, 0.01]]).item()
    assert SingleBarrier("up_in_put").values([row]).item() == pytest.approx(european, abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_maturity_zero_is_the_payoff(kind):
    barrier = 90.0 if kind.startswith("down") else 120.0
    put = SingleBarrier(kind).evaluate([[100.0, 103.0, barrier, 2.0, 0.2, 0.0, 0.05, 0.01]], gradient=True, strict=False)
    paid = 3.0 if kind.endswith("put") else 0.0
    assert put.values.item() == pytest.approx(2.0 if "_in_" in kind else paid, abs=1e-13)
    assert put.gradients.isfinite().all()


def test_along_a_line_through_strike_and_barrier_nothing_jumps():
    count = 401
    x = torch.tensor([[100.0, 100.0, 90.0, 2.0, 0.01, 1.0, 0.02, 0.0]], dtype=torch.float64).repeat(count, 1)
    x[:, 1] = torch.linspace(80, 110, count, dtype=torch.float64)
    second = SingleBarrier("down_out_put").values(x).diff().diff()
    assert second.abs().max() < 1e-2
    assert (second > -1e-12).all()  # convex in the strike


def test_refused():
    with pytest.raises(InputError, match="one of down_in_call"):
        SingleBarrier("down_out")
    row = [[100.0, 110.0, 90.0, 3.0, 0.2, 1.0, -0.03, -0.05]]
    assert SingleBarrier("down_out_put").evaluate(row, strict=False).status.tolist() == [EvaluationStatus.BAD_INPUT]
    assert SingleBarrier("down_in_put").evaluate(row, strict=False).status.tolist() == [EvaluationStatus.OK]
