"""GPU kernels against the CPU: on the device where there is one, else in numba's simulator, where kernels run as Python on tensors of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from pybackdoor.ops.philox import uniforms
from pybackdoor.oracles.cuda.availability import unavailable
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.records.evaluation import Evaluation

PLACE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
needs_numba_cuda = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
needs_device = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"), needs_numba_cuda]


def inside(oracle: OnDevice, count: int, seed: int = 5) -> torch.Tensor:
    """Points spread over the oracle's domain."""
    dimension = oracle.domain.dimension
    return oracle.domain.to_natural(uniforms(count * dimension, seed=seed, purpose="points").reshape(count, dimension))


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """New tensors are filled with NaN: what a kernel leaves out shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def on_device(oracle: OnDevice, points: torch.Tensor, gradient: bool = True) -> Evaluation:
    """What the kernel answers, brought back."""
    with poisoned_memory():
        answer = oracle._evaluate_on_device(points.to(PLACE), gradient)
    parts = (answer.values, answer.gradients, answer.standard_errors, answer.status)
    assert all(part is None or part.device.type == PLACE.type for part in parts)
    return Evaluation(*(None if part is None else part.cpu() for part in parts), answer.value_calls)


def assert_parity(oracle: OnDevice, points: torch.Tensor, tolerance: float = 1e-10, *, alone: bool = True) -> None:
    """Values, gradients and standard errors as on the CPU; `alone`: values asked for alone as well.

    tolerance: relative to values and largest parts of gradients, or to 1 if that is more.
    """
    theirs = oracle.evaluate(points, gradient=True, strict=False)
    ours = on_device(oracle, points)
    assert ours.status.tolist() == theirs.status.tolist()
    assert ours.values.isnan().tolist() == theirs.values.isnan().tolist()
    assert ours.gradients is not None
    assert theirs.gradients is not None
    good = theirs.ok
    scale = theirs.values[good].abs().clamp(min=1.0)
    slope_scale = theirs.gradients[good].abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    assert float(((ours.values - theirs.values)[good].abs() / scale).max()) <= tolerance
    assert float(((ours.gradients - theirs.gradients)[good].abs() / slope_scale).max()) <= tolerance
    assert ours.value_calls == theirs.value_calls
    assert float(((ours.standard_errors - theirs.standard_errors)[good].abs() / scale).max()) <= tolerance
    if alone:
        value = on_device(oracle, points, gradient=False)
        assert value.gradients is None
        assert float(((value.values - theirs.values)[good].abs() / scale).max()) <= tolerance
        assert float(((value.standard_errors - theirs.standard_errors)[good].abs() / scale).max()) <= tolerance


def assert_odd_sizes(oracle: OnDevice, sizes: tuple[int, ...] = (0, 1, 33)) -> None:
    """Each row's answer is its own, to the bit, however many there are."""
    points = inside(oracle, max(sizes))
    whole = on_device(oracle, points)
    assert whole.gradients is not None
    for size in sizes:
        part = on_device(oracle, points[:size])
        assert part.gradients is not None
        assert part.gradients.shape == points[:size].shape
        torch.testing.assert_close(part.values, whole.values[:size], rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(part.gradients, whole.gradients[:size], rtol=0, atol=0, equal_nan=True)
