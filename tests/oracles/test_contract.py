"""What every registered oracle must do, whatever it computes: docs/oracles.md, "Contract"."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.oracles import ORACLES, CachedOracle, CountedOracle, Oracle, oracle
from pybackdoor.oracles.batched import BatchedOracle
from pybackdoor.oracles.families import FAMILIES
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus

DOCS = Path(__file__).resolve().parents[2] / "docs" / "oracles.md"
OK, BAD, OUTSIDE = EvaluationStatus.OK, EvaluationStatus.BAD_INPUT, EvaluationStatus.OUTSIDE_DOMAIN
POSITIVE = ("spot", "strike", "barrier", "volatility", "vol")  # what a feature's name begins with, and what it may not be


@pytest.fixture(params=list(ORACLES))
def made(request: pytest.FixtureRequest) -> Oracle:
    return oracle(request.param)


def rows(made: Oracle, count: int, seed: int = 7) -> torch.Tensor:
    return design(made.domain, count, seed=seed)


def same(ours: Evaluation, theirs: Evaluation, order: torch.Tensor | slice = slice(None)) -> None:
    """Bit for bit."""
    assert torch.equal(ours.values, theirs.values[order])
    assert torch.equal(ours.standard_errors, theirs.standard_errors[order])
    assert torch.equal(ours.status, theirs.status[order])
    if ours.gradients is not None:
        assert theirs.gradients is not None
        assert torch.equal(ours.gradients, theirs.gradients[order])


def bad_values(name: str) -> list[float]:
    if name.startswith("correlation"):
        return [1.0, -1.0, 1.5]
    if name == "maturity":
        return [-1e-3]
    return [0.0, -1.0] if name.startswith(POSITIVE) else []


def test_it_is_made_by_its_name_and_answers(made: Oracle, request: pytest.FixtureRequest) -> None:
    assert isinstance(made, Oracle)
    assert made.name == request.node.callspec.params["made"]
    middle = [(low + high) / 2 for low, high in zip(made.domain.lower, made.domain.upper, strict=True)]
    values, gradients = made.values_and_gradients([middle])
    assert values.shape == (1,)
    assert gradients.shape == (1, made.domain.dimension)
    assert made.gradient_cost > 0


def test_a_batch_may_be_empty(made: Oracle) -> None:
    for empty in (torch.zeros(0, made.domain.dimension), np.empty((0, made.domain.dimension))):
        answer = made.evaluate(empty, True)
        assert answer.values.shape == answer.status.shape == answer.standard_errors.shape == (0,)
        assert answer.gradients is not None
        assert answer.gradients.shape == (0, made.domain.dimension)
        assert answer.value_calls == 0
        assert answer.values.dtype == torch.float64
        assert made.evaluate(empty).gradients is None


def test_an_answer_depends_on_its_row_alone(made: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on its place in the batch, nor on the chunks and threads that the batch is cut into."""
    x = rows(made, 37)
    with settings.use_threads(1):
        whole = made.evaluate(x, True)
        order = torch.randperm(37, generator=torch.Generator().manual_seed(1))
        same(made.evaluate(x[order], True), whole, order)
        same(made.evaluate(x[5:6], True), whole, slice(5, 6))
        same(made.evaluate(x[:19], True), whole, slice(19))
    if isinstance(made, BatchedOracle):
        monkeypatch.setattr(made, "chunk", 64)
    with settings.use_threads(3):
        many = torch.arange(301) % 37
        same(made.evaluate(x[many], True), whole, many)
    assert bool(whole.ok.all())


def test_a_value_is_the_same_with_and_without_its_gradient(made: Oracle) -> None:
    x = rows(made, 16)
    assert made.evaluate(x).values.tolist() == pytest.approx(made.evaluate(x, True).values.tolist(), rel=1e-12, abs=1e-12)


def test_what_is_passed_is_read_in_any_form_and_never_changed(made: Oracle) -> None:
    x = rows(made, 11)
    kept, answer = x.clone(), made.evaluate(x, True)
    wide = torch.full((11, 2 * made.domain.dimension), torch.nan, dtype=torch.float64)
    wide[:, ::2] = x
    column_major = np.asfortranarray(x.numpy())
    frozen = x.numpy().copy()
    frozen.flags.writeable = False
    for form in (wide[:, ::2], column_major, frozen, x.tolist(), x.clone().requires_grad_(), x.flip(0).flip(0)):
        same(made.evaluate(form, True), answer)
    assert torch.equal(x, kept)
    assert not answer.values.requires_grad
    middle = made.domain.to_natural(torch.full((1, made.domain.dimension), 0.5, dtype=torch.float64))[0]
    single = made.evaluate(middle.float(), strict=False)  # one row without its axis, in single precision
    assert single.values.shape == (1,)
    assert single.values.dtype == torch.float64
    answer.values.zero_()
    same(made.evaluate(x, True), made.evaluate(kept, True))


def test_gradients_are_those_of_the_values(made: Oracle) -> None:
    """Central differences in the unit cube at two steps; the smaller of the two disagreements counts, kinks apart by the median.

    Where the gradient is that of the mean the steps are longer, for the answers jump, and it has a sampling error of its own.
    """
    count, steps, half, most = (24, (1e-3, 1e-4), 1e-3, 3e-2) if made.differentiates_answers else (8, (4e-2,), 8e-2, 0.2)
    x = made.domain.to_natural(0.1 + 0.8 * made.domain.to_unit(rows(made, count, seed=3)))
    answer = made.evaluate(x, True)
    assert answer.gradients is not None
    unit, slopes = made.domain.to_unit(x), made.domain.gradient_to_unit(x, answer.gradients)
    scale = slopes.abs().amax(dim=0).clamp(min=1e-6 * float(answer.values.abs().max()))
    for feature in range(made.domain.dimension):
        gaps = []
        for step in steps:
            moved = torch.zeros_like(unit)
            moved[:, feature] = step
            up, down = (made.evaluate(made.domain.to_natural(unit + sign * moved), strict=False).values for sign in (1, -1))
            gaps.append(((up - down) / (2 * step) - slopes[:, feature]).abs() / scale[feature])
        gap = torch.stack(gaps).amin(dim=0)
        assert float(gap.median()) < half, made.domain.names[feature]
        assert float(gap.sort().values[count * 7 // 8 - 1]) < most, made.domain.names[feature]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_told_or_marked(made: Oracle, value: float) -> None:
    x = rows(made, 5)
    whole = made.evaluate(x, True)
    column = made.domain.dimension - 1
    x[3, column] = value
    for strict in (True, False):
        for errors in (None, "raise"):
            with pytest.raises(InputError, match=rf"row 3, column {made.domain.names[column]} is -?(nan|inf)"):
                made.evaluate(x, strict=strict, errors=errors)
    answer = made.evaluate(x, True, errors="nan")
    assert answer.status.tolist() == [OK, OK, OK, BAD, OK]
    assert torch.isnan(answer.values).tolist() == [False, False, False, True, False]
    assert answer.gradients is not None
    assert bool(torch.isnan(answer.gradients[3]).all())
    others = torch.tensor([0, 1, 2, 4])
    same(Evaluation(answer.values[others], answer.gradients[others], answer.standard_errors[others], answer.status[others], 0), whole, others)
    assert answer.value_calls == made.cost(4, True)  # what was never asked costs nothing


def test_what_has_no_answer_is_told_or_marked(made: Oracle) -> None:
    for column, name in enumerate(made.domain.names):
        for value in bad_values(name):
            x = rows(made, 3)
            x[1, column] = value
            for strict in (True, False):
                with pytest.raises(InputError, match=rf"row 1 has {name} = {value:g}"):
                    made.evaluate(x, strict=strict, errors="raise")
                assert made.evaluate(x, strict=strict, errors="nan").status.tolist() == [OK, BAD, OK], (name, value)
            with pytest.raises(InputError, match=rf"row 1 has {name} = {value:g}"):
                made.evaluate(x)
            assert made.evaluate(x, strict=False).status.tolist() == [OK, BAD, OK]


def test_outside_its_domain_it_is_refused_or_evaluated(made: Oracle) -> None:
    x = rows(made, 3)
    unit = torch.full((1, made.domain.dimension), 0.5, dtype=torch.float64)
    unit[0, 0] = 1.02
    x[2] = made.domain.to_natural(unit)[0]
    with pytest.raises(InputError, match=rf"row 2 has {made.domain.names[0]} = .*, outside"):
        made.evaluate(x)
    marked = made.evaluate(x, errors="nan")
    assert marked.status.tolist() == [OK, OK, OUTSIDE]
    assert torch.isnan(marked.values).tolist() == [False, False, True]
    free = made.evaluate(x, True, strict=False)
    assert bool(free.ok.all())
    unit[0, 0] = 0.999
    near = made.values(made.domain.to_natural(unit))
    assert free.gradients is not None
    slope = float(made.domain.gradient_to_unit(x[2:], free.gradients[2:])[0, 0])
    spread = float(made.evaluate(rows(made, 64)).values.std())
    assert abs(float(free.values[2] - near[0]) - 0.021 * slope) < 0.02 * spread  # it goes on beyond the edge as it was going


def test_a_maturity_of_0_is_the_payoff_and_negative_rates_are_valid(made: Oracle) -> None:
    names = made.domain.names
    if "maturity" in names:
        x = rows(made, 9)
        x[:, names.index("maturity")] = 0.0
        now = made.evaluate(x, True, strict=False)
        assert bool(now.ok.all())
        assert float(now.standard_errors.abs().max()) == 0.0
        x[:, names.index("maturity")] = 1e-9
        soon = made.evaluate(x, strict=False).values
        assert now.values.tolist() == pytest.approx(soon.tolist(), abs=0.02)
    if "rate" in names:
        x = rows(made, 9)
        x[:, names.index("rate")] = -0.01
        assert bool(made.evaluate(x, strict=False).ok.all())


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_wrong_number_of_columns_is_refused_with_their_names(made: Oracle, extra: int) -> None:
    wrong = torch.zeros(4, made.domain.dimension + extra)
    for errors in (None, "raise", "nan"):
        with pytest.raises(InputError, match=rf"\[N, {made.domain.dimension}\] is needed, one column a feature \({made.domain.names[0]}"):
            made.evaluate(wrong, errors=errors)
    with pytest.raises(InputTypeError):
        made.evaluate([["a"] * made.domain.dimension])
    with pytest.raises(InputError, match="'raise', 'nan' or None"):
        made.evaluate(rows(made, 1), errors="ignore")


def test_calls_are_counted_as_declared(made: Oracle) -> None:
    x = rows(made, 6)
    counted = CountedOracle(made)
    assert made.evaluate(x).value_calls == 6
    assert made.evaluate(x, True).value_calls == 6 * (1 + made.gradient_cost) > 6
    same(counted.evaluate(x, True), made.evaluate(x, True))
    assert counted.value_calls == made.cost(6, True)
    cached = CachedOracle(made)
    cached.evaluate(x, True)
    again = cached.evaluate(x, True)
    assert again.value_calls == 0
    same(again, made.evaluate(x, True))


def test_its_error_is_stated_and_estimated(made: Oracle) -> None:
    assert "not stated" not in (made.method, made.accuracy)
    assert made.family in FAMILIES
    x = rows(made, 4)
    estimate = made.estimate_error(x)
    assert estimate.shape == (4,)
    assert bool((estimate >= 0).all())
    if made.exact:
        assert made.coarser() is None
        assert not estimate.any()
    elif not made.sampled:
        below = made.coarser()
        assert below is not None
        assert (below.name, below.domain) == (made.name, made.domain)
        assert torch.equal(estimate, made.error_scale * (made.values(x) - below.values(x)).abs())
    assert made.estimate_error(x[:0]).shape == (0,)


def test_every_family_has_its_section_and_every_oracle_its_entry() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for family in FAMILIES:
        assert f"## {family}\n" in text
    missing = [name for name in ORACLES if name not in text and not name.startswith("barrier_")]
    assert not missing
