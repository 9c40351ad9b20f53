"""The single barriers by finite differences on a GPU (or in numba's simulator): equal to the CPU's, row by row."""

from __future__ import annotations

import pytest
import torch
from device_parity import PLACE, assert_parity, inside, needs_device, needs_numba_cuda, on_device

from pybackdoor.oracles.barrier_frame import AWAY, RESTING, TOWARDS_BARRIER, motion
from pybackdoor.oracles.down_and_out_put_pde import DownAndOutPutPDE
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

pytestmark = needs_numba_cuda
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


def test_values_and_gradients_equal_the_cpus() -> None:
    assert_parity(SMALL, POINTS[:4])


def test_nodes_that_move_away() -> None:
    found, expected = on_device(SMALL, POINTS[4:], gradient=False), SMALL.values(POINTS[4:], strict=False)
    assert found.values.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    whole, turned = on_device(SMALL, POINTS[[0, 3]]), on_device(SMALL, POINTS[[3, 0]])
    assert whole.gradients is not None
    assert turned.gradients is not None
    assert whole.values.tolist() == turned.values.tolist()[::-1]
    assert whole.gradients.tolist() == turned.gradients.tolist()[::-1]
    empty = on_device(SMALL, POINTS[:0])
    assert empty.gradients is not None
    assert (len(empty.values), tuple(empty.gradients.shape)) == (0, (0, 8))


def test_the_put_is_one_of_them_or_its_closed_form() -> None:
    oracle = DownAndOutPutPDE(space=36, time=8, extrapolate=False)
    assert_parity(oracle, torch.tensor([[105.0, 90.0, 0.3, 1.0, 0.05], [85.0, 90.0, 0.3, 1.0, 0.05]], dtype=torch.float64))


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
