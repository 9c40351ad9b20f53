"""How noisy the labels are where: the free scale follows noise and not poison, and random rows decide what it is worth."""

import pytest
import torch

from pybackdoor.defense.deviation import deviation_shape
from pybackdoor.defense.noise import noise_scale
from pybackdoor.defense.piecewise import hats, interpolated, quantile_knots

COUNT = 6000


def drawn(seed: int, dimension: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points, values and standard normal noise."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(COUNT, dimension, generator=generator, dtype=torch.float64)
    return unit, 100 * unit[:, 0] ** 2, torch.randn(COUNT, generator=generator, dtype=torch.float64)


def spread(ratios: torch.Tensor) -> float:
    """The deviation of the logarithm: 0 for two scales that differ by a factor alone."""
    return float(torch.log(ratios).std())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scale_follows_noise_that_grows_with_the_value_or_along_a_feature(seed: int) -> None:
    unit, values, noise = drawn(seed)
    for deviation in (1.0 + 0.1 * values, torch.exp(2 * unit[:, 2]), torch.ones(COUNT, dtype=torch.float64)):
        assert spread(noise_scale(unit, values, deviation * noise) / deviation) < 0.12  # a robust scale of twenty residuals is off by 0.3 to 0.5


def test_wrong_labels_of_a_place_make_no_excuse_for_themselves() -> None:
    unit, values, noise = drawn(3)
    inside = torch.linalg.vector_norm(unit - 0.5, dim=1) < 0.18
    assert 100 < int(inside.sum()) < 200
    wrong = torch.where(inside, noise + 40.0, noise)
    change = noise_scale(unit, values, wrong) / noise_scale(unit, values, noise)
    assert float(change[inside].max()) < 2.0  # of forty deviations


def test_scale_of_no_residual_of_few_rows_and_of_one_value() -> None:
    unit, values, noise = drawn(4)
    assert torch.equal(noise_scale(unit, values, 0 * noise), torch.ones_like(noise))
    for count in (1, 2, 7):
        assert bool((noise_scale(unit[:count], values[:count], noise[:count]) > 0).all())
    assert spread(noise_scale(unit, torch.full_like(values, 7.0), noise)) < 0.12
    outside = noise_scale(3 * unit - 1, values, noise)
    assert bool((torch.isfinite(outside) & (outside > 0)).all())


@pytest.mark.parametrize(("wrong", "most"), [(0, 0.25), (3, 0.35), (8, 0.45)])
def test_a_hundred_errors_show_what_residuals_learned_by_heart_do_not(wrong: int, most: float) -> None:
    """The scale is the same everywhere; only the errors tell that the noise grows with the value, some wrong labels among them or not."""
    for seed in range(5):
        _, values, noise = drawn(seed)
        deviation = 0.2 + 0.05 * values
        errors, at = deviation * noise, torch.arange(100)
        errors[:wrong] = 1000.0
        shape = deviation_shape(errors[at], at, torch.ones_like(values), values, least=1e-3)
        assert spread(shape / deviation) < most  # 0.84 for a shape that is the same everywhere
        assert 0.6 < float((shape / deviation).median()) < 1.7


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relative_errors_are_carried_beyond_the_largest_value_compared(seed: int) -> None:
    _, values, noise = drawn(seed)
    values = -0.003 * values**2 - 1e-3  # half of them small, a few large
    at = (values > -10.0).nonzero()[:100, 0]
    errors = 0.05 * values.abs() * noise
    ratios = deviation_shape(errors[at], at, torch.ones_like(values), values, least=1e-4) / values.abs()
    largest = ratios[values < -20.0] / ratios[(values < -1.0) & (values > -10.0)].median()
    assert int((values < -20.0).sum()) > 300
    assert 0.6 < float(largest.min()) <= float(largest.max()) < 4.0  # a third were it flat; what is too much the tolerance cuts


def test_a_few_errors_leave_the_scale_as_it_is() -> None:
    unit, values, noise = drawn(5)
    scale, at = torch.exp(2 * unit[:, 2]), torch.arange(4)
    shape = deviation_shape((scale * noise)[at], at, scale, values, least=1e-3)
    assert spread(shape / scale) < 0.5
    assert spread(scale) > 0.55


def test_exact_labels_have_the_least_deviation() -> None:
    unit, values, _ = drawn(6)
    at = torch.arange(50)
    shape = deviation_shape(torch.zeros(50, dtype=torch.float64), at, torch.exp(unit[:, 0]), values, least=0.02)
    assert float(shape.max()) < 0.03


def test_piecewise_linear_is_its_basis_times_heights() -> None:
    points = torch.tensor([-1.0, 0.0, 0.3, 1.0, 1.5, 2.0, 9.0], dtype=torch.float64)
    knots, heights = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 3.0, -1.0], dtype=torch.float64)
    expected = torch.tensor([1.0, 1.0, 1.6, 3.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    assert torch.allclose(interpolated(points, knots, heights), expected)
    assert torch.allclose(hats(points, knots) @ heights, expected)
    assert torch.equal(hats(points, knots[:1]), torch.ones(7, 1, dtype=torch.float64))
    assert quantile_knots(torch.tensor([2.0, 2.0, 2.0, 5.0], dtype=torch.float64), 3).tolist() == [2.0, 5.0]
