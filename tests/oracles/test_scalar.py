"""The scalar formulas against 30-digit arithmetic and published answers."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from pybackdoor.ops import philox
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles.scalar.down_and_out_put import log_ratio
from pybackdoor.oracles.scalar.normal import distribution, interval, inverse_distribution, log_distribution, lower_tail, mills_ratio
from pybackdoor.oracles.scalar.philox import philox4x32, uniform_pair


def relative(ours: float, truth: mpmath.mpf) -> float:
    return float(abs((mpmath.mpf(ours) - truth) / truth))


@pytest.fixture(autouse=True)
def digits() -> object:
    with mpmath.workdps(40):
        yield


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.3, 1.0, 2.0, 5.5, 12.0, 37.0, 1e3, 1e8])
def test_mills_ratio(x: float) -> None:
    z = mpmath.mpf(x)
    truth = mpmath.sqrt(mpmath.pi / 2) * mpmath.erfc(z / mpmath.sqrt(2)) * mpmath.exp(z**2 / 2) if x < 1e4 else 1 / z
    assert relative(mills_ratio(x), truth) < 1e-15


@pytest.mark.parametrize("x", [-37.5, -20.0, -3.0, -0.5, 0.0, 0.5, 3.0, 8.0])
def test_distribution(x: float) -> None:
    assert relative(distribution(x), mpmath.ncdf(x)) < 2e-16 * (4 + x * x)
    assert relative(log_distribution(x), mpmath.log(mpmath.ncdf(x))) < 1e-15


def test_log_distribution_where_the_distribution_underflows() -> None:
    assert log_distribution(-1000.0) == pytest.approx(float(mpmath.log(mpmath.ncdf(-1000))), rel=1e-15)


def test_weighted_tail_does_not_overflow() -> None:
    """exp(4990) N(-100): neither factor is a float64."""
    assert lower_tail(-100.0, 4990.0) == pytest.approx(float(mpmath.exp(4990) * mpmath.ncdf(-100)), rel=1e-12)


@pytest.mark.parametrize("low", [-30.0, -5.0, -0.01, 0.0, 1.0, 9.0, 30.0])
@pytest.mark.parametrize("width", [1e-12, 1e-5, 3e-3, 0.02, 0.099, 0.3, 5.0])
def test_interval(low: float, width: float) -> None:
    ends = (mpmath.mpf(low), mpmath.mpf(low) + mpmath.mpf(width)) if low < 0 else (-mpmath.mpf(low) - mpmath.mpf(width), -mpmath.mpf(low))
    truth = mpmath.ncdf(ends[1]) - mpmath.ncdf(ends[0])
    assert relative(interval(low, low + width, width, 0.0), truth) < 1e-13 * (1 + 0.1 * low * low)


@pytest.mark.parametrize("p", [1e-290, 1e-30, 1e-9, 0.02, 0.0749, 0.0751, 0.3, 0.5, 0.7, 0.97, 1 - 1e-12])
def test_inverse_distribution(p: float) -> None:
    x = inverse_distribution(p)
    step = (mpmath.mpf(p) - mpmath.ncdf(x)) / mpmath.npdf(x)  # one Newton step from the answer to the truth
    assert abs(float(step)) < 5e-16 * (1 + abs(x))


def test_log_ratio_of_close_numbers() -> None:
    assert relative(log_ratio(100.0, 99.9999999), mpmath.log(mpmath.mpf(100.0) / mpmath.mpf(99.9999999))) < 3e-16
    assert relative(log_ratio(100.0, 10.0), mpmath.log(10)) < 3e-16


# Known answers published with the generator (Random123, kat_vectors, philox4x32 with 10 rounds).
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0], [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_known_answers(counter: list[int], key: list[int], answer: list[int]) -> None:
    assert list(philox4x32(*map(np.uint64, counter), *map(np.uint64, key))) == answer


def test_philox_draws_what_the_op_draws() -> None:
    seed, purpose, stream = 2**40 + 12345, "a test", 7
    theirs = philox.uniforms(10, seed=seed, purpose=purpose, stream=stream).numpy()
    ours = [uniform_pair(np.uint64(block), np.uint64(stream), np.uint64(purpose_word(purpose)), np.uint64(seed)) for block in range(5)]
    assert np.array_equal(np.array(ours).ravel(), theirs)
