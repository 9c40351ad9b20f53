"""A pulse in a flow: the closed form over the domain and in its corners, the truth against the equation, orders, identities, exact derivatives."""

from __future__ import annotations

import mpmath
import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.pulse import DOMAIN, Pulse
from pybackdoor.oracles.reference_transport import gradient, pulse


def in_the_pulse(count: int) -> torch.Tensor:
    """Half of the features at a bound; positions within some widths of the pulse, inside the domain or not."""
    generator = torch.Generator().manual_seed(1)
    unit, chance = (torch.rand(count, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    x = DOMAIN.to_natural(torch.where(chance < 0.5, unit.round(), unit))
    velocity, strain, diffusivity, _, centre, width, _, time = x.unbind(dim=1)
    growth = torch.exp(strain * time)
    wide = growth * (width**2 + diffusivity * (1 - growth**-2) / strain).sqrt()
    x[:, 6] = centre * growth + velocity * (growth - 1) / strain + wide * torch.randn(count, dtype=torch.float64, generator=generator)
    return x


def truth(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([pulse(*map(complex, row)).real for row in x.tolist()], dtype=torch.float64)


def slopes(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([gradient(pulse, row) for row in x.tolist()], dtype=torch.float64)


def test_the_truth_solves_the_equation() -> None:
    """In 30 digits: the closed form's derivatives in position and time."""

    def u(position: mpmath.mpf, time: mpmath.mpf) -> mpmath.mpf:
        growth = mpmath.exp(strain * time)
        q = diffusivity * (growth**2 - 1) / (strain * growth**2 * width**2)
        z = (position - centre * growth - velocity * (growth - 1) / strain) / (growth * width)
        return mpmath.exp(-reaction * time - z**2 / (2 * (1 + q))) / mpmath.sqrt(1 + q)

    with mpmath.workdps(30):
        velocity, strain, diffusivity, reaction, centre, width = (mpmath.mpf(v) for v in ("0.3", "-0.7", "0.02", "0.4", "0.5", "0.1"))
        at = (mpmath.mpf("0.55"), mpmath.mpf("0.8"))
        in_time, once, twice = (mpmath.diff(u, at, order) for order in ((0, 1), (1, 0), (2, 0)))
        assert abs(in_time + (velocity + strain * at[0]) * once - diffusivity * twice + reaction * u(*at)) < mpmath.mpf("1e-12")
        assert u(mpmath.mpf("0.57"), mpmath.mpf(0)) == pytest.approx(mpmath.exp(mpmath.mpf("-0.245")), abs=1e-25)
        assert pulse(*map(complex, (0.3, -0.7, 0.02, 0.4, 0.5, 0.1, 0.55, 0.8))).real == pytest.approx(float(u(*at)), abs=1e-15)


@pytest.mark.parametrize(("level", "scale"), [("fast", 20.0), ("standard", 1.0), ("high", 0.1)])
def test_accuracy_over_the_domain_and_in_its_corners(level: str, scale: float) -> None:
    for x in (design(DOMAIN, 512, seed=5), in_the_pulse(512)):
        answer = Pulse(level).evaluate(x, True, strict=False)
        assert answer.gradients is not None
        error, gap = (answer.values - truth(x)).abs(), DOMAIN.gradient_to_unit(x, answer.gradients - slopes(x)).abs()
        assert float(error.median()) < 5e-7 * scale
        assert float(error.max()) < 1.5e-4 * scale
        assert float(gap.amax(dim=1).median()) < 2e-5 * scale
        assert float(gap.max()) < 1e-2 * scale


def test_orders() -> None:
    """Two without extrapolation, four with it."""
    x = in_the_pulse(128)
    exact = truth(x)
    for extrapolate, order in ((False, 2.0), (True, 4.0)):
        coarse, fine = ((Pulse(space=cells, time=cells // 4, extrapolate=extrapolate).values(x, strict=False) - exact).abs() for cells in (64, 128))
        seen = coarse > 1e-6
        assert int(seen.sum()) > 60
        assert float(torch.log2(coarse / fine)[seen].median()) == pytest.approx(order, abs=0.3)


def test_gradients_are_those_of_the_discrete_solution() -> None:
    x = torch.cat([design(DOMAIN, 48, seed=7), in_the_pulse(48)])
    made = Pulse(space=32, time=8)
    gradients = made.evaluate(x, True, strict=False).gradients
    assert gradients is not None
    for feature in range(8):
        gaps = []
        for size in (1e-4, 1e-5, 1e-6):
            step = torch.zeros_like(x)
            step[:, feature] = size * (x[:, feature].abs() + 1e-3)
            up, down = (made.values(x + sign * step, strict=False) for sign in (1, -1))
            gaps.append(((up - down) / (2 * step[:, feature]) - gradients[:, feature]).abs())
        assert float((torch.stack(gaps).amin(dim=0) / (1 + gradients[:, feature].abs())).max()) < 1e-6


def test_identities_hold_on_every_grid() -> None:
    """Units of length and time, and the reaction's factor, to rounding."""
    x = in_the_pulse(128)
    answer = Pulse(space=16, time=8).evaluate(x, True, strict=False)
    assert answer.gradients is not None
    velocity, strain, diffusivity, reaction, centre, width, position, time = (x * answer.gradients).unbind(dim=1)
    size = (x * answer.gradients).abs().amax(dim=1).clamp(min=1e-3)
    assert float(((velocity + 2 * diffusivity + centre + width + position) / size).abs().max()) < 1e-10
    assert float(((velocity + strain + diffusivity + reaction - time) / size).abs().max()) < 1e-10
    assert torch.allclose(answer.gradients[:, 3], -x[:, 7] * answer.values, rtol=0, atol=1e-14)


def test_limits() -> None:
    """No flow, no diffusion, no time; a strain of 0; far away; growth instead of decay."""
    rows = torch.tensor(
        [
            [0.0, 0.0, 0.005, 0.0, 0.5, 0.1, 0.5, 1.0],
            [0.4, 0.0, 0.0, 0.0, 0.5, 0.1, 0.7, 0.5],
            [0.4, 0.5, 0.01, 0.3, 0.5, 0.1, 0.6, 0.0],
            [0.4, 0.5, 0.01, 0.3, 0.5, 0.1, 9.0, 0.5],
            [0.4, 0.0, 0.005, -1.0, 0.5, 0.1, 0.9, 1.0],
        ],
        dtype=torch.float64,
    )
    answer = Pulse("high").evaluate(rows, True, strict=False)
    assert bool(answer.ok.all())
    exact = [0.5**0.5, 1.0, torch.e**-0.5, 0.0, torch.e * 0.5**0.5]
    assert answer.values.tolist() == pytest.approx(exact, abs=1e-7)
    assert answer.gradients is not None
    assert answer.gradients[3].abs().max() == 0
    assert answer.gradients[2, 5].item() == pytest.approx(10 * torch.e**-0.5, abs=1e-5)  # z^2 / width e^(-z^2 / 2) at z = 1


def test_what_has_no_answer_is_refused() -> None:
    row = [0.0, 0.0, 0.01, 0.0, 0.5, 0.1, 0.5, 0.5]
    for column, name in ((2, "diffusivity"), (5, "width"), (7, "time")):
        bad = row.copy()
        bad[column] = -0.1
        with pytest.raises(InputError, match=f"row 0 has {name}"):
            Pulse().values([bad])
    with pytest.raises(InputError, match="needed"):
        Pulse("best")
