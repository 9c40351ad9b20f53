"""Heston's equation on the GPU (or, on tiny grids, in the simulator) equals the CPU's."""

from __future__ import annotations

import pytest
import torch
from device_parity import assert_odd_sizes, assert_parity, inside, needs_device, needs_numba_cuda

from pybackdoor.oracles.heston_adi import HestonADICall, HestonADIPut

pytestmark = needs_numba_cuda


def test_values_and_gradients_equal_the_cpus(monkeypatch):
    """Grids of 11 x 11 and 6 x 6 nodes with 6 and 4 steps, and fewer threads than lines: the simulator takes seconds a point."""
    from pybackdoor.oracles.cuda import heston_adi

    monkeypatch.setattr("pybackdoor.oracles.heston_adi._GROUPS", 2)
    put = HestonADIPut()
    put.use_grid(11, 11, 2)
    for kernel in (heston_adi.solve, heston_adi.adjoint):
        monkeypatch.setattr(kernel, "block", 3)
        monkeypatch.setattr(kernel, "lanes", 3)
    monkeypatch.setattr(heston_adi, "_blocks", lambda points, nodes, steps: 1)  # the second problem finds what the first has left
    points = inside(put, 2)
    assert_parity(put, points)


class TestOnADevice:
    pytestmark = needs_device

    @pytest.mark.parametrize("level", ["fast", "standard"])
    @pytest.mark.parametrize("kind", [HestonADIPut, HestonADICall])
    def test_levels_equal_the_cpus(self, kind, level):
        assert_parity(kind(level), inside(kind(level), 700 if level == "fast" else 67))

    def test_corners_and_beyond(self):
        call = HestonADICall("fast")
        corners = call.domain.to_natural(call.domain.to_unit(inside(call, 65)).round())
        corners[0, 2], corners[1, 0] = 0.0, 1e6
        assert_parity(call, corners)

    def test_odd_sizes(self):
        assert_odd_sizes(HestonADIPut("fast"))

    def test_nothing_waits(self):
        put = HestonADIPut("fast")
        points = inside(put, 65).cuda()
        put.evaluate_inside(points, gradient=True)  # compiled, and the plan brought there
        torch.cuda.set_sync_debug_mode("error")
        try:
            put.evaluate_inside(points, gradient=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
