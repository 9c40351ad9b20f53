"""The eight single barriers by finite differences: the closed form over the domain and in its corners, orders, identities, exact derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.barrier_frame import RESTING, motion
from pybackdoor.oracles.single_barriers import KINDS, SingleBarrier
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

HAUG = {"down_out_call": (95.0, 9.0246), "up_out_put": (105.0, 3.7760), "up_in_call": (105.0, 14.1112), "down_in_put": (95.0, 2.9586)}


def alive(kind: str, x: torch.Tensor) -> torch.Tensor:
    return x[x[:, 0] > x[:, 2]] if kind.startswith("down") else x[x[:, 0] < x[:, 2]]


def drift(kind: str, x: torch.Tensor) -> torch.Tensor:
    """Over the deviation, away from the barrier."""
    carry, variance = (x[:, 6] - x[:, 7]) * x[:, 5], x[:, 4] ** 2 * x[:, 5]
    return ((carry if kind.startswith("down") else -carry) + 0.5 * variance) / variance.sqrt()


def inside(kind: str, count: int) -> torch.Tensor:
    return alive(kind, design(SingleBarrier(kind).domain, count, seed=5))


def corners(kind: str, count: int) -> torch.Tensor:
    """Features at the ends of their ranges; barriers a hair from the spot or near the forward; strikes near the forward."""
    domain, generator = SingleBarrier(kind).domain, torch.Generator().manual_seed(KINDS.index(kind))
    unit, chance = (torch.rand(count, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    x = domain.to_natural(torch.where(chance < 0.4, unit.round(), unit))
    spread, size = torch.randn(2, count, dtype=torch.float64, generator=generator), torch.rand(count, dtype=torch.float64, generator=generator)
    x[::2, 2] = (x[:, 0] * (1 + 10 ** (-4 * size) * spread[0]))[::2]
    forward = x[:, 0] * torch.exp((x[:, 6] - x[:, 7]) * x[:, 5] + 1.5 * x[:, 4] * x[:, 5].sqrt() * spread[1])
    x[1::4, 1], x[2::4, 2] = forward[1::4], forward[2::4]
    return alive(kind, torch.minimum(torch.maximum(x, torch.tensor(domain.lower)), torch.tensor(domain.upper)))


def errors(kind: str, x: torch.Tensor, **grid: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Absolute errors of values; errors of gradients over 1 + their size."""
    values, gradients = SingleBarrierPDE(kind, **grid).values_and_gradients(x)  # type: ignore[arg-type]
    truth, slopes = SingleBarrier(kind).values_and_gradients(x)
    return (values - truth).abs(), (gradients - slopes).abs() / (1 + slopes.abs())


@pytest.mark.parametrize("kind", HAUG)
def test_table_of_haug(kind: str) -> None:
    barrier, price = HAUG[kind]
    assert SingleBarrierPDE(kind).values([[100.0, 90.0, barrier, 3.0, 0.25, 0.5, 0.08, 0.04]]).item() == pytest.approx(price, abs=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_over_the_domain(kind: str) -> None:
    """The bars: a median of 1.2e-3, a largest of 1.7e-2."""
    value, gradient = errors(kind, inside(kind, 2048))
    assert float(value.median()) < 1.2e-5
    assert float(value.max()) < 5e-3
    assert float(gradient.median(dim=0).values.max()) < 2e-4
    assert float(gradient.quantile(0.99, dim=0).max()) < 2e-2
    assert float(gradient.max()) < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_in_the_corners(kind: str) -> None:
    """Drifts of 27 deviations towards the barrier or away from it, with jumps of 150 at the barrier, included."""
    x = corners(kind, 700)
    ratio = drift(kind, x)
    assert float(ratio.max()) > 10
    assert float(ratio.min()) < -10
    value, gradient = errors(kind, x)
    assert float(value.median()) < 1e-5
    assert float(value.quantile(0.98)) < 1e-2
    assert float(value.max()) < 6e-2
    assert float(gradient.quantile(0.98)) < 2e-2
    fine, _ = errors(kind, x, level="high")
    assert float(fine.max()) < 5e-3


@pytest.mark.parametrize("kind", ["down_in_call", "up_out_put"])
def test_orders(kind: str) -> None:
    """Two without extrapolation, in space, four with it."""
    x = inside(kind, 256)
    plain = [errors(kind, x, space=space, time=200, extrapolate=False)[0] for space in (48, 96)]
    seen = plain[0] > 1e-4
    assert int(seen.sum()) > 60
    assert float(torch.log2(plain[0] / plain[1])[seen].median()) == pytest.approx(2, abs=0.15)
    combined = [errors(kind, x, space=space, time=space // 2)[0] for space in (48, 96)]
    seen = combined[0] > 1e-5
    assert int(seen.sum()) > 40
    assert float(torch.log2(combined[0] / combined[1])[seen].median()) > 3.4


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_discrete_price(kind: str) -> None:
    """To the accuracy of central differences, on resting meshes and on moving ones."""
    x = torch.cat([inside(kind, 48), corners(kind, 160)])
    x = x[((x[:, 0] / x[:, 2]).log().abs() > 1e-3) & (x[:, 4] ** 2 * x[:, 5] > 1e-5)]
    ways = motion(x[:, 4] ** 2 * x[:, 5], (x[:, 6] - x[:, 7]) * x[:, 5] * (1 if kind.startswith("down") else -1))
    x[:, 3] += 0.1
    assert len(ways.unique()) == 3
    assert int((ways == RESTING).sum()) > 30
    made = SingleBarrierPDE(kind, space=48, time=16)
    gradients = made.values_and_gradients(x, strict=False)[1]
    for feature in range(8):
        gaps = []
        for size in (1e-5, 1e-6, 1e-7):
            step = torch.zeros_like(x)
            step[:, feature] = size * (x[:, feature].abs() + 0.01)
            up, down = (made.values(x + sign * step, strict=False) for sign in (1, -1))
            gaps.append(((up - down) / (2 * step[:, feature]) - gradients[:, feature]).abs())
        gap = torch.stack(gaps).amin(dim=0) / (1 + gradients[:, feature].abs())
        assert float(gap.quantile(0.95)) < 2e-6
        assert float(gap.max()) < 1e-3  # on a kink of the mesh, where two of its numbers are equal


@pytest.mark.parametrize(("kind", "feature"), [("down_out_call", 1), ("down_out_call", 2), ("up_in_put", 1), ("up_out_call", 2)])
def test_no_saw_tooth_along_a_line(kind: str, feature: int) -> None:
    """Second differences of the error are far below its size: nodes do not jump as strike and barrier move through the mesh."""
    low, high = {1: (60.0, 180.0), 2: (60.0, 99.0) if kind.startswith("down") else (101.0, 180.0)}[feature]
    line = np.repeat([[100.0, 105.0, 80.0 if kind.startswith("down") else 130.0, 4.0, 0.25, 1.0, 0.04, 0.01]], 200, axis=0)
    line[:, feature] = np.linspace(low, high, 200)
    error = (SingleBarrierPDE(kind, space=48, time=48, extrapolate=False).values(line) - SingleBarrier(kind).values(line)).numpy()
    assert np.abs(error).max() > 1e-4
    assert np.abs(np.diff(error, 2)).max() < 0.06 * np.abs(error).max()


def test_in_and_out_make_the_european_and_a_bond() -> None:
    """With no rebate to a cent's millionth, whatever the grid: the same discrete knock-out stands in both."""
    x = inside("down_in_call", 64)
    x[:, 3] = 0.0
    grids = [SingleBarrierPDE(kind, space=16, time=8).values(x) for kind in ("down_in_call", "down_out_call")]
    exact = [SingleBarrier(kind).values(x) for kind in ("down_in_call", "down_out_call")]
    assert torch.allclose(sum(grids), sum(exact), rtol=0, atol=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_touched_or_expired_is_exact(kind: str) -> None:
    barrier = 90.0 if kind.startswith("down") else 110.0
    rows = [
        [barrier, 100, barrier, 3, 0.2, 1, 0.05, 0.02],
        [100, 98, barrier, 3, 0.2, 0, 0.05, 0.02],
        [200 if barrier > 100 else 50, 100, barrier, 3, 0.2, 1, 0, 0],
    ]
    ours, exact = (make(kind).evaluate(rows, True, strict=False) for make in (SingleBarrierPDE, SingleBarrier))
    assert torch.equal(ours.values, exact.values)
    assert ours.gradients is not None
    assert exact.gradients is not None
    assert torch.equal(ours.gradients, exact.gradients)


def test_a_rebate_without_real_exponents_has_a_price_here() -> None:
    """Where the closed form refuses: continued from the neighbourhood where it does not."""
    row = [[100.0, 100.0, 90.0, 5.0, 0.1, 1.0, -0.015, -0.015]]
    assert SingleBarrier("down_out_put").evaluate(row, strict=False).status.tolist() != [0]
    value = SingleBarrierPDE("down_out_put").values(row, strict=False).item()
    high = SingleBarrierPDE("down_out_put", "high").values(row, strict=False).item()
    assert value == pytest.approx(high, abs=1e-4)


def test_far_beyond_the_domain() -> None:
    x = torch.tensor(
        [[100.0, 90, 80, 5, 2.0, 10, 0.3, -0.1], [1e-3, 2e-3, 5e-4, 1e-4, 0.2, 1, 0.0, 0.5], [1e6, 1e6, 9e5, 1.0, 0.001, 20.0, 0.1, 0.0]],
        dtype=torch.float64,
    )
    ours, exact = SingleBarrierPDE("down_out_put").evaluate(x, True, strict=False), SingleBarrier("down_out_put").evaluate(x, True, strict=False)
    assert bool(ours.ok.all())
    assert ((ours.values - exact.values).abs() < 1e-4 * x[:, 0]).all()


@pytest.mark.parametrize("options", [{"kind": "down_out"}, {"kind": "up_in_put", "level": "best"}, {"kind": "up_in_put", "space": 50}])
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="needed"):
        SingleBarrierPDE(**options)  # type: ignore[arg-type]
