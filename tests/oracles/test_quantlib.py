from __future__ import annotations

from dataclasses import replace

import pytest
import quantlib_functions
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputTypeError, UnsupportedError
from pybackdoor.oracles import QuantLibOracle, oracle
from pybackdoor.oracles.quantlib import days_step
from pybackdoor.records.evaluation import EvaluationStatus

DOMAIN = replace(oracle("european_put").domain, lower=(50.0, 50.0, 0.05, 0.2, 0.0, 0.0))


@pytest.fixture
def rows() -> torch.Tensor:
    x = design(DOMAIN, 24, seed=2)
    x[:, 3] = (x[:, 3] * 365).round() / 365
    return x


def test_prices_and_gradients_are_those_of_the_closed_form_and_are_charged(rows: torch.Tensor) -> None:
    pytest.importorskip("QuantLib")
    made = QuantLibOracle(quantlib_functions.european_put, DOMAIN, workers=2, difference_step=days_step(DOMAIN, 5))
    answer, truth = made.evaluate(rows, True), oracle("european_put").evaluate(rows, True)
    assert float((answer.values - truth.values).abs().max()) < 1e-10
    assert answer.gradients is not None
    assert truth.gradients is not None
    gap = DOMAIN.gradient_to_unit(rows, answer.gradients - truth.gradients).abs()
    scale = DOMAIN.gradient_to_unit(rows, truth.gradients).abs().amax(dim=0)
    assert float((gap[:, [0, 1, 2, 4, 5]] / scale[[0, 1, 2, 4, 5]]).max()) < 1e-3
    assert float((gap[:, 3] / scale[3]).max()) < 0.02  # whole days
    assert answer.value_calls == 24 * 13
    assert made.gradient_cost == 12
    assert made.name == "european_put"
    made.close()


def test_what_quantlib_refuses_is_the_rows_failure(rows: torch.Tensor, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("QuantLib")
    rows[:, 3] = 0.2
    rows[:20, 3] = 0.05
    answer = QuantLibOracle(quantlib_functions.expired, DOMAIN).evaluate(rows, strict=False)
    assert answer.status.tolist() == [EvaluationStatus.OK] * 20 + [EvaluationStatus.RAISED] * 4
    assert "is past max curve time" in caplog.text


def test_without_quantlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"pip install 'pybackdoor\[quantlib\]'"):
        QuantLibOracle(quantlib_functions.european_put, DOMAIN)


def test_a_price_that_is_no_function_is_refused() -> None:
    pytest.importorskip("QuantLib")
    with pytest.raises(InputTypeError, match="price is a float"):
        QuantLibOracle(3.0, DOMAIN)  # type: ignore[arg-type]
