import numpy as np
import pytest
import torch
from put_points import corners, region

from pybackdoor.oracles.down_and_out_put import DownAndOutPut
from pybackdoor.oracles.down_and_out_put_pde import DownAndOutPutPDE

REGION, CORNERS = region(500), corners(300)
FINE = {"space": 200, "time": 400}


def errors(points: np.ndarray, **grid: int | bool) -> tuple[np.ndarray, np.ndarray]:
    """Absolute errors of values [N] and gradients [N, 5] against the closed form."""
    values, gradients = DownAndOutPutPDE(**grid).values_and_gradients(points)  # type: ignore[arg-type]
    truth, slopes = DownAndOutPut().values_and_gradients(points)
    return (values - truth).abs().numpy(), (gradients - slopes).abs().numpy()


def test_accuracy_over_the_region() -> None:
    """The bars are a median of 3e-4 and a maximum of 1e-2; measured 2e-7 and 1e-4."""
    value, gradient = errors(REGION, **FINE)
    assert np.median(value) < 1e-6
    assert value.max() < 5e-4
    assert (np.median(gradient, axis=0) < [1e-7, 1e-7, 2e-5, 2e-6, 2e-5]).all()
    assert (gradient.max(axis=0) < [1e-4, 2e-4, 0.1, 5e-3, 0.05]).all()


def test_accuracy_in_the_corners() -> None:
    """Drift of 20 deviations into a boundary layer included: measured maximum 8e-4."""
    value, gradient = errors(CORNERS, **FINE)
    assert value.max() < 2e-3
    assert np.median(gradient, axis=0).max() < 1e-4
    slopes = DownAndOutPut().values_and_gradients(CORNERS)[1].abs().numpy()
    assert (gradient < 1e-2 * (1 + slopes)).all()


@pytest.mark.parametrize(("level", "median", "largest"), [("fast", 1e-4, 0.3), ("standard", 1e-5, 5e-3), ("high", 4e-7, 4e-4)])
def test_levels_are_as_exact_as_they_say(level: str, median: float, largest: float) -> None:
    ours, truth = DownAndOutPutPDE(level), DownAndOutPut()
    for points, limit in ((REGION, 0.1 * largest), (CORNERS, largest)):
        error = (ours.values(points) - truth.values(points)).abs()
        assert float(error.median()) < median
        assert float(error.max()) < limit + 1e-4


def test_second_order_in_space() -> None:
    """Time steps are so many that they do not show."""
    coarse, _ = errors(REGION[:120], space=60, time=400, extrapolate=False)
    fine, _ = errors(REGION[:120], space=120, time=400, extrapolate=False)
    seen = coarse > 1e-4
    assert seen.sum() > 60
    assert np.median(np.log2(coarse[seen] / fine[seen])) == pytest.approx(2, abs=0.1)


def test_second_order_in_time() -> None:
    """Differences between numbers of steps on one mesh, where the error in space cancels."""
    prices = [DownAndOutPutPDE(space=100, time=steps, extrapolate=False).values(REGION[:120]) for steps in (10, 20, 40)]
    first, second = (prices[0] - prices[1]).abs(), (prices[1] - prices[2]).abs()
    seen = first > 1e-5
    assert int(seen.sum()) > 60
    assert float(torch.log2(first / second)[seen].median()) == pytest.approx(2, abs=0.2)


def test_extrapolation_gives_the_fourth_order() -> None:
    coarse, coarse_gradient = errors(REGION[:120], space=48, time=96)
    fine, fine_gradient = errors(REGION[:120], space=96, time=192)
    seen = coarse > 1e-5
    assert seen.sum() > 40
    assert np.median(np.log2(coarse[seen] / fine[seen])) > 3.5
    assert np.median(np.log2(coarse_gradient[seen] / fine_gradient[seen]), axis=0).min() > 3.0


@pytest.mark.parametrize("extrapolate", [False, True])
def test_gradients_are_those_of_the_discrete_price(extrapolate: bool) -> None:
    """To the accuracy of central differences, at points on resting and on moving meshes, with the strike in and out of reach."""
    points = np.concatenate([REGION[:40], CORNERS[:40]])
    points = points[(points[:, 1] < 99.9) & (points[:, 0] > points[:, 1] + 0.1)]
    drift = (points[:, 4] * points[:, 3] - 0.5 * points[:, 2] ** 2 * points[:, 3]) / (points[:, 2] * np.sqrt(points[:, 3]))
    assert (drift > 4).any()
    assert (drift < 2).any()
    put = DownAndOutPutPDE(space=96, time=24, extrapolate=extrapolate)
    gradients = put.values_and_gradients(points)[1].numpy()
    for feature in range(5):
        step = 1e-6 * points[:, feature] + 1e-7
        up, down = points.copy(), points.copy()
        up[:, feature] += step
        down[:, feature] -= step
        differences = (put.values(up, strict=False) - put.values(down, strict=False)).numpy() / (2 * step)
        assert (np.abs(differences - gradients[:, feature]) < 1e-3 * (1 + np.abs(differences))).all()


@pytest.mark.parametrize(("feature", "low", "high"), [(0, 60.0, 180.0), (1, 20.0, 95.0), (2, 0.05, 0.6)])
def test_no_saw_tooth_along_a_line(feature: int, low: float, high: float) -> None:
    """Second differences of the error are far below the error's own size: nodes do not jump as strike and barrier move through the mesh.

    The largest, 2.4 %, is the bend where a growing volatility brings the barrier into reach.
    """
    line = np.repeat([[110.0, 55.0, 0.25, 1.0, 0.04]], 200, axis=0)
    line[:, feature] = np.linspace(low, high, 200)
    put = DownAndOutPutPDE(space=48, time=48, extrapolate=False)
    error = (put.values(line) - DownAndOutPut().values(line)).numpy()
    assert np.abs(error).max() > 1e-4
    assert np.abs(np.diff(error, 2)).max() < 0.04 * np.abs(error).max()
