"""American options on the GPU (or in the simulator): the CPU's answers, option by option."""

from __future__ import annotations

import pytest
import torch
from device_parity import assert_parity, inside, needs_numba_cuda, on_device

from pybackdoor.oracles.american import AmericanCall, AmericanPut

pytestmark = needs_numba_cuda

EDGES = torch.tensor(  # for the put: exercised, never early, at maturity, a limit below the strike, ordinary
    [
        [60.0, 100.0, 0.2, 1.0, 0.08, 0.0],
        [90.0, 100.0, 0.3, 1.0, -0.01, 0.02],
        [90.0, 100.0, 0.3, 0.0, 0.05, 0.0],
        [100.0, 100.0, 0.25, 2.0, 0.02, 0.06],
        [100.0, 95.0, 0.4, 3.0, 0.05, 0.03],
    ],
    dtype=torch.float64,
)


def test_values_and_gradients_equal_the_cpus_where_options_are_of_every_kind():
    assert_parity(AmericanPut("fast"), EDGES)


@pytest.mark.parametrize("oracle", [AmericanCall("standard"), AmericanPut("high")], ids=["call, standard", "put, high"])
def test_other_levels_fill_a_warp_otherwise(oracle):
    points = inside(oracle, 2)
    theirs, ours = oracle.evaluate(points, gradient=True), on_device(oracle, points)
    torch.testing.assert_close(ours.values, theirs.values, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.gradients, theirs.gradients, rtol=1e-9, atol=1e-9)


def test_a_boundary_that_has_not_settled_is_a_status(monkeypatch):
    monkeypatch.setattr("pybackdoor.oracles.american._UNSETTLED", 1e-30)
    answer = on_device(AmericanPut("fast"), EDGES[1:4:2])
    assert answer.status.tolist() == [0, 4]
    assert answer.values.isnan().tolist() == [False, True]
    assert answer.gradients is not None
    assert answer.gradients.isnan().all(dim=1).tolist() == [False, True]


def test_no_options_are_no_answers():
    assert on_device(AmericanPut(), EDGES[:0]).values.shape == (0,)
