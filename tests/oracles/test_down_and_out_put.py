import mpmath
import numpy as np
import pytest
import torch
from put_points import corners, region

from pybackdoor.errors import InputError, OracleFailedError
from pybackdoor.oracles import reference
from pybackdoor.oracles.down_and_out_put import DownAndOutPut
from pybackdoor.records import Evaluation
from pybackdoor.records.evaluation import EvaluationStatus

KNOWN = [
    ((100, 50, 0.2, 1, 0.05), 5.55880974),
    ((110, 80, 0.25, 0.5, 0.03), 6.21271037),
    ((120, 60, 0.3, 2, 0), 12.62491380),
    ((200, 10, 1, 5, 0.1), 21.69710972),
]


@pytest.mark.parametrize(("point", "price"), KNOWN)
def test_known_prices(point: tuple[float, ...], price: float) -> None:
    assert DownAndOutPut().values([point]).item() == pytest.approx(price, abs=5e-9)


def test_reference_is_the_integral_of_the_payoff_over_survivors() -> None:
    """The truth of the other tests, against quadrature of payoff times transition density with one absorbing barrier."""
    strike, barrier, sigma, t, r, spot = 110.0, 80.0, 0.25, 0.5, 0.03, 100.0
    s = sigma * mpmath.sqrt(t)
    start, drift = mpmath.log(spot / barrier), (r - sigma**2 / 2) * t

    def density(x: mpmath.mpf) -> mpmath.mpf:
        direct = mpmath.npdf(x, start + drift, s)
        return direct - mpmath.exp(-2 * drift * start / s**2) * mpmath.npdf(x, -start + drift, s)

    integral = mpmath.quad(lambda x: (strike - barrier * mpmath.exp(x)) * density(x), [0, mpmath.log(strike / barrier)])
    assert float(mpmath.exp(-r * t) * integral - reference.down_and_out_put(strike, barrier, sigma, t, r)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("points", [region(60), corners(90)], ids=["region", "corners"])
def test_against_thirty_digits(points: np.ndarray) -> None:
    """Measured over 1,800 points: 6e-14 and 6e-12."""
    values, gradients = DownAndOutPut().values_and_gradients(points)
    for point, value, gradient in zip(points.tolist(), values.tolist(), gradients.tolist(), strict=True):
        assert abs(float(reference.down_and_out_put(*point) - value)) < 1e-12
        truth = reference.down_and_out_put_gradient(tuple(point))
        assert max(abs(float(ours - theirs)) for ours, theirs in zip(gradient, truth, strict=True)) < 1e-10


def test_the_corners_of_the_box_itself() -> None:
    box = np.array(np.meshgrid([50.0, 200.0], [10.0, 99.999, 100.0], [0.01, 1.0], [0.002, 5.0], [0.0, 0.1])).reshape(5, -1).T
    values, gradients = DownAndOutPut().values_and_gradients(box)
    for point, value, gradient in zip(box.tolist(), values.tolist(), gradients.tolist(), strict=True):
        assert abs(float(reference.down_and_out_put(*point) - value)) < 1e-12
        if point[1] < 99 and point[0] > point[1]:
            truth = reference.down_and_out_put_gradient(tuple(point))
            assert max(abs(float(ours - theirs)) for ours, theirs in zip(gradient, truth, strict=True)) < 1e-10


def test_no_option_is_worth_exactly_nothing() -> None:
    values, gradients = DownAndOutPut().values_and_gradients([[50, 60, 0.2, 1, 0.05], [60, 60, 0.2, 1, 0.05], [150, 100, 0.2, 1, 0.05]])
    assert values.tolist() == [0, 0, 0]
    assert (gradients == 0).all()


def test_strike_just_above_barrier_keeps_its_relative_accuracy() -> None:
    for gap in (1e-3, 1e-6, 1e-9):
        point = (60 + gap, 60.0, 0.3, 1.0, 0.05)
        assert DownAndOutPut().values([point]).item() == pytest.approx(float(reference.down_and_out_put(*point)), rel=1e-4 if gap < 1e-8 else 1e-7)


def test_outside_the_domain() -> None:
    put = DownAndOutPut()
    with pytest.raises(InputError, match=r"row 1 has volatility = 2, outside \[0.01, 1\]"):
        put.values([[100, 50, 0.2, 1, 0.05], [100, 50, 2, 1, 0.05]])
    outside = [[100, 50, 2.0, 1, 0.05], [100, 50, 0.2, 30, -0.05], [100, 99.9, 0.001, 1, -0.1], [100, 1e-8, 0.2, 1, 0.05]]
    for point, value in zip(outside, put.values(outside, strict=False).tolist(), strict=True):
        assert value == pytest.approx(float(reference.down_and_out_put(*point)), abs=1e-10)


def test_what_has_no_price_has_a_status_and_expiry_pays() -> None:
    put = DownAndOutPut()
    answer: Evaluation = put.evaluate(
        [[100, 50, 0.0, 1, 0], [100, 50, 0.2, -1, 0], [-1, 50, 0.2, 1, 0], [100, 0, 0.2, 1, 0], [120, 50, 0.2, 0, 0.1]], gradient=True, strict=False
    )
    assert answer.status.tolist() == [EvaluationStatus.BAD_INPUT] * 4 + [EvaluationStatus.OK]
    assert torch.isnan(answer.values[:4]).all()
    assert answer.values[4] == 20
    with pytest.raises(OracleFailedError, match="row 0"):
        put.values([[100, 50, 0.0, 1, 0]], strict=False)


@pytest.mark.parametrize("row", [[100, 50, 0.2, 1], [100, np.nan, 0.2, 1, 0], [100, 50, 0.2, np.inf, 0]])
def test_bad_rows_are_refused(row: list[float]) -> None:
    with pytest.raises(InputError):
        DownAndOutPut().values([row])
