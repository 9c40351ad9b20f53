"""Monte Carlo on the GPU (or in the simulator) equals the CPU's: values, gradients, standard errors, and bits that depend on no neighbour."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from device_parity import PLACE, assert_parity, inside, needs_device, needs_numba_cuda, on_device
from simulator import quick_simulator  # noqa: F401

from pybackdoor.oracles.asian import AsianCall, AsianPut
from pybackdoor.oracles.basket_call import BasketCall
from pybackdoor.oracles.european_mc import EuropeanCallMonteCarlo, EuropeanPutMonteCarlo
from pybackdoor.oracles.max_call import MaxCall
from pybackdoor.oracles.single_barriers import KINDS
from pybackdoor.oracles.single_barriers_mc import SingleBarrierMonteCarlo

pytestmark = [needs_numba_cuda, pytest.mark.usefixtures("quick_simulator")]
FEW = 2048  # paths
ORACLES = {
    "european, sobol, 1 step": EuropeanPutMonteCarlo(paths=FEW),
    "european, philox, 3 steps": EuropeanCallMonteCarlo(paths=FEW, steps=3, draws="philox", seed=2**63 + 7),
    "european, more steps than sobol has": EuropeanCallMonteCarlo(paths=FEW, steps=66),
    "asian, sobol": AsianPut(paths=FEW, dates=3),
    "asian, philox, one date": AsianCall(paths=FEW, dates=1, draws="philox"),
    "basket of two, sobol": BasketCall(2, paths=FEW),
    "basket of five, philox": BasketCall(5, paths=FEW, draws="philox"),
    "largest of three, sobol": MaxCall(3, paths=FEW),
}


@pytest.mark.parametrize("name", ORACLES)
def test_values_gradients_and_standard_errors_equal_the_cpus(name: str) -> None:
    oracle = ORACLES[name]
    points = inside(oracle, 3)
    assert float(oracle.values(points).abs().max()) > 0.1
    assert_parity(oracle, points, alone=name.startswith(("basket", "largest")))


def test_several_stretches_of_paths_and_tiles_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from pybackdoor.oracles.cuda import path_engine

    monkeypatch.setattr(path_engine, "_STRETCH", 512)
    oracle = EuropeanPutMonteCarlo(paths=32 * 1024, draws="philox")
    assert_parity(oracle, inside(oracle, 1), alone=False)


@pytest.mark.parametrize("kind", KINDS)
def test_barriers_equal_the_cpus(kind: str) -> None:
    """Points with and without a rebate, one that has touched, one at maturity; two steps, and the draws of both kinds."""
    oracle = SingleBarrierMonteCarlo(kind, paths=FEW, steps=2, draws="sobol" if "in" in kind else "philox")
    barrier = 90.0 if kind.startswith("down") else 115.0
    rows = [[100.0, 104.0, barrier, rebate, 0.3, time, 0.04, 0.01] for rebate, time in ((3.0, 1.5), (0.0, 0.5), (2.0, 0.0))]
    rows.append([barrier, 104.0, barrier, 3.0, 0.3, 1.0, 0.04, 0.01])
    points = torch.tensor(rows, dtype=torch.float64)
    assert float(oracle.values(points, strict=False).abs().max()) > 1.0
    assert_parity(oracle, points, alone=kind in ("down_out_put", "up_in_call"))


def test_a_row_depends_on_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """33 points at once, permuted, alone, none, and in small chunks with the draws a copy at a time: the same bits."""
    from pybackdoor.oracles.cuda import path_engine

    oracle: Any = ORACLES["european, sobol, 1 step"]
    points = inside(oracle, 33)
    whole = on_device(oracle, points)
    order = torch.randperm(33, generator=torch.Generator().manual_seed(1))[:9]
    parts = [
        (order, on_device(oracle, points[order])),
        (torch.tensor([7]), on_device(oracle, points[7:8])),
        (order[:0], on_device(oracle, points[:0])),
    ]
    monkeypatch.setattr(path_engine, "_NUMBERS", 1)
    parts.append((torch.arange(6), on_device(oracle, points[:6])))
    assert whole.gradients is not None
    for rows, part in parts:
        assert part.gradients is not None
        assert torch.equal(part.values, whole.values[rows])
        assert torch.equal(part.gradients, whole.gradients[rows])
        assert torch.equal(part.standard_errors, whole.standard_errors[rows])
        assert part.status.tolist() == [0] * len(rows)


def test_a_row_that_is_not_finite_is_nan_with_its_status() -> None:
    oracle = ORACLES["european, sobol, 1 step"]
    points = inside(oracle, 2)
    points[1, 2], points[1, 3] = 1e300, 1e300
    answer = on_device(oracle, points)
    assert answer.status.tolist() == [0, 1]
    assert answer.values.isnan().tolist() == [False, True] == answer.standard_errors.isnan().tolist()
    assert answer.gradients is not None
    assert answer.gradients.isnan().tolist() == [[False] * 6, [True] * 6]


class TestOnADevice:
    pytestmark = needs_device

    @pytest.mark.parametrize("draws", ["sobol", "philox"])
    @pytest.mark.parametrize(
        "oracle",
        [EuropeanPutMonteCarlo, lambda **given: SingleBarrierMonteCarlo("down_out_put", steps=20, **given), AsianPut],
        ids=["european", "barrier", "asian"],
    )
    def test_thousands_of_points_at_the_usual_paths(self, oracle: Any, draws: str) -> None:
        made = oracle(draws=draws)
        assert_parity(made, inside(made, 1000))

    def test_nothing_waits_or_leaves_the_device(self) -> None:
        oracle = SingleBarrierMonteCarlo("down_out_put", steps=3)
        points = inside(oracle, 100).to(PLACE)
        oracle.evaluate_inside(points, gradient=True)  # compiled now, and the scramble brought over
        torch.cuda.set_sync_debug_mode("error")
        try:
            oracle.evaluate_inside(points, gradient=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def test_memory_is_bounded(self) -> None:
        oracle = EuropeanPutMonteCarlo(paths=2**22)
        points = inside(oracle, 2000).to(PLACE)
        torch.cuda.reset_peak_memory_stats()
        oracle.evaluate_inside(points, gradient=True)
        assert torch.cuda.max_memory_allocated() < 2**30 + 2**29
