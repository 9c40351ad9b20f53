"""The random numbers of the Monte Carlo oracles: Philox against its definition, Sobol against SciPy's, scrambles, normal numbers, the bridge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import blocks, purpose_word
from pybackdoor.oracles.bridge import bridge, bridge_plan
from pybackdoor.oracles.draws import COPIES, Draws
from pybackdoor.oracles.normals import philox_normals
from pybackdoor.oracles.sobol import BITS, DIGITS, DIMENSIONS, direction_numbers, scrambled


def filled(draws: Draws, copy: int) -> np.ndarray:
    rows = np.full((draws.dimensions, draws.size), np.nan)
    draws.fill(copy, rows)
    return rows


@pytest.mark.parametrize(("first", "count"), [(0, 2), (6, 254), (1024, 256), (0, 1026)])
def test_philox_normals_are_inverted_philox_words(first: int, count: int) -> None:
    rows = np.full((3, count), np.nan)
    philox_normals(np.uint64(2**40 + 7), np.uint64(purpose_word("here")), 5, first, rows)
    for dimension in range(3):
        index = np.arange(first // 2, (first + count) // 2, dtype=np.uint64)
        words = blocks(index, seed=2**40 + 7, purpose="here", stream=5 + dimension)
        bits = np.concatenate([(words[:, :1] << np.uint64(32)) | words[:, 1:2], (words[:, 2:3] << np.uint64(32)) | words[:, 3:4]], axis=1)
        u = ((bits >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52
        expected = np.where(u < 0.5, stats.norm.ppf(u), -stats.norm.ppf(1 - u))
        got = np.concatenate([_in_pairs(rows[dimension, start : start + 256]) for start in range(0, count, 256)])
        assert got == pytest.approx(expected, rel=1e-13, abs=1e-15)


def _in_pairs(tile: np.ndarray) -> np.ndarray:
    """A tile holds the first halves of its blocks, then the second ones."""
    return tile.reshape(2, -1).T


def test_normal_numbers_in_the_farthest_tail() -> None:
    """The smallest number of 52 bits: no point of the unit interval is inverted to infinity."""
    rows = np.empty((1, 2**17))
    philox_normals(np.uint64(1), np.uint64(1), 0, 0, rows)
    assert 4.0 < np.abs(rows).max() < 6.0
    draws = Draws(COPIES * 2**16, 1, 3, "tail")
    rows = filled(draws, 0)
    assert np.isfinite(rows).all()
    assert np.abs(rows).max() > stats.norm.isf(2.0**-16)


def test_points_are_those_of_scipy() -> None:
    directions = direction_numbers(DIMENSIONS)
    index = np.arange(1024)
    points = np.zeros((1024, DIMENSIONS), dtype=np.uint64)
    for bit in range(10):
        points ^= ((index >> bit) & 1).astype(np.uint64)[:, None] * directions[None, :, bit]
    gray = index ^ (index >> 1)
    assert (points[gray] / 2.0**BITS == qmc.Sobol(DIMENSIONS, scramble=False).random(1024)).all()


@pytest.mark.parametrize("size", [64, 512])
def test_scrambled_points_stay_a_net(size: int) -> None:
    """Every interval of length 1 / size holds one point, in each coordinate; in the plane of the first two every elementary box does."""
    for copy in (0, 31):
        uniform = stats.norm.cdf(filled(Draws(COPIES * size, 40, 9, "net"), copy))
        for row in uniform:
            assert (np.sort(np.floor(row * size)) == np.arange(size)).all()
        for power in range(size.bit_length()):
            wide, high = 2**power, size // 2**power
            assert len(set(zip(np.floor(uniform[0] * wide), np.floor(uniform[1] * high), strict=True))) == size


def test_scrambles_are_uniform_and_independent() -> None:
    """The first point of each of 2,000 copies, and the digits beyond those of the sequence."""
    columns, shifts = scrambled(direction_numbers(3), 64, copies=2000, seed=4, purpose=11)
    first = shifts / 2.0**DIGITS
    assert all(stats.kstest(first[:, dimension], "uniform").pvalue > 1e-3 for dimension in range(3))
    assert np.abs(np.corrcoef(first.T) - np.eye(3)).max() < 0.08
    low = (columns[:, 1, 5] & np.uint64(0xFFFF)) / 2.0**16
    assert stats.kstest(low, "uniform").pvalue > 1e-3


def test_error_of_scrambled_points_falls_faster_than_by_chance() -> None:
    """Of the mean of a smooth function in five dimensions, whose exact value is known, over 32 copies."""

    def error(size: int) -> float:
        draws = Draws(COPIES * size, 5, 2, "order")
        means = [np.exp(0.2 * filled(draws, copy).sum(axis=0)).mean() for copy in range(COPIES)]
        assert np.mean(means) == pytest.approx(np.exp(0.1), abs=5 * np.std(means) / np.sqrt(COPIES))
        return float(np.std(means))

    assert np.log2(error(64) / error(4096)) / 6 > 0.8


def test_philox_draws_are_antithetic_and_copies_differ() -> None:
    draws = Draws(COPIES * 128, 2, 7, "pairs", "philox")
    rows, others = filled(draws, 3), filled(draws, 4)
    assert (rows[:, :64] == -rows[:, 64:]).all()
    assert len(np.intersect1d(rows, others)) == 0
    assert stats.kstest(np.concatenate([filled(draws, copy)[0, :64] for copy in range(COPIES)]), "norm").pvalue > 1e-3


def test_dimensions_beyond_the_table_are_filled_up_at_random() -> None:
    rows = filled(Draws(COPIES * 256, DIMENSIONS + 6, 7, "wide"), 1)
    assert np.isfinite(rows).all()
    assert stats.kstest(rows[DIMENSIONS:].ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(rows)[DIMENSIONS:, :DIMENSIONS]).max() < 0.3


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 12, 64, 97])
def test_bridge_has_the_covariance_of_brownian_motion(steps: int) -> None:
    walk = np.full((steps, steps), np.nan)
    bridge(bridge_plan(steps), np.eye(steps), walk)
    times = np.arange(1, steps + 1) / steps
    assert np.abs(walk @ walk.T - np.minimum.outer(times, times)).max() < 1e-14
    assert walk[-1].tolist() == [1.0] + [0.0] * (steps - 1)  # the first number is the end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": 1000}, "1000 paths; a power of two of at least 2048"),
        ({"paths": 1024}, "a power of two"),
        ({"paths": 3 * 2048}, "a power of two"),
        ({"seed": -1}, "seed -1; a whole number"),
        ({"seed": 2**64}, "a whole number"),
        ({"method": "halton"}, "'halton'; one of sobol, philox"),
    ],
)
def test_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"paths": 2048, "dimensions": 1, "seed": 0, "purpose": "x"}
    with pytest.raises(InputError, match=message):
        Draws(**{**arguments, **change})  # type: ignore[arg-type]
