import numpy as np
import pytest
import torch
from put_points import corners, region

from pybackdoor.oracles.down_and_out_put import DownAndOutPut
from pybackdoor.oracles.down_and_out_put_mc import DownAndOutPutMonteCarlo


def valuable(count: int) -> np.ndarray:
    """Points of the region where the price is more than rounding."""
    points = region(2 * count)
    return points[DownAndOutPut().values(points).numpy() > 1e-3][:count]


def test_values_lie_within_four_standard_errors() -> None:
    """One seed a point, so that the errors are independent: at most one point in a thousand may fail, of 1,200."""
    points = np.concatenate([region(800), corners(400)])
    truth = DownAndOutPut().values(points).numpy()
    answers = [DownAndOutPutMonteCarlo(paths=1024, seed=seed).evaluate(points[seed : seed + 1]) for seed in range(len(points))]
    values, errors = np.array([float(answer.values[0]) for answer in answers]), np.array([float(answer.standard_errors[0]) for answer in answers])
    assert (np.abs(values - truth) > 4 * errors + 1e-9).sum() <= 1
    seen = errors > 1e-8
    assert seen.sum() > 600
    assert ((values - truth)[seen] / errors[seen]).std() == pytest.approx(1, abs=0.12)  # the standard errors are neither too small nor too large


def test_error_falls_as_one_over_the_root_of_the_paths() -> None:
    points = valuable(60)
    truth = DownAndOutPut().values(points)

    def error(paths: int) -> float:
        each = [DownAndOutPutMonteCarlo(paths=paths, seed=seed).values(points) - truth for seed in range(60)]
        return float(torch.stack(each).square().mean(dim=0).sqrt().log2().mean())

    order = (error(64) - error(4096)) / 6
    assert order == pytest.approx(0.5, abs=0.06)


def test_standard_errors_fall_likewise() -> None:
    points = valuable(60)
    few, many = (DownAndOutPutMonteCarlo(paths=paths).evaluate(points).standard_errors for paths in (1024, 16384))
    assert float((few / many).median()) == pytest.approx(4, rel=0.1)


def test_gradients_are_unbiased() -> None:
    """Means over 300 seeds against the closed form, in standard deviations of the mean; the floor is what a rarely sampled touch contributes."""
    points = np.concatenate([region(30), corners(30)])
    slopes = DownAndOutPut().values_and_gradients(points)[1].numpy()
    drawn = np.array([DownAndOutPutMonteCarlo(paths=128, seed=seed).values_and_gradients(points)[1].numpy() for seed in range(300)])
    spread = drawn.std(axis=0) / np.sqrt(len(drawn))
    distance = np.abs(drawn.mean(axis=0) - slopes) / (spread + 1e-5 * (1 + np.abs(slopes)))
    assert distance.max() < 4.5
    assert np.median(distance) < 1.0
    assert (spread > 1e-6 * np.abs(slopes)).mean() > 0.5  # there is noise to speak of


def test_gradients_are_those_of_the_drawn_price() -> None:
    points = region(40)
    put = DownAndOutPutMonteCarlo(paths=256, seed=3)
    gradients = put.values_and_gradients(points)[1].numpy()
    for feature in range(5):
        step = 1e-6 * points[:, feature] + 1e-7
        up, down = points.copy(), points.copy()
        up[:, feature] += step
        down[:, feature] -= step
        differences = (put.values(up, strict=False) - put.values(down, strict=False)).numpy() / (2 * step)
        assert (np.abs(differences - gradients[:, feature]) < 1e-5 * (1 + np.abs(differences))).all()


def test_common_random_numbers_quiet_differences() -> None:
    point, near = np.array([[110.0, 70.0, 0.3, 1.0, 0.03]]), np.array([[110.5, 70.0, 0.3, 1.0, 0.03]])
    together = [float(put.values(near)[0] - put.values(point)[0]) for put in (DownAndOutPutMonteCarlo(paths=512, seed=seed) for seed in range(40))]
    alone = [float(DownAndOutPutMonteCarlo(paths=512, seed=seed).values(point)[0]) for seed in range(40)]
    assert np.std(together) < 0.1 * np.std(alone)


def test_seed_and_paths_name_the_draws() -> None:
    points = region(5)
    price = DownAndOutPutMonteCarlo(paths=256, seed=5).values(points)
    assert torch.equal(price, DownAndOutPutMonteCarlo(paths=256, seed=5).values(points))
    assert not torch.equal(price, DownAndOutPutMonteCarlo(paths=256, seed=6).values(points))
    assert not torch.equal(price, DownAndOutPutMonteCarlo(paths=256, seed=5 + 2**32).values(points))


def test_deterministic_part_has_no_standard_error_and_far_options_are_worthless() -> None:
    answer = DownAndOutPutMonteCarlo(paths=64).evaluate([[50.0, 49.0, 0.01, 0.002, 0.0], [60.0, 70.0, 0.2, 1.0, 0.0]], True)
    assert answer.values.tolist() == [0, 0]
    assert answer.standard_errors.tolist() == [0, 0]
    assert answer.gradients is not None
    assert (answer.gradients == 0).all()
