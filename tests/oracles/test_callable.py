from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.oracles import CallableOracle
from pybackdoor.records.evaluation import EvaluationStatus

DOMAIN = Domain(("a", "b"), (0.0, 1.0), (2.0, 100.0), ("linear", "log"))
POINTS = torch.tensor([[0.5, 3.0], [1.0, 50.0], [2.0, 100.0], [0.0, 1.0]], dtype=torch.float64)


def product(x: np.ndarray) -> np.ndarray:
    return np.sin(x[:, 0]) * np.sqrt(x[:, 1])


def slopes(x: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(x[:, 0]) * np.sqrt(x[:, 1]), np.sin(x[:, 0]) / (2 * np.sqrt(x[:, 1]))], axis=1)


def test_differences_are_second_order_also_at_the_bounds_and_charged() -> None:
    oracle = CallableOracle(product, DOMAIN)
    answer = oracle.evaluate(POINTS, True)
    assert answer.gradients is not None
    assert answer.gradients.numpy() == pytest.approx(slopes(POINTS.numpy()), abs=1e-7)
    assert answer.value_calls == 4 * 5
    grids = [CallableOracle(product, DOMAIN, difference_step=step).values_and_gradients(POINTS)[1].numpy() for step in (0.02, 0.01)]
    errors = [np.abs(gradients - slopes(POINTS.numpy())).max(axis=1) for gradients in grids]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)


def test_no_point_leaves_the_domain() -> None:
    asked = []

    def watched(x: np.ndarray) -> np.ndarray:
        asked.append(x.copy())
        return product(x)

    corners = torch.tensor([[a, b] for a in (0.0, 1e-9, 2 - 1e-9, 2.0) for b in (1.0, 1 + 1e-9, 100.0)], dtype=torch.float64)
    CallableOracle(watched, DOMAIN).values_and_gradients(corners)
    assert bool(DOMAIN.contains(torch.from_numpy(np.concatenate(asked))).all())


def test_outside_the_domain_differences_are_central() -> None:
    outside = [[3.0, 200.0]]
    gradient = CallableOracle(product, DOMAIN).evaluate(outside, True, strict=False).gradients
    assert gradient is not None
    assert gradient.numpy() == pytest.approx(slopes(np.array(outside)), abs=1e-7)


def test_the_users_gradient_is_used_and_charged() -> None:
    answer = CallableOracle(product, DOMAIN, gradient=slopes).evaluate(POINTS, True)
    assert answer.gradients is not None
    assert np.array_equal(answer.gradients.numpy(), slopes(POINTS.numpy()))
    assert answer.value_calls == 8
    assert CallableOracle(product, DOMAIN, gradient=slopes, gradient_cost=0.25).evaluate(POINTS, True).value_calls == 5


def test_standard_errors_come_with_the_values() -> None:
    answer = CallableOracle(lambda x: (product(x), 0.1 * x[:, 0]), DOMAIN).evaluate(POINTS)
    assert answer.standard_errors.tolist() == pytest.approx([0.05, 0.1, 0.2, 0.0])
    refused = CallableOracle(lambda x: (product(x), -x[:, 0]), DOMAIN).evaluate(POINTS)
    assert refused.status.tolist() == [EvaluationStatus.NOT_FINITE] * 3 + [EvaluationStatus.OK]


def moody(x: np.ndarray) -> np.ndarray:
    """Raises above a = 1.5, has no value at b = 50."""
    if (x[:, 0] > 1.5).any():
        raise ArithmeticError("too large")
    return np.where(x[:, 1] == 50.0, np.nan, product(x))


def test_only_the_failing_points_fail() -> None:
    answer = CallableOracle(moody, DOMAIN).evaluate(POINTS)
    assert answer.status.tolist() == [EvaluationStatus.OK, EvaluationStatus.NOT_FINITE, EvaluationStatus.RAISED, EvaluationStatus.OK]
    assert torch.isnan(answer.values).tolist() == [False, True, True, False]
    assert answer.values[0] == product(POINTS.numpy())[0]
    assert answer.value_calls == 4


def test_a_failing_gradient_fails_its_row() -> None:
    def raising(x: np.ndarray) -> np.ndarray:
        if (x[:, 0] == 1.0).any():
            raise ArithmeticError("no slope")
        return slopes(x)

    answer = CallableOracle(product, DOMAIN, gradient=raising).evaluate(POINTS, True)
    assert answer.status.tolist() == [0, EvaluationStatus.RAISED, 0, 0]
    assert answer.gradients is not None
    assert torch.isnan(answer.gradients).any(dim=1).tolist() == [False, True, False, False]
    assert torch.isnan(answer.values).tolist() == [False, True, False, False]
    assert CallableOracle(moody, DOMAIN).evaluate([[1.5, 3.0]], True).status.tolist() == [EvaluationStatus.RAISED]  # its difference point raises


@pytest.mark.parametrize(
    "wrong", [lambda x: None, lambda x: "text", lambda x: x, lambda x: np.zeros((len(x), 3)), lambda x: x[:, 0].astype(complex), lambda x: [object()]]
)
def test_what_is_not_one_number_a_point_has_a_bad_shape(wrong: object) -> None:
    assert CallableOracle(wrong, DOMAIN).evaluate(POINTS).status.tolist() == [EvaluationStatus.BAD_SHAPE] * 4  # type: ignore[arg-type]


def test_a_function_of_one_point_serves_point_by_point() -> None:
    oracle = CallableOracle(lambda x: math.sin(float(x[0, 0])) if len(x) == 1 else None, DOMAIN)
    assert oracle.values(POINTS).tolist() == pytest.approx(np.sin(POINTS[:, 0].numpy()).tolist())


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: torch.from_numpy(product(x)).requires_grad_(),
        lambda x: product(x)[:, None],
        lambda x: product(x).tolist(),
        lambda x: product(x).astype(np.float32),
    ],
)
def test_any_array_of_one_number_a_point_will_do(answer: object) -> None:
    assert CallableOracle(answer, DOMAIN).values(POINTS).numpy() == pytest.approx(product(POINTS.numpy()), rel=1e-6)  # type: ignore[arg-type]


def test_an_interrupt_passes() -> None:
    def interrupted(x: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallableOracle(interrupted, DOMAIN).evaluate(POINTS)


def test_inputs_are_copies() -> None:
    def spoils(x: np.ndarray) -> np.ndarray:
        value = product(x)
        x[:] = 0
        return value

    points = POINTS.clone()
    answer = CallableOracle(spoils, DOMAIN, gradient=slopes).evaluate(points, True)
    assert torch.equal(points, POINTS)
    assert answer.gradients is not None
    assert np.array_equal(answer.gradients.numpy(), slopes(POINTS.numpy()))


def test_no_points_ask_nothing() -> None:
    def never(x: np.ndarray) -> np.ndarray:
        raise AssertionError

    answer = CallableOracle(never, DOMAIN).evaluate(torch.zeros(0, 2), True)
    assert answer.values.shape == (0,)
    assert answer.gradients is not None
    assert answer.gradients.shape == (0, 2)
    assert answer.value_calls == 0


def test_settings_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InputTypeError, match="function is a int"):
        CallableOracle(3, DOMAIN)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="gradient is a str"):
        CallableOracle(product, DOMAIN, gradient="no")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="difference_step"):
        CallableOracle(product, DOMAIN, difference_step=0.0)
    with pytest.raises(InputError, match="gradient_cost"):
        CallableOracle(product, DOMAIN, gradient_cost=1.0)
