"""Darcy flow: the torsion constant, one-dimensional quadrature, symmetries, a finer direct solution, orders, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles.darcy import DOMAIN, LEVELS, OUTPUTS, DarcyFlow
from pybackdoor.oracles.multigrid import memory, solve, starts

# with K = 1, p = sum over odd j of 4 / (j pi)^3 (1 - cosh(j pi (x - 1/2)) / cosh(j pi / 2)) sin(j pi y)
ODD = np.arange(1, 4001, 2)
CENTRE = float((4 / (np.pi * ODD) ** 3 * (1 - 1 / np.cosh(np.minimum(np.pi * ODD / 2, 700))) * np.sin(np.pi * ODD / 2)).sum())
MEAN = float((8 / (np.pi * ODD) ** 4 * (1 - np.tanh(np.pi * ODD / 2) / (np.pi * ODD / 2))).sum())


@pytest.mark.parametrize(("level", "error"), [("fast", 3e-5), ("standard", 3e-6), ("high", 2e-8)])
def test_even_permeability_is_a_series(level: str, error: float) -> None:
    assert abs(MEAN - 0.1405770150 / 4) < 1e-10
    nothing = [[0.0] * 9]
    assert DarcyFlow(level).values(nothing).item() == pytest.approx(MEAN, abs=error)
    assert DarcyFlow(level, output="centre").values(nothing).item() == pytest.approx(CENTRE, abs=2 * error)


@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_are_those_of_the_discrete_values(output: str) -> None:
    made = DarcyFlow("fast", output=output)
    points = design(DOMAIN, 24, seed=3)
    gradients = made.values_and_gradients(points)[1]
    for feature in range(9):
        ends = []
        for step in (1e-4, -1e-4):
            moved = points.clone()
            moved[:, feature] += step
            ends.append(made.values(moved, strict=False))
        assert (gradients[:, feature] - (ends[0] - ends[1]) / 2e-4).abs().max() < 1e-8


@pytest.mark.parametrize("output", OUTPUTS)
def test_identities(output: str) -> None:
    """K to c K: p to p / c. The square turned over or mirrored is another point of the domain."""
    made = DarcyFlow("fast", output=output)
    points = design(DOMAIN, 16, seed=5)
    values, gradients = made.values_and_gradients(points)
    assert (gradients[:, 0] + values).abs().max() < 1e-10
    turned = points.reshape(-1, 3, 3).transpose(1, 2).reshape(-1, 9)
    mirrored = (points.reshape(-1, 3, 3) * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[:, None]).reshape(-1, 9)
    for other in (turned, mirrored):
        again, slopes = made.values_and_gradients(other, strict=False)
        assert (again - values).abs().max() < 1e-10
        assert slopes.norm(dim=1).tolist() == pytest.approx(gradients.norm(dim=1).tolist(), rel=1e-8)


def finest(points: torch.Tensor) -> torch.Tensor:
    """The mean on 256 and 128 cells, combined; K written out as the definition has it."""
    means = []
    for cells in (256, 128):
        grids = memory(cells)
        for n, first in starts(cells):
            whole, half, size = np.arange(n + 1) / n, (np.arange(n + 1) + 0.5) / n, (n + 1) ** 2
            for array, x, y in ((grids.across, half, whole), (grids.along, whole, half)):
                logs = sum(
                    points[:, 3 * i + j].numpy() * np.cos(i * np.pi * x)[:, None, None] * np.cos(j * np.pi * y)[:, None]
                    for i in range(3)
                    for j in range(3)
                )
                array[first : first + size] = np.exp(logs).reshape(size, 4)
        grids.b[: (cells + 1) ** 2].reshape(cells + 1, cells + 1, 4)[1:-1, 1:-1] = 1 / cells**2
        solve(grids, cells, 18)
        means.append(grids.p[: (cells + 1) ** 2].sum(axis=0) / cells**2)
    return torch.from_numpy(means[0] + (means[0] - means[1]) / 3)


def test_levels_hold_their_errors() -> None:
    inside, corners = design(DOMAIN, 4, seed=6), DOMAIN.to_natural(DOMAIN.to_unit(design(DOMAIN, 4, seed=7)).round())
    for points in (inside, corners):
        exact = finest(points)
        errors = [float(((DarcyFlow(level).values(points) - exact) / exact).abs().max()) for level in LEVELS]
        assert errors[0] < 1e-2
        assert errors[1] < 1e-3
        assert errors[2] < 1e-5
        assert np.log2(errors[1] / errors[2]) / 2 > 2.5  # 32 to 128 cells, two grids combined


def test_bits_depend_neither_on_threads_nor_on_the_batch() -> None:
    points = design(DOMAIN, 131, method="uniform", seed=1)
    made = DarcyFlow("fast", output="centre")
    with settings.use_threads(1):
        whole = made.evaluate(points, gradient=True)
    with settings.use_threads(2):
        again = made.evaluate(points.flip(0), gradient=True)
    assert torch.equal(again.gradients.flip(0), whole.gradients)
    assert torch.equal(made.evaluate(points[70:71], gradient=True).gradients, whole.gradients[70:71])


def test_what_cannot_be_solved_is_told() -> None:
    rows = torch.zeros(2, 9, dtype=torch.float64)
    rows[1, 8] = 30.0  # K from e^-30 to e^30 and back within half the square
    answer = DarcyFlow().evaluate(rows, gradient=True, strict=False)
    assert answer.status.tolist() == [0, 4]
    assert bool(answer.values[1].isnan())
    with pytest.raises(InputError, match="output is 'sum'; one of mean, centre"):
        DarcyFlow(output="sum")
    with pytest.raises(InputError, match="level is 'exact'"):
        DarcyFlow("exact")
    below = DarcyFlow("high", output="centre").coarser()
    assert (below.level, below.output) == ("standard", "centre")
