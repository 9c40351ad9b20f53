"""Closed forms on the GPU (or in the simulator) equal the CPU's."""

from __future__ import annotations

import pytest
import torch
from device_parity import assert_odd_sizes, assert_parity, inside, needs_numba_cuda

from pybackdoor.oracles import oracle

pytestmark = needs_numba_cuda
NAMES = (
    "european_put",
    "down_and_out_put",
    "barrier_down_in_put",
    "barrier_up_out_call",
    "barrier_down_out_put",
    "max_call_two",
    "cev_put",
    "cev_call",
    "heston_put",
    "heston_call",
)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_equal_the_cpus(name):
    assert_parity(oracle(name), inside(oracle(name), 33))


def test_odd_sizes():
    assert_odd_sizes(oracle("european_put"))


def test_at_maturity_zero_and_where_nothing_is_finite():
    points = torch.tensor(
        [
            [100.0, 110.0, 0.2, 0.0, 0.05, 0.01],
            [110.0, 110.0, 0.2, 0.0, 0.05, 0.01],
            [100.0, 90.0, 1e-3, 5.0, 0.1, 0.0],
            [100.0, 90.0, 1e300, 1e300, 0.1, 0.0],
        ],
        dtype=torch.float64,
    )
    assert_parity(oracle("european_put"), points)
