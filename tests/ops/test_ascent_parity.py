"""Values and input gradients of every backend and instruction set against the float64 reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from ascent_cases import INSTRUCTION_SETS, cube_points, random_network, smallest_preactivation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybackdoor.ops.ascent import forward, value_and_input_gradient, values
from pybackdoor.ops.ascent.reference import value_and_input_gradient as reference
from pybackdoor.records import ACTIVATIONS, Network
from pybackdoor.settings import use_instruction_set

COUNTS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130)
LIMITS = {"float32": (1e-5, 2e-5), "float64": (1e-12, 1e-12)}  # values by their root mean square, gradients by the row's norm
KINKED = ("relu", "leaky_relu")


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    with use_instruction_set(request.param):
        yield request.param


def check_parity(network: Network, points: torch.Tensor, precision: str) -> None:
    count, dimension = points.shape
    out = torch.full((count,), torch.nan, dtype=torch.float64), torch.full((count, dimension), torch.nan, dtype=torch.float64)
    computed, gradients = value_and_input_gradient(network, points, precision=precision, backend="cpu", threads=1, out=out)
    assert computed is out[0]
    assert gradients is out[1]
    exact, exact_gradients = reference(network, points)
    if not count:
        return
    value_limit, gradient_limit = LIMITS[precision]
    scale = exact.square().mean().sqrt()
    assert float((computed - exact).abs().max()) <= value_limit * float(scale)
    norms = exact_gradients.norm(dim=1)
    # Near a stationary point a gradient is the difference of large terms, whose rounding it carries: judged against a tenth of the usual norm.
    errors = (gradients - exact_gradients).norm(dim=1) / torch.maximum(norms, 0.1 * norms.square().mean().sqrt())
    judged = torch.ones(count, dtype=torch.bool)
    if network.activation in KINKED:
        judged = smallest_preactivation(network, points) > (2e-6 if precision == "float32" else 1e-14)
        assert int((~judged).sum()) <= max(2, 0.2 * count), "too many rows on a kink for the test to mean anything"
    assert bool((errors[judged] <= gradient_limit).all())


widths = st.lists(st.integers(4, 90), max_size=3)


@pytest.mark.parametrize("precision", LIMITS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=widths, dimension=st.integers(1, 24), activation=st.sampled_from(ACTIVATIONS), count=st.sampled_from(COUNTS), seed=st.integers(0, 10**6)
)
def test_random_shapes(instruction_set: str, precision: str, widths: list[int], dimension: int, activation: str, count: int, seed: int) -> None:
    check_parity(random_network(widths, dimension, activation, seed=seed), cube_points(count, dimension, seed), precision)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("precision", LIMITS)
def test_every_activation(instruction_set: str, precision: str, activation: str) -> None:
    check_parity(random_network((50, 64, 33), 7, activation, seed=3), cube_points(97, 7), precision)


@pytest.mark.parametrize(
    ("widths", "dimension"),
    [((1,), 1), ((8,), 128), ((1024,), 3), ((129, 1024, 257), 5), ((256, 300), 127), ((), 1), ((), 128), ((2,) * 12, 4)],
    ids=str,
)
@pytest.mark.parametrize("precision", LIMITS)
def test_extreme_shapes(instruction_set: str, precision: str, widths: tuple[int, ...], dimension: int) -> None:
    check_parity(random_network(widths, dimension, "tanh", seed=5), cube_points(35, dimension), precision)


def test_reference_is_the_gradient_of_forward() -> None:
    for activation in ACTIVATIONS:
        network, points = random_network((12, 9), 4, activation, seed=2), cube_points(40, 4).requires_grad_()
        expected = forward(network, points)
        (gradients,) = torch.autograd.grad(expected.sum(), points)
        computed = reference(network, points.detach())
        torch.testing.assert_close(computed, (expected.detach(), gradients), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("source", ["float32", "every second row", "transposed", "numpy", "list", "dlpack", "read-only", "one point", "expanded"])
def test_whatever_holds_the_points(source: str) -> None:
    network, points = random_network((20, 20), 6, "silu"), cube_points(33, 6)
    double = torch.empty(66, 6, dtype=torch.float64)
    double[::2] = points
    frozen = points.numpy().copy()
    frozen.flags.writeable = False
    given_as = {
        "float32": points.float(),
        "every second row": double[::2],
        "transposed": points.T.contiguous().T,
        "numpy": np.asfortranarray(points.numpy()),
        "list": points.tolist(),
        "dlpack": Carrier(points),
        "read-only": frozen,
        "one point": points[0],
        "expanded": points[:1].expand(33, 6),
    }[source]
    expected = reference(network, torch.as_tensor(points[:1] if source in ("one point", "expanded") else points))
    if source == "float32":
        expected = reference(network, points.float().double())
    if source == "expanded":
        expected = expected[0].expand(33), expected[1].expand(33, 6)
    torch.testing.assert_close(value_and_input_gradient(network, given_as, precision="float64"), expected, rtol=1e-12, atol=1e-12)


class Carrier:
    """Any library's array: only DLPack."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, **options: object) -> object:
        return self.tensor.__dlpack__(**options)  # type: ignore[arg-type]

    def __dlpack_device__(self) -> object:
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_nan_stays_in_its_row(backend: str, activation: str) -> None:
    network, points = random_network((17, 40), 5, activation), cube_points(40, 5)
    clean = value_and_input_gradient(network, points, backend=backend)
    spoiled = points.clone()
    spoiled[3, 2] = spoiled[39, 0] = torch.nan
    computed, gradients = value_and_input_gradient(network, spoiled, backend=backend)
    bad = torch.zeros(40, dtype=torch.bool)
    bad[[3, 39]] = True
    assert bool(computed[bad].isnan().all())
    assert bool(gradients[bad].isnan().all())
    assert torch.equal(computed[~bad], clean[0][~bad])
    assert torch.equal(gradients[~bad], clean[1][~bad])


def test_weights_changed_in_place_are_seen() -> None:
    network, points = random_network((10,), 3, "relu"), cube_points(5, 3)
    before = value_and_input_gradient(network, points)[0]
    network.biases[-1].add_(1.0)
    torch.testing.assert_close(value_and_input_gradient(network, points)[0], before + network.output_scale, rtol=1e-5, atol=1e-5)


def test_values_are_differentiable_once() -> None:
    network, points = random_network((16, 16), 4, "gelu"), cube_points(9, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: values(network, u, precision="float64"), (points,))
    total = values(network, points, precision="float64").square().sum()
    total.backward()
    exact, gradients = reference(network, points.detach())
    torch.testing.assert_close(points.grad, 2 * exact[:, None] * gradients)


@pytest.mark.parametrize("activation", ["tanh", "silu", "gelu", "softplus", "sigmoid", "elu"])
def test_saturated_units_and_the_callers_subnormals(instruction_set: str, activation: str) -> None:
    """Kernels take subnormals as zero, which saturated units make; the caller's own arithmetic must not."""
    network, points = random_network((64, 64), 5, activation, seed=6), cube_points(40, 5)
    network = replace(network, weights=tuple(12 * weight for weight in network.weights))
    exact, gradients = reference(network, points)
    computed, computed_gradients = value_and_input_gradient(network, points, backend="cpu", threads=2)
    assert float((computed - exact).abs().max()) <= 1e-5 * float(exact.square().mean().sqrt())
    assert float((computed_gradients - gradients).norm(dim=1).max()) <= 2e-4 * float(gradients.norm(dim=1).square().mean().sqrt())
    assert np.float32(1e-40) * np.float32(0.5) > 0
