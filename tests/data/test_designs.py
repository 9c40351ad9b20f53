import math
import warnings

import pytest
import torch

from pybackdoor.data import DESIGNS, design
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError

DOMAIN = Domain(("a", "b", "c"), (-1, 1, 0), (1, 1000, 5), ("linear", "log", "linear"))


@pytest.mark.parametrize("method", DESIGNS)
@pytest.mark.parametrize("count", [0, 1, 37, 1000])
def test_points_fill_the_domain_without_a_warning(method, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = design(DOMAIN, count, method=method, seed=5)
    assert x.shape == (count, 3)
    assert x.dtype == torch.float64
    assert bool(DOMAIN.contains(x).all())
    if count == 1000:  # even in the unit cube, so even in log b: each decade holds a third
        unit = DOMAIN.to_unit(x)
        assert torch.allclose(unit.mean(0), torch.full((3,), 0.5, dtype=torch.float64), atol=4 / math.sqrt(12 * count))
        decades = torch.histc(torch.log10(x[:, 1]), 3, 0, 3) / count
        assert torch.allclose(decades, torch.full((3,), 1 / 3, dtype=torch.float64), atol=0.06)


@pytest.mark.parametrize("method", DESIGNS)
def test_the_seed_decides(method):
    first, again, other = (design(DOMAIN, 50, method=method, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_sobol_design_begins_with_every_shorter_one():
    assert torch.equal(design(DOMAIN, 1000, seed=3)[:129], design(DOMAIN, 129, seed=3))


def test_a_latin_hypercube_has_one_point_a_slice():
    unit = DOMAIN.to_unit(design(DOMAIN, 100, method="latin_hypercube"))
    assert bool(((unit * 100).floor().sort(dim=0).values == torch.arange(100.0, dtype=torch.float64)[:, None]).all())


def test_sobol_is_more_even_than_chance():
    def corner_error(method: str) -> float:
        unit = DOMAIN.to_unit(design(DOMAIN, 4096, method=method, seed=1))
        return abs(float((unit < 0.7).all(1).double().mean()) - 0.7**3)

    assert corner_error("sobol") < 0.25 * corner_error("uniform")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": -1}, "-1 points"),
        ({"count": 2.5}, "2.5 points"),
        ({"count": 5, "method": "grid"}, "unknown method 'grid'"),
        ({"count": 5, "seed": -1}, "seed -1"),
    ],
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(InputError, match=text):
        design(DOMAIN, **arguments)
