"""Vector functions against 30-digit arithmetic, at their edges, and as vector code."""

from __future__ import annotations

import math
import re

import mpmath
import numba
import numpy as np
import pytest

from pybackdoor.oracles.scalar import vmath

RANDOM = np.random.default_rng(7)
DENSE = RANDOM.random(600)


def _loop(formula):
    @numba.njit(error_model="numpy", fastmath={"contract"})
    def run(x, out):
        for i in range(x.shape[0]):
            out[i] = formula(x[i])

    return run


def _first(pair):
    return numba.njit(lambda x: pair(x)[0], forceinline=True)


def _second(pair):
    return numba.njit(lambda x: pair(x)[1], forceinline=True)


KERNELS = {
    "exp": _loop(vmath.exp),
    "log": _loop(vmath.log),
    "sine": _loop(_first(vmath.sine_cosine)),
    "cosine": _loop(_second(vmath.sine_cosine)),
    "distribution": _loop(_first(vmath.normal)),
    "density": _loop(_second(vmath.normal)),
    "inverse": _loop(vmath.inverse_normal),
    "angle": _loop(numba.njit(lambda x: vmath.angle(x, x * x - 0.3), forceinline=True)),
    "log_ratio": _loop(numba.njit(lambda x: vmath.log_ratio(x, 3.0), forceinline=True)),
}
TRUTH = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sine": mpmath.sin,
    "cosine": mpmath.cos,
    "distribution": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "density": lambda x: mpmath.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi),
    "angle": lambda x: mpmath.atan2(x, mpmath.mpf(float(x) * float(x) - 0.3)),
    "log_ratio": lambda x: mpmath.log(x / 3),
}


def evaluated(name: str, x: np.ndarray) -> np.ndarray:
    out = np.full_like(x, math.nan)
    KERNELS[name](x, out)
    return out


CASES = [
    ("exp", 1400 * DENSE - 700, 1.5),
    ("exp", 2e-3 * DENSE - 1e-3, 1.0),
    ("log", 10 ** (600 * DENSE - 300), 1.5),
    ("log", 0.6 + DENSE, 1.5),
    ("sine", 20 * DENSE - 10, 2),
    ("cosine", 20 * DENSE - 10, 2),
    ("sine", 2e5 * DENSE - 1e5, 4),
    ("distribution", 20 * DENSE - 12, 12),
    ("distribution", 1e-3 * DENSE, 3),
    ("distribution", -25 * DENSE - 12, 12),
    ("density", 36 * DENSE - 18, 6),
    ("angle", 6 * DENSE - 3, 3),
    ("log_ratio", 3.0 + 1e-9 * DENSE, 3),
    ("log_ratio", 9 * DENSE + 1e-2, 3),
]


@pytest.mark.parametrize(("name", "x", "ulp"), CASES, ids=[f"{name}-{index}" for index, (name, _, _) in enumerate(CASES)])
def test_within_a_few_units_in_the_last_place(name, x, ulp):
    got = evaluated(name, x)
    with mpmath.workdps(30):
        errors = [
            abs(mpmath.mpf(float(g)) - TRUTH[name](mpmath.mpf(float(v)))) / mpmath.mpf(float(np.spacing(abs(g)))) for v, g in zip(x, got, strict=True)
        ]
    assert float(max(errors)) <= ulp


@pytest.mark.parametrize("p", [DENSE, 10 ** (-300 * DENSE), np.array([0.075, 0.925, 0.5, 1e-16])], ids=["centre", "tail", "joints"])
def test_inverse_of_the_distribution(p):
    x = evaluated("inverse", p)
    with mpmath.workdps(40):
        for value, probability in zip(x, p, strict=True):
            exact = mpmath.mpf(float(value))
            defect = (mpmath.erfc(-exact / mpmath.sqrt(2)) / 2 - mpmath.mpf(float(probability))) / (mpmath.npdf(exact))  # the error in x
            assert abs(float(defect)) <= 4e-16 * max(abs(value), 0.5) * 2 + (2e-16 / float(mpmath.npdf(exact)) if value > 0 else 0.0)


def test_edges():
    assert evaluated("exp", np.array([-math.inf, -708.0, 0.0, 710.0, math.inf])).tolist() == [0.0, 0.0, 1.0, math.inf, math.inf]
    assert evaluated("log", np.array([0.0, 1.0, math.inf])).tolist() == [-math.inf, 0.0, math.inf]
    assert np.isnan(evaluated("log", np.array([-1.0, math.nan]))).all()
    assert np.isnan(evaluated("exp", np.array([math.nan]))).all()
    assert evaluated("inverse", np.array([0.0, 0.5, 1.0])).tolist() == [-math.inf, 0.0, math.inf]
    assert evaluated("distribution", np.array([-60.0, 60.0])).tolist() == [0.0, 1.0]
    assert evaluated("sine", np.array([0.0])).tolist() == [0.0]
    assert evaluated("angle", np.array([0.0])).tolist() == [math.pi]


@pytest.mark.parametrize("name", KERNELS)
def test_vectorized_across_problems(name):
    evaluated(name, DENSE[:8])
    code = next(iter(KERNELS[name].inspect_llvm().values()))
    body = code[code.index("define ") :]
    body = body[: body.index("\n}")]  # the kernel alone, not its Python wrapper
    assert re.search(r"fmul[a-z ]* <(2|4|8) x double>", body)
    assert not re.findall(r"call double @(?!llvm\.)", body)
