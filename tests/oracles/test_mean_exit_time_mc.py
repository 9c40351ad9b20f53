"""Mean exit times by Monte Carlo against those by the boundary-value problem: errors, bias, gradients, what is common to all points, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import mean_exit_time_mc
from pybackdoor.oracles.mean_exit_time import DOMAIN, MeanExitTime
from pybackdoor.oracles.mean_exit_time_mc import MeanExitTimeMonteCarlo
from pybackdoor.records.evaluation import EvaluationStatus

WITHOUT_REVERSION = [0.2, 0.0, 0.3, 1.5, -1.0, 1.5]
HARD = [0.3, 1.0, 0.2, 0.7, -1.5, 1.5]  # bounds that bend strongly


def test_values_lie_within_their_standard_errors() -> None:
    """A seed a point, so that errors are independent: at most 1 of 200 beyond 4, and the errors neither too small nor too large."""
    points = design(DOMAIN, 200, seed=9)
    exact = MeanExitTime("high").values(points)
    answers = [MeanExitTimeMonteCarlo(paths=512, seed=seed).evaluate(points[seed : seed + 1]) for seed in range(len(points))]
    distance = torch.cat([answer.values for answer in answers]).sub(exact) / torch.cat([answer.standard_errors for answer in answers])
    assert (distance.abs() > 4).sum() <= 1
    assert float(distance.std()) == pytest.approx(1, abs=0.15)
    assert float(distance.mean()) == pytest.approx(0, abs=0.25)


def test_bias_falls_with_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """At steps of 1/16 far above the noise of 65,536 paths; at 1/32 less than a fourth of that, and the noise."""
    exact = MeanExitTime("high").values([HARD]).item()
    errors, noise = [], []
    for bend in (24.0, 1.0):
        monkeypatch.setitem(mean_exit_time_mc.LEVELS, "fast", bend)
        answer = MeanExitTimeMonteCarlo("fast", paths=2**16).evaluate([HARD])
        errors.append(abs(answer.values.item() / exact - 1))
        noise.append(answer.standard_errors.item() / exact)
    assert errors[0] > 5 * noise[0]
    assert errors[1] < errors[0] / 4 + 2 * noise[1]


def test_without_reversion_a_step_of_any_length_is_right() -> None:
    """The bridge is Brownian: nothing but noise is left."""
    answer = MeanExitTimeMonteCarlo("fast", paths=2**16).evaluate([WITHOUT_REVERSION], gradient=True, strict=False)
    assert answer.gradients is not None
    assert abs(answer.values.item() - 1.2 * 1.3 / 2.25) < 4 * answer.standard_errors.item()
    assert answer.standard_errors.item() < 5e-3
    assert answer.gradients[0, 3].item() == pytest.approx(-2 * answer.values.item() / 1.5, rel=1e-12)  # scales with volatility^-2


def test_gradients_are_those_of_the_drawn_values() -> None:
    points = torch.cat([design(DOMAIN, 20, seed=7), torch.tensor([WITHOUT_REVERSION, HARD], dtype=torch.float64)])
    option = MeanExitTimeMonteCarlo("fast", paths=128, seed=2)
    gradients = option.values_and_gradients(points, strict=False)[1]
    for feature in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[feature] = 1e-7
        slope = (option.values(points + step, strict=False) - option.values(points - step, strict=False)) / 2e-7
        assert ((gradients[:, feature] - slope).abs() / (1 + slope.abs())).max() < 1e-5


def test_gradients_are_unbiased() -> None:
    """Means over 100 seeds against the grid's, in standard deviations of the mean."""
    points = design(DOMAIN, 8, seed=8)
    truth = MeanExitTime("high").values_and_gradients(points)[1]
    drawn = torch.stack([MeanExitTimeMonteCarlo(paths=64, seed=seed).values_and_gradients(points)[1] for seed in range(100)])
    distance = (drawn.mean(dim=0) - truth).abs() / (drawn.std(dim=0) / 10 + 1e-3)
    assert distance.max() < 4.5
    assert distance.median() < 1.2


def test_scaling_of_time_and_length() -> None:
    points = design(DOMAIN, 20, seed=6)
    values, gradients = MeanExitTimeMonteCarlo("fast", paths=128).values_and_gradients(points)
    start, reversion, mean, volatility, lower, upper = (points * gradients).unbind(dim=1)
    assert ((reversion + 0.5 * volatility + values).abs() / values).max() < 1e-11
    assert ((start + mean + lower + upper + volatility).abs() / gradients.abs().amax(dim=1)).max() < 1e-11
    assert (gradients[:, [0, 2, 4, 5]].sum(dim=1).abs() / gradients.abs().amax(dim=1)).max() < 1e-11


def test_common_random_numbers_and_seeds() -> None:
    point, near = [[0.1, 0.5, 0.0, 1.0, -1.2, 1.3]], [[0.1, 0.51, 0.0, 1.0, -1.2, 1.3]]
    drawn = [MeanExitTimeMonteCarlo("fast", paths=256, seed=seed) for seed in range(30)]
    alone = torch.cat([option.values(point) for option in drawn])
    together = torch.cat([option.values(near) - option.values(point) for option in drawn])
    assert together.std() < 0.1 * alone.std()
    assert alone.std() > 0
    assert not torch.equal(MeanExitTimeMonteCarlo("fast", paths=256, seed=2**33).values(point), drawn[0].values(point))


def test_standard_errors_fall_as_the_root_of_the_paths() -> None:
    made = MeanExitTimeMonteCarlo(paths=4096)
    coarser = made.coarser()
    assert coarser is not None
    assert coarser.paths == 1024
    points = design(DOMAIN, 8, seed=4)
    assert (coarser.estimate_error(points) / made.estimate_error(points)).numpy() == pytest.approx(2, rel=0.2)
    assert MeanExitTimeMonteCarlo(paths=128).coarser() is None


def test_on_a_bound_or_beyond_it_is_over() -> None:
    rows = [[-1.0, 0.5, 0.0, 1.0, -1.0, 1.0], [1.0, 0.5, 0.0, 1.0, -1.0, 1.0], [3.0, 0.5, 0.0, 1.0, -1.0, 1.0], [0.0, 0.5, 0.0, 1.0, -1.0, 1.0]]
    answer = MeanExitTimeMonteCarlo("fast", paths=64).evaluate(rows, gradient=True, strict=False)
    assert answer.gradients is not None
    assert answer.values[:3].tolist() == answer.standard_errors[:3].tolist() == [0, 0, 0]
    assert (answer.gradients[:3] == 0).all()
    assert answer.values[3] > 0.5
    assert answer.status.tolist() == [0] * 4


def test_a_path_without_end_is_not_converged() -> None:
    option = MeanExitTimeMonteCarlo("fast", paths=64)
    option.most = 2**10
    answer = option.evaluate([[0.0, 1.0, 0.0, 0.15, -1.5, 1.5], [0.0, 1.0, 0.0, 1.0, -1.0, 1.0]], gradient=True, strict=False)
    assert answer.gradients is not None
    assert answer.status.tolist() == [EvaluationStatus.NOT_CONVERGED, EvaluationStatus.OK]
    assert answer.values.isnan().tolist() == answer.standard_errors.isnan().tolist() == [True, False]
    assert answer.gradients.isnan().all(dim=1).tolist() == [True, False]


def test_refused() -> None:
    rows = [[0.0, 0.5, 0.0, 1.0, 1.0, -1.0], [np.nan, 0.5, 0.0, 1.0, -1.0, 1.0], [0.0, 0.5, 0.0, 1.0, -1.0, 1.0]]
    with pytest.raises(InputError, match=r"row 0 has lower = 1; a lower bound below the upper one"):
        MeanExitTimeMonteCarlo("fast").evaluate(rows[:1])
    answer = MeanExitTimeMonteCarlo("fast", paths=64).evaluate(rows, errors="nan")
    assert answer.status.tolist() == [EvaluationStatus.BAD_INPUT] * 2 + [EvaluationStatus.OK]
    for arguments, message in (({"level": "best"}, "one of fast"), ({"paths": 1}, "from 2 to"), ({"seed": -1}, "from 0 to")):
        with pytest.raises(InputError, match=message):
            MeanExitTimeMonteCarlo(**arguments)
