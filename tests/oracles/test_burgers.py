"""Burgers' equation: Cole and Hopf's integral over the domain and in the front, the truth against a series and a table, orders, identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ive

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.burgers import DOMAIN, Burgers
from pybackdoor.oracles.reference_transport import burgers, gradient


def fronts(count: int) -> torch.Tensor:
    """Half of the other features at a bound; positions up to a thousandth from the wall, where the front stands."""
    generator = torch.Generator().manual_seed(1)
    unit, chance = (torch.rand(count, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    unit = torch.where(chance < 0.5, unit.round(), unit)
    unit[:, 2] = 1.0 - 10.0 ** (-3.0 * torch.linspace(0.0, 1.0, count, dtype=torch.float64))
    return DOMAIN.to_natural(unit)


def truth(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([burgers(*map(complex, row)).real for row in x.tolist()], dtype=torch.float64)


def slopes(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([gradient(burgers, row) for row in x.tolist()], dtype=torch.float64)


def test_the_truth_is_coles_series() -> None:
    """J. D. Cole (1951): u = 4 pi nu sum n I_n(R) e^(-n^2 pi^2 nu t) sin(n pi x) / (I_0 + 2 sum I_n e^... cos), R = A / (2 pi nu)."""
    for viscosity, amplitude, position, time in [(0.1, 1.0, 0.3, 0.4), (1.0, 0.5, 0.9, 0.05), (0.05, 2.0, 0.6, 1.5), (0.02, 1.0, 0.2, 2.0)]:
        order = np.arange(1, 400)
        weight = ive(order, amplitude / (2 * math.pi * viscosity)) * np.exp(-((order * math.pi) ** 2) * viscosity * time)
        above = 4 * math.pi * viscosity * (order * weight * np.sin(order * math.pi * position)).sum()
        below = ive(0, amplitude / (2 * math.pi * viscosity)) + 2 * (weight * np.cos(order * math.pi * position)).sum()
        assert burgers(viscosity + 0j, amplitude + 0j, position + 0j, time + 0j).real == pytest.approx(above / below, abs=1e-11)


def test_published_values() -> None:
    """S. Kutluay, A. R. Bahadir, A. Ozdes (1999), exact solutions."""
    rows = [[0.1, 1.0, 0.25, 0.4], [0.1, 1.0, 0.5, 0.4], [0.1, 1.0, 0.75, 0.4], [1.0, 1.0, 0.5, 0.1]]
    assert Burgers().values(rows).tolist() == pytest.approx([0.30889, 0.56963, 0.62544, 0.37158], abs=6e-6)


@pytest.mark.parametrize(("level", "scale"), [("fast", 20.0), ("standard", 1.0), ("high", 0.14)])
def test_accuracy_over_the_domain_and_in_the_front(level: str, scale: float) -> None:
    for x, median, largest, steepest in ((design(DOMAIN, 192, seed=5), 1e-6, 1e-4, 2e-2), (fronts(192), 1e-6, 6e-4, 0.8)):
        values, gradients = Burgers(level).values_and_gradients(x)
        error, gap = (values - truth(x)).abs(), DOMAIN.gradient_to_unit(x, gradients - slopes(x)).abs()
        assert float(error.median()) < median * scale
        assert float(error.max()) < largest * scale
        assert float(gap.median(dim=0).values.max()) < 2e-5 * scale
        assert float(gap.max()) < steepest * scale


def test_orders() -> None:
    """Two without extrapolation, more than three with it."""
    x = design(DOMAIN, 128, seed=6)
    exact = truth(x)
    for extrapolate, floor, order in ((False, 1e-6, 2.0), (True, 1e-6, 3.4)):
        coarse, fine = ((Burgers(space=cells, time=cells // 2, extrapolate=extrapolate).values(x) - exact).abs() for cells in (64, 128))
        seen = coarse > floor
        assert int(seen.sum()) > 60
        measured = float(torch.log2(coarse / fine)[seen].median())
        assert measured > order if extrapolate else measured == pytest.approx(order, abs=0.1)


def test_gradients_are_those_of_the_discrete_solution() -> None:
    x = torch.cat([design(DOMAIN, 48, seed=7), fronts(48)])
    made = Burgers(space=32, time=16)
    gradients = made.values_and_gradients(x)[1]
    for feature in range(4):
        gaps = []
        for size in (1e-4, 1e-5, 1e-6):
            step = torch.zeros_like(x)
            step[:, feature] = size * (x[:, feature].abs() + (1e-3 if feature == 2 else 0.0))
            up, down = (made.values(x + sign * step, strict=False) for sign in (1, -1))
            gaps.append(((up - down) / (2 * step[:, feature]) - gradients[:, feature]).abs())
        assert float((torch.stack(gaps).amin(dim=0) / (1 + gradients[:, feature].abs())).max()) < 1e-6


def test_scaling_and_the_wave_beyond_the_walls() -> None:
    """To rounding, on every grid: u(c viscosity, c amplitude, x, time / c) = c u, odd, of period 2, and 0 at the walls."""
    x = design(DOMAIN, 64, seed=8)
    made = Burgers(space=16, time=8)
    values, gradients = made.values_and_gradients(x)
    viscosity, amplitude, _, time = (x * gradients).unbind(dim=1)
    size = torch.stack([viscosity, amplitude, time, values]).abs().amax(dim=0)
    assert float(((viscosity + amplitude - time - values) / size).abs().max()) < 1e-10
    for sign, shift in ((-1.0, 0.0), (1.0, 2.0), (-1.0, 6.0)):
        other = x.clone()
        other[:, 2] = sign * x[:, 2] + shift
        moved, turned = made.values_and_gradients(other, strict=False)
        assert torch.allclose(moved, sign * values, rtol=0, atol=1e-12)
        assert torch.allclose(turned * torch.tensor([sign, sign, 1.0, sign]), gradients, rtol=1e-9, atol=1e-9)
    x[:32, 2], x[32:, 2] = 0.0, 1.0
    assert float(Burgers().values(x).abs().max()) < 1e-14


def test_far_beyond_the_domain() -> None:
    rows = [
        [1e-4, 2.0, 0.9, 1.0],
        [1e-3, 5.0, 0.9, 2.0],
        [100.0, 1.0, 0.5, 0.1],
        [1.0, 1e-3, 0.3, 0.1],
        [0.01, 1.0, 0.5, 10.0],
        [0.1, 1.0, 0.3, 1e-6],
    ]
    x = torch.tensor(rows, dtype=torch.float64)
    assert float((Burgers().values(x, strict=False) - truth(x)).abs().max()) < 2e-4


def test_time_0_is_the_start() -> None:
    values, gradients = Burgers().values_and_gradients([[0.1, 2.0, 0.25, 0.0], [0.1, 2.0, -0.25, 0.0]], strict=False)
    half = math.sqrt(0.5)
    assert values.tolist() == pytest.approx([2 * half, -2 * half], abs=1e-14)
    in_time = -0.2 * math.pi**2 * half - 2 * math.pi
    assert gradients[0].tolist() == pytest.approx([0.0, half, 2 * math.pi * half, in_time], abs=1e-13)
    near = Burgers().values_and_gradients([[0.1, 2.0, 0.25, 1e-7]], strict=False)[1]
    assert near[0].tolist() == pytest.approx(gradients[0].tolist(), abs=1e-4)


def test_what_has_no_answer_is_refused() -> None:
    for row, name in (([0.0, 1.0, 0.5, 1.0], "viscosity"), ([0.1, 0.0, 0.5, 1.0], "amplitude"), ([0.1, 1.0, 0.5, -1.0], "time")):
        with pytest.raises(InputError, match=f"row 0 has {name}"):
            Burgers().values([row])
    with pytest.raises(InputError, match="needed"):
        Burgers("best")
