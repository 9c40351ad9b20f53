"""Mean exit times by the boundary-value problem: integrals in 30 digits, order, gradients, scaling, extremes, bad input."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.mean_exit_time import DOMAIN, MeanExitTime
from pybackdoor.oracles.reference_mean_exit_time import mean_exit_time
from pybackdoor.records.evaluation import EvaluationStatus

Cases = tuple[torch.Tensor, torch.Tensor]


def corners() -> torch.Tensor:
    """Corners of the domain, where the time is longest or the start lies on a bound's doorstep."""
    rows = [[0.0, 1.0, 0.0, 0.7, -2.0, 2.0], [1.0, 1.0, -0.5, 0.7, -2.0, 2.0], [-0.999, 1.0, 0.5, 0.7, -1.0, 2.0], [0.9, 0.05, 0.5, 2.0, -1.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture(scope="module")
def cases() -> Cases:
    points = torch.cat([design(DOMAIN, 20, seed=3), corners()])
    with mpmath.workdps(30):
        return points, torch.tensor([float(mean_exit_time(*row)) for row in points.tolist()], dtype=torch.float64)


@pytest.mark.parametrize(("level", "median", "largest"), [("fast", 2e-6, 2e-2), ("standard", 8e-9, 1e-4), ("high", 3e-11, 4e-7)])
def test_over_the_domain_against_integrals(cases: Cases, level: str, median: float, largest: float) -> None:
    points, exact = cases
    option = MeanExitTime(level)
    error = (option.values(points) / exact - 1).abs()
    assert error.median() < median
    assert error.max() < largest
    estimate = option.estimate_error(points) / exact
    assert (estimate > 0.5 * error).all()  # the level below is less exact everywhere; at the lowest it is compared with the next
    assert estimate.max() < 2e-2


def test_fourth_order(cases: Cases) -> None:
    points, exact = cases
    fast, standard, high = (float((MeanExitTime(level).values(points) - exact).abs().log2().mean()) for level in ("fast", "standard", "high"))
    assert (fast - standard) / 2 == pytest.approx(4, abs=0.3)
    assert (standard - high) / 2 == pytest.approx(4, abs=0.3)


def test_derivatives_against_integrals(cases: Cases) -> None:
    rows = cases[0][-5::2]
    gradients = MeanExitTime("high").values_and_gradients(rows)[1]
    with mpmath.workdps(40):
        step = mpmath.mpf(10) ** -8
        for row, gradient in zip(rows.tolist(), gradients, strict=True):
            slopes = []
            for feature in range(6):
                below, above = ([mpmath.mpf(value) + sign * step * (at == feature) for at, value in enumerate(row)] for sign in (-1, 1))
                slopes.append(float((mean_exit_time(*above) - mean_exit_time(*below)) / (2 * step)))
            assert gradient.tolist() == pytest.approx(slopes, rel=1e-6, abs=3e-7 * float(gradient.abs().max())), row


def test_gradients_are_those_of_the_discrete_values() -> None:
    points = design(DOMAIN, 200, seed=5)
    option = MeanExitTime("fast")
    gradients = option.values_and_gradients(points)[1]
    for feature in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[feature] = 1e-6
        slope = (option.values(points + step, strict=False) - option.values(points - step, strict=False)) / 2e-6
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 2e-7


def test_without_reversion_it_is_a_parabola() -> None:
    values, gradients = MeanExitTime("fast").values_and_gradients([[0.2, 0.0, 0.3, 1.5, -1.0, 1.5]], strict=False)
    assert values.item() == pytest.approx(1.2 * 1.3 / 2.25, rel=1e-12)
    assert gradients[0, [0, 2, 3, 4, 5]].tolist() == pytest.approx([0.1 / 2.25, 0, -2 * 1.56 / 1.5**3, -1.3 / 2.25, 1.2 / 2.25], rel=1e-12, abs=1e-12)


def test_known_value_and_a_repelling_mean() -> None:
    assert MeanExitTime("high").values([[0.0, 1.0, 0.0, 1.0, -1.0, 1.0]]).item() == pytest.approx(1.4452456, abs=1e-7)
    row = [0.2, -2.0, 0.1, 0.5, -1.0, 1.5]
    assert MeanExitTime("high").values([row], strict=False).item() == pytest.approx(float(mean_exit_time(*row)), rel=1e-8)


def test_scaling_of_time_and_length() -> None:
    points = design(DOMAIN, 100, seed=6)
    values, gradients = MeanExitTime().values_and_gradients(points)
    start, reversion, mean, volatility, lower, upper = (points * gradients).unbind(dim=1)
    assert ((reversion + 0.5 * volatility + values).abs() / values).max() < 1e-9
    largest = gradients.abs().amax(dim=1)
    assert ((start + mean + lower + upper + volatility).abs() / largest).max() < 1e-9  # a length scaled
    assert (gradients[:, [0, 2, 4, 5]].sum(dim=1).abs() / largest).max() < 1e-9  # moved
    mirrored = points[:, [0, 1, 2, 3, 5, 4]] * torch.tensor([-1, 1, -1, 1, -1, -1])
    assert (MeanExitTime().values(mirrored) / values - 1).abs().max() < 1e-11


@pytest.mark.parametrize(
    ("row", "tolerance"),
    [
        ([0.0, 1.0, 0.0, 0.3, -1.8, 2.0], 1e-4),  # 1e15: a deep well
        ([0.0, 1.0, 0.0, 0.15, -1.5, 1.5], 5e-3),  # 2e42
        ([0.0, 0.5, 8.0, 1.0, -1.0, 1.0], 1e-7),  # a mean far away: carried out at once
        ([-1.0 + 1e-12, 0.5, 0.0, 1.0, -1.0, 1.0], 1e-9),  # a start on a bound's doorstep
    ],
)
def test_extremes_keep_their_relative_accuracy(row: list[float], tolerance: float) -> None:
    with mpmath.workdps(30):
        exact = float(mean_exit_time(*row))
    assert MeanExitTime("high").values([row], strict=False).item() == pytest.approx(exact, rel=tolerance)
    estimate = MeanExitTime().estimate_error([row], strict=False).item()
    assert estimate > 0.5 * abs(MeanExitTime().values([row], strict=False).item() - exact)


def test_pure_drift_is_the_time_of_travel() -> None:
    """With hardly any noise log((mean - start) / (mean - upper)) / reversion, to the first order of the cells, as estimated."""
    row, travel = [0.0, 1.0, 2.0, 1e-3, -1.0, 1.0], np.log(2.0)
    errors = [MeanExitTime(level).values([row], strict=False).item() - travel for level in ("fast", "standard", "high")]
    assert abs(errors[2]) < 1e-3
    assert np.log2(errors[0] / errors[1]) / 2 == pytest.approx(1, abs=0.1)
    assert MeanExitTime().estimate_error([row], strict=False).item() > abs(errors[1])


def test_on_a_bound_or_beyond_it_is_over() -> None:
    rows = [[-1.0, 0.5, 0.0, 1.0, -1.0, 1.0], [1.0, 0.5, 0.0, 1.0, -1.0, 1.0], [3.0, 0.5, 0.0, 1.0, -1.0, 1.0], [0.0, 0.5, 0.0, 1.0, -1.0, 1.0]]
    answer = MeanExitTime().evaluate(rows, gradient=True, strict=False)
    assert answer.gradients is not None
    assert answer.values[:3].tolist() == [0, 0, 0]
    assert (answer.gradients[:3] == 0).all()
    assert answer.values[3] > 0.5
    assert answer.status.tolist() == [0] * 4


def test_a_time_beyond_numbers_is_not_finite_and_alone() -> None:
    rows = [[0.0, 1.0, 0.0, 0.04, -1.5, 1.5], [0.0, 1.0, 0.0, 1.0, -1.5, 1.5]]
    answer = MeanExitTime().evaluate(rows, gradient=True, strict=False)
    assert answer.gradients is not None
    assert answer.status.tolist() == [EvaluationStatus.NOT_FINITE, EvaluationStatus.OK]
    assert answer.values.isnan().tolist() == [True, False]
    assert answer.gradients.isnan().all(dim=1).tolist() == [True, False]


def test_refused() -> None:
    rows = [[0.0, 0.5, 0.0, 1.0, 1.0, -1.0], [0.0, 0.5, 0.0, 1.0, -1.0, 1.0]]
    with pytest.raises(InputError, match=r"row 0 has lower = 1; a lower bound below the upper one"):
        MeanExitTime().evaluate(rows)
    answer = MeanExitTime().evaluate(rows, errors="nan")
    assert answer.status.tolist() == [EvaluationStatus.BAD_INPUT, EvaluationStatus.OK]
    with pytest.raises(InputError, match="level is 'best'; one of fast"):
        MeanExitTime("best")
