"""CEV options and the pulse in a flow by finite differences on a GPU (or in numba's simulator): equal to the CPU's, row by row."""

from __future__ import annotations

import pytest
import torch
from device_parity import assert_parity, inside, needs_device, needs_numba_cuda, on_device
from simulator import quick_simulator  # noqa: F401

from pybackdoor.oracles.cev_pde import CEVCallPDE, CEVPutPDE
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.pulse import Pulse

pytestmark = [needs_numba_cuda, pytest.mark.usefixtures("quick_simulator")]

# one absorbed at 0, one without spread, one of an elasticity near 1
OPTIONS = torch.tensor(
    [[100.0, 110.0, 0.4, 0.3, 2.0, 0.05, 0.02], [100.0, 110.0, 0.4, 0.5, 0.0, 0.05, 0.02], [100.0, 90.0, 0.1, 0.98, 0.3, -0.02, 0.04]],
    dtype=torch.float64,
)
# one stretched, one beyond the mesh, one at the start
PULSES = torch.tensor(
    [[0.3, 0.8, 0.01, 0.5, 0.4, 0.1, 0.8, 0.7], [0.0, 0.0, 0.001, 0.5, 0.2, 0.03, 1.0, 0.1], [0.0, -0.5, 0.0, 0.5, 0.2, 0.05, 0.21, 0.0]],
    dtype=torch.float64,
)


def test_cev_options_equal_the_cpus() -> None:
    assert_parity(CEVCallPDE(space=36, time=8, extrapolate=False), OPTIONS, alone=False)


def test_pulses_equal_the_cpus_on_two_grids_of_odd_and_even_steps() -> None:
    """Extrapolated from 16 cells by 5 steps; the value asked for alone is the same to the bit, wherever its row stands."""
    oracle = Pulse(space=32, time=10)
    assert_parity(oracle, PULSES, alone=False)
    turned = on_device(oracle, PULSES[[1, 0]], gradient=False)
    assert turned.values.tolist() == on_device(oracle, PULSES[:2]).values.flip(0).tolist()
    assert len(on_device(oracle, PULSES[:0]).values) == 0


class TestOnADevice:
    pytestmark = needs_device

    @pytest.mark.parametrize(
        "oracle", [CEVPutPDE("fast"), CEVCallPDE("high"), Pulse("standard"), Pulse(space=504, time=20)], ids=lambda one: one.name
    )
    def test_over_the_domain(self, oracle: OnDevice) -> None:
        assert_parity(oracle, inside(oracle, 1000))
