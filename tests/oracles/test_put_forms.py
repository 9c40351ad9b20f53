"""What must hold of the closed form, the finite differences and the Monte Carlo alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from put_points import LOWER, UPPER, corners, region

from pybackdoor import settings as package
from pybackdoor.errors import InputError
from pybackdoor.oracles.down_and_out_put import DownAndOutPut, PutOracle
from pybackdoor.oracles.down_and_out_put_mc import DownAndOutPutMonteCarlo
from pybackdoor.oracles.down_and_out_put_pde import DownAndOutPutPDE

FORMS = {
    "closed": DownAndOutPut,
    "pde": lambda **options: DownAndOutPutPDE(space=48, time=24, **options),
    "monte_carlo": lambda **options: DownAndOutPutMonteCarlo(paths=64, **options),
}
# A derivative times its feature, relative to the price scale: rounding of the scaled coordinates, larger where the solver divides by small numbers.
TOLERANCE = {"closed": 1e-9, "pde": 2e-6, "monte_carlo": 1e-8}

points_in_domain = st.tuples(*(st.floats(low, high) for low, high in zip(LOWER.tolist(), UPPER.tolist(), strict=True))).filter(
    lambda point: point[0] > point[1] + 1e-3 and point[1] < 99.99
)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbers(oracle: PutOracle, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, gradients = oracle.values_and_gradients(points, strict=False)
    return values.numpy(), gradients.numpy()


@settings(max_examples=25, deadline=None)
@given(point=points_in_domain, scale=st.floats(0.01, 100.0))
@pytest.mark.parametrize("name", FORMS)
def test_price_is_homogeneous_in_strike_barrier_and_spot(name: str, point: tuple[float, ...], scale: float) -> None:
    x = np.array([point])
    value, gradient = numbers(FORMS[name](), x)
    scaled_value, scaled_gradient = numbers(FORMS[name](spot=100.0 * scale), x * [scale, scale, 1, 1, 1])
    assert scaled_value / scale == pytest.approx(value, abs=TOLERANCE[name])
    expected = scaled_gradient / [1, 1, scale, scale, scale]
    assert expected * x == pytest.approx(gradient * x, rel=1e-6, abs=100 * TOLERANCE[name])


@settings(max_examples=25, deadline=None)
@given(point=points_in_domain, factor=st.floats(0.25, 4.0))
@pytest.mark.parametrize("name", FORMS)
def test_price_depends_on_time_through_variance_and_growth(name: str, point: tuple[float, ...], factor: float) -> None:
    """V(K, B, sigma / sqrt(a), a T, r / a) = V(K, B, sigma, T, r), and its derivative at a = 1: T V_T = sigma V_sigma / 2 + r V_r."""
    x = np.array([point])
    units = np.array([1, 1, factor**-0.5, factor, 1 / factor])
    value, gradient = numbers(FORMS[name](), x)
    other_value, other_gradient = numbers(FORMS[name](), x * units)
    assert other_value == pytest.approx(value, abs=TOLERANCE[name])
    assert other_gradient * units * x == pytest.approx(gradient * x, rel=1e-6, abs=100 * TOLERANCE[name])
    _, _, by_volatility, by_maturity, by_rate = (gradient * x)[0]
    assert by_maturity == pytest.approx(0.5 * by_volatility + by_rate, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 131])
def test_any_number_of_points_in_any_company_gives_the_same_bits(form: str, count: int) -> None:
    oracle = FORMS[form]()
    points = np.concatenate([region(80), corners(51)])
    whole = oracle.evaluate(points, True)
    part = oracle.evaluate(points[len(points) - count :], True)
    assert part.values.shape == (count,)
    assert part.gradients is not None
    assert whole.gradients is not None
    assert part.gradients.shape == (count, 5)
    assert torch.equal(part.values, whole.values[len(points) - count :])
    assert torch.equal(part.gradients, whole.gradients[len(points) - count :])
    assert torch.equal(part.standard_errors, whole.standard_errors[len(points) - count :])


def test_threads_do_not_change_a_bit(form: str) -> None:
    points = np.concatenate([region(300), corners(60)])
    answers = []
    for threads in (1, 2, 5):
        with package.use_threads(threads):
            answers.append(FORMS[form]().evaluate(points, True))
    for other in answers[1:]:
        assert torch.equal(other.values, answers[0].values)
        assert torch.equal(other.gradients, answers[0].gradients)


def test_values_do_not_depend_on_whether_gradients_are_asked_for(form: str) -> None:
    points = region(40)
    assert torch.equal(FORMS[form]().evaluate(points).values, FORMS[form]().evaluate(points, True).values)


def test_inputs_are_left_alone(form: str) -> None:
    points = torch.from_numpy(region(20))
    before = points.clone()
    points.requires_grad_()
    answer = FORMS[form]().evaluate(points, True)
    assert torch.equal(points.detach(), before)
    assert not answer.values.requires_grad
    frozen = before.numpy().copy()
    frozen.flags.writeable = False
    FORMS[form]().evaluate(frozen)


def test_charges_what_it_declares(form: str) -> None:
    oracle = FORMS[form]()
    assert oracle.evaluate(region(10)).value_calls == 10
    assert oracle.evaluate(region(10), True).value_calls == 10 * (1 + oracle.gradient_cost)


def test_no_option_and_no_price_beside_ordinary_points(form: str) -> None:
    points = np.array([[100, 50, 0.2, 1, 0.05], [60, 70, 0.2, 1, 0.05], [100, 50, -0.2, 1, 0.05], [120, 50, 0.2, 0, 0.05], [120, 100, 0.2, 1, 0.05]])
    answer = FORMS[form]().evaluate(points, True, strict=False)
    assert answer.status.tolist() == [0, 0, 5, 0, 0]
    assert answer.values[1] == 0
    assert answer.values[3] == 20
    assert answer.values[4] == 0
    assert torch.isnan(answer.values[2])
    assert answer.values[0] == FORMS[form]().values(points[:1])[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: DownAndOutPut(spot=0.0),
        lambda: DownAndOutPut(spot=float("nan")),
        lambda: DownAndOutPutPDE(space=50),
        lambda: DownAndOutPutPDE(space=8),
        lambda: DownAndOutPutPDE(time=7),
        lambda: DownAndOutPutMonteCarlo(paths=1),
        lambda: DownAndOutPutMonteCarlo(paths=3),
        lambda: DownAndOutPutMonteCarlo(seed=-1),
    ],
)
def test_settings_that_cannot_be_used_are_refused(make: object) -> None:
    with pytest.raises(InputError, match="needed"):
        make()  # type: ignore[operator]
