"""The single barriers by finite differences on a GPU (or in numba's simulator): equal to the CPU's, row by row."""

from __future__ import annotations

import pytest
import torch
from device_parity import PLACE, assert_parity, inside, needs_device, needs_numba_cuda, on_device
from simulator import quick_simulator  # noqa: F401

from pybackdoor.oracles.barrier_frame import AWAY, RESTING, TOWARDS_BARRIER, motion
from pybackdoor.oracles.down_and_out_put_pde import DownAndOutPutPDE
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

pytestmark = [needs_numba_cuda, pytest.mark.usefixtures("quick_simulator")]
SMALL = SingleBarrierPDE("down_in_put", space=36, time=8, extrapolate=False)
# one with nodes that rest, one with nodes that move towards the barrier, touched, without spread, and one with nodes that move away from it
POINTS = torch.tensor(
    [
        [100.0, 105.0, 90.0, 3.0, 0.3, 1.0, 0.05, 0.02],
        [100.0, 97.0, 95.0, 5.0, 0.04, 3.0, 0.0, 0.09],
        [89.0, 105.0, 90.0, 3.0, 0.3, 1.0, 0.05, 0.02],
        [100.0, 105.0, 90.0, 3.0, 0.3, 0.0, 0.05, 0.02],
        [100.0, 101.0, 80.0, 3.0, 0.05, 4.0, 0.09, 0.0],
    ],
    dtype=torch.float64,
)


def test_the_points_cover_every_way_of_moving() -> None:
    x = POINTS[[0, 1, 4]]
    carry, variance = (x[:, 6] - x[:, 7]) * x[:, 5], x[:, 4] ** 2 * x[:, 5]
    assert motion(variance, carry).tolist() == [RESTING, TOWARDS_BARRIER, AWAY]


def assert_equal_to_the_cpus(oracle: OnDevice, points: torch.Tensor) -> torch.Tensor:
    """With the gradient, to 1e-10; gives the values found."""
    found, expected = on_device(oracle, points), oracle.evaluate(points, gradient=True, strict=False)
    assert found.gradients is not None
    assert expected.gradients is not None
    assert bool(expected.ok.all())
    torch.testing.assert_close(found.values, expected.values, rtol=1e-10, atol=1e-10)
    scale = expected.gradients.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    torch.testing.assert_close(found.gradients / scale, expected.gradients / scale, rtol=0.0, atol=1e-10)
    assert found.status.tolist() == expected.status.tolist()
    return found.values


def test_values_and_gradients_equal_the_cpus() -> None:
    found = assert_equal_to_the_cpus(SMALL, POINTS[:4])
    turned = on_device(SMALL, POINTS[[3, 0]], gradient=False)  # no row depends on its neighbours, no value on whether its gradient is asked for
    assert turned.gradients is None
    assert turned.values.tolist() == found[[3, 0]].tolist()
    empty = on_device(SMALL, POINTS[:0])
    assert empty.gradients is not None
    assert (len(empty.values), tuple(empty.gradients.shape)) == (0, (0, 8))


def test_the_put_is_one_of_them_or_its_closed_form() -> None:
    oracle = DownAndOutPutPDE(space=36, time=8, extrapolate=False)
    assert_equal_to_the_cpus(oracle, torch.tensor([[105.0, 90.0, 0.3, 1.0, 0.05], [85.0, 90.0, 0.3, 1.0, 0.05]], dtype=torch.float64))


class TestOnADevice:
    pytestmark = needs_device

    @pytest.mark.parametrize("kind", ["down_out_put", "up_out_call", "up_in_put", "down_in_call"])
    @pytest.mark.parametrize("level", ["fast", "standard", "high"])
    def test_over_the_domain(self, kind: str, level: str) -> None:
        oracle = SingleBarrierPDE(kind, level)
        assert_parity(oracle, inside(oracle, 1000))

    @pytest.mark.parametrize("space", [16, 28, 32, 36, 100, 200, 400])
    def test_grids_of_all_sizes(self, space: int) -> None:
        oracle = SingleBarrierPDE("down_out_put", space=space, time=40)
        assert_parity(oracle, inside(oracle, 133))

    def test_nothing_waits(self) -> None:
        oracle = SingleBarrierPDE("down_out_put")
        points = inside(oracle, 1000).to(PLACE)
        oracle.evaluate_inside(points, gradient=True)  # compiled now
        torch.cuda.set_sync_debug_mode("error")
        try:
            oracle.evaluate_inside(points, gradient=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
