"""Accuracy of the vector functions, in units in the last place against 40 digits, for every instruction set."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
import torch
from ascent_cases import INSTRUCTION_SETS

from pybackdoor import _native
from pybackdoor.ops.activation import value_and_derivative
from pybackdoor.records import ACTIVATIONS

EXACT: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "exp": mp.exp,
    "tanh": mp.tanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "erf": mp.erf,
    "log1p": mp.log1p,
}
LIMITS = {"exp": 1.5, "tanh": 4, "sigmoid": 3, "erf": 2, "log1p": 2}  # units in the last place
TYPES = [np.float32, np.float64]


def arguments(name: str, dtype: type) -> np.ndarray:
    """The whole range: moderate, to overflow and underflow, down to subnormals, and for log1p up to its pole and far out."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    edge = 110 if dtype is np.float32 else 760
    tiny = np.exp(rng.uniform(np.log(float(info.smallest_subnormal) * 4), 0, 150)) * rng.choice([-1, 1], 150)
    x = np.concatenate([rng.uniform(-1, 1, 200), rng.uniform(-6, 6, 300), rng.uniform(-edge, edge, 300), tiny]).astype(dtype)
    if name != "log1p":
        return x
    far, near_pole = np.exp(rng.uniform(0, 80, 150)).astype(dtype), (-1 + np.exp(rng.uniform(-15, 0, 100))).astype(dtype)
    return np.concatenate([x, far, near_pole])[np.concatenate([x, far, near_pole]) > -1]


def worst_error(computed: np.ndarray, x: np.ndarray, exact: Callable[[mp.mpf], mp.mpf]) -> float:
    info = np.finfo(computed.dtype)
    lowest = int(np.log2(info.smallest_normal))
    worst = 0.0
    with mp.workdps(40):
        for value, argument in zip(computed, x, strict=True):
            truth = exact(mp.mpf(float(argument)))
            if abs(truth) > mp.mpf(float(info.max)) * (1 + mp.mpf(2) ** (-info.nmant - 2)):
                assert np.isinf(value)
                continue
            exponent = max(int(mp.floor(mp.log(abs(truth), 2))) if truth else lowest, lowest)
            worst = max(worst, float(abs(mp.mpf(float(value)) - truth) / mp.ldexp(1, exponent - info.nmant)))
    return worst


@pytest.mark.parametrize("dtype", TYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_accuracy_over_the_whole_range(instruction_set: str, name: str, dtype: type) -> None:
    x = arguments(name, dtype)
    assert worst_error(_native.vector_math(name, x, instruction_set), x, EXACT[name]) < LIMITS[name]


@pytest.mark.parametrize("dtype", TYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_special_arguments(instruction_set: str, dtype: type) -> None:
    x = np.array([0.0, np.inf, -np.inf, np.nan], dtype)
    expected = {"exp": [1, np.inf, 0], "tanh": [0, 1, -1], "sigmoid": [0.5, 1, 0], "erf": [0, 1, -1], "log1p": [0, np.inf, np.nan]}
    for name, limits in expected.items():
        np.testing.assert_array_equal(_native.vector_math(name, x, instruction_set), np.array([*limits, np.nan], dtype), err_msg=name)
    np.testing.assert_array_equal(_native.vector_math("log1p", np.array([-1, -2], dtype), instruction_set), np.array([-np.inf, np.nan], dtype))


@pytest.mark.parametrize("count", [0, 1, 7, 16, 17, 33])
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_odd_lengths(instruction_set: str, count: int) -> None:
    x = np.linspace(-3, 3, count).astype(np.float32)
    np.testing.assert_array_equal(
        _native.vector_math("tanh", x, instruction_set),
        np.array([_native.vector_math("tanh", x[i : i + 1], instruction_set)[0] for i in range(count)], np.float32),
    )


@pytest.mark.parametrize("dtype", TYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_activations_and_derivatives(instruction_set: str, name: str, dtype: type) -> None:
    z = np.concatenate([np.linspace(-12, 12, 1201), np.linspace(-90, 90, 181), [0.0, 1e-30, -1e-30]]).astype(dtype)
    value, derivative = _native.activation(ACTIVATIONS.index(name), z, instruction_set)
    exact_value, exact_derivative = (part.numpy() for part in value_and_derivative(name, torch.from_numpy(z.astype(np.float64))))
    unit, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_normal)
    tail = np.abs(z) ** (3 if name == "gelu_tanh" else 2) if name.startswith("gelu") else 0  # rounding inside the exponent, also the reference's own
    bound = unit * (20 + tail)
    assert np.all(np.abs(value - exact_value) <= bound * np.abs(exact_value) + tiny)
    near = np.where(np.abs(z) < 4, 1, np.abs(exact_derivative))  # derivatives cross zero there; beyond, they keep their relative accuracy
    assert np.all(np.abs(derivative - exact_derivative) <= bound * near + tiny)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_activations_at_the_ends(instruction_set: str, name: str) -> None:
    z = np.array([np.nan, np.inf, -np.inf], np.float32)
    value, derivative = _native.activation(ACTIVATIONS.index(name), z, instruction_set)
    exact_value, _ = (part.numpy() for part in value_and_derivative(name, torch.from_numpy(z.astype(np.float64))))
    np.testing.assert_array_equal(value, exact_value.astype(np.float32))
    assert np.isnan(derivative[0]) or name in ("relu", "leaky_relu")
    assert derivative[2] == np.float32(0.01 if name == "leaky_relu" else 0)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown function 'cosh'"):
        _native.vector_math("cosh", np.zeros(1), "")
    with pytest.raises(ValueError, match="unknown instruction set 'sse9'"):
        _native.vector_math("exp", np.zeros(1), "sse9")
