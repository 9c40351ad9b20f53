import math

import numpy as np
import pytest
import torch
from scipy.stats import qmc

from pybackdoor.oracles import CallableOracle, oracle

NAMES = ["branin", "ishigami", "hartmann6", "friedman1", "borehole"]


def sobol(name: str, count: int) -> torch.Tensor:
    domain = oracle(name).domain
    return domain.to_natural(torch.from_numpy(qmc.Sobol(domain.dimension, seed=1).random(count)))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_values(name: str) -> None:
    formula = oracle(name)
    points = sobol(name, 128)
    differences = CallableOracle(lambda x: formula.values(x).numpy(), formula.domain).values_and_gradients(points)[1]
    gradients = formula.values_and_gradients(points)[1]
    assert torch.allclose(gradients, differences, rtol=1e-5, atol=1e-7 * float(gradients.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_no_points(name: str) -> None:
    values, gradients = oracle(name).values_and_gradients(torch.zeros(0, oracle(name).domain.dimension))
    assert values.shape == (0,)
    assert gradients.shape == (0, oracle(name).domain.dimension)


@pytest.mark.parametrize("minimum", [(-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)])
def test_branin_minima(minimum: tuple[float, float]) -> None:
    value, gradient = oracle("branin").values_and_gradients([minimum])
    assert value.item() == pytest.approx(5 / (4 * math.pi), abs=1e-9)
    assert gradient.abs().max() < 1e-4


def test_hartmann_minimum() -> None:
    value, gradient = oracle("hartmann6").values_and_gradients([[0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]])
    assert value.item() == pytest.approx(-3.32236801, abs=1e-7)
    assert gradient.abs().max() < 1e-3


@pytest.mark.parametrize(("name", "mean", "variance"), [("ishigami", 3.5, 13.844588), ("friedman1", 14.4133, None)])
def test_moments(name: str, mean: float, variance: float | None) -> None:
    values = oracle(name).values(sobol(name, 2**16)).numpy()
    assert values.mean() == pytest.approx(mean, abs=2e-3)
    if variance is not None:
        assert values.var() == pytest.approx(variance, abs=0.02)


def test_borehole_is_the_published_formula() -> None:
    x = sobol("borehole", 64).numpy()
    rw, r, tu, hu, tl, hl, length, kw = x.T
    log = np.log(r / rw)
    published = 2 * np.pi * tu * (hu - hl) / (log * (1 + 2 * length * tu / (log * rw**2 * kw) + tu / tl))
    assert oracle("borehole").values(x).numpy() == pytest.approx(published, rel=1e-13)
