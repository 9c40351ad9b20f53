"""`coarser` and `estimate_error`: what a numerical oracle says of its own error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pybackdoor.data import design
from pybackdoor.domain import Domain
from pybackdoor.errors import BudgetExhaustedError, UnsupportedError
from pybackdoor.oracles import BudgetedOracle, CallableOracle, CountedOracle, oracle
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.down_and_out_put import DownAndOutPut
from pybackdoor.oracles.down_and_out_put_mc import DownAndOutPutMonteCarlo
from pybackdoor.oracles.down_and_out_put_pde import DownAndOutPutPDE
from pybackdoor.oracles.heston import HestonPut

DOMAIN = Domain(("a", "b"), (0.0, 0.0), (1.0, 1.0))


@pytest.mark.parametrize("kind", [HestonPut, AmericanPut])
def test_a_level_estimates_the_error_of_the_one_below(kind: type[HestonPut]) -> None:
    x = design(kind().domain, 64, seed=3)
    truth = kind("high").values(x)
    for level, below in (("high", "standard"), ("standard", "fast")):
        made = kind(level)
        coarser = made.coarser()
        assert isinstance(coarser, kind)
        assert coarser.level == below
        assert torch.equal(made.estimate_error(x), (made.values(x) - coarser.values(x)).abs())
    fast = kind("fast")
    assert fast.coarser() is None
    estimate, error = fast.estimate_error(x), (fast.values(x) - truth).abs()
    assert float(estimate.median()) == pytest.approx(float(error.median()), rel=0.1)  # against the level above: its own error


def test_grids_halve_down_to_the_coarsest_which_is_compared_with_a_finer_one() -> None:
    x = design(DownAndOutPut().domain, 128, seed=5)
    grids, made = [], DownAndOutPutPDE(space=128, time=64)
    truth = DownAndOutPut().values(x)
    while made is not None:
        grids.append((made.space, made.time))
        estimate, error = made.estimate_error(x), (made.values(x) - truth).abs()
        assert float(estimate.mean()) > 0.5 * float(error.mean())
        made = made.coarser()
    assert grids == [(128, 64), (64, 32), (32, 16), (16, 8)]


def test_exact_is_zero_and_sampled_its_standard_error() -> None:
    x = design(DownAndOutPut().domain, 32, seed=5)
    assert torch.equal(DownAndOutPut().estimate_error(x), torch.zeros(32, dtype=torch.float64))
    assert oracle("branin").estimate_error(torch.zeros(0, 2)).shape == (0,)
    sampled = DownAndOutPutMonteCarlo(paths=1024)
    assert torch.equal(sampled.estimate_error(x), sampled.evaluate(x).standard_errors)
    coarser = sampled.coarser()
    assert isinstance(coarser, DownAndOutPutMonteCarlo)
    assert coarser.paths == 256
    assert DownAndOutPutMonteCarlo(paths=128).coarser() is None


def test_a_callable_says_its_standard_error_or_that_it_knows_none() -> None:
    assert CallableOracle(lambda x: (x.sum(axis=1), 0.1 + x[:, 0]), DOMAIN).estimate_error([[0.5, 0.5]]).tolist() == [0.6]
    with pytest.raises(UnsupportedError, match="cannot be estimated"):
        CallableOracle(lambda x: x.sum(axis=1), DOMAIN).estimate_error([[0.5, 0.5]])


def test_both_oracles_of_an_estimate_are_counted_and_budgeted() -> None:
    x = design(HestonPut().domain, 8, seed=1)
    counted = CountedOracle(HestonPut())
    assert torch.equal(counted.estimate_error(x), HestonPut().estimate_error(x))
    assert counted.value_calls == 16
    fast = CountedOracle(HestonPut("fast"))
    fast.estimate_error(x)
    assert fast.value_calls == 16
    assert fast.coarser() is None
    with pytest.raises(BudgetExhaustedError):
        BudgetedOracle(HestonPut(), 15).estimate_error(x)


def test_a_row_without_a_value_has_no_estimate() -> None:
    broken = CallableOracle(lambda x: (np.where(x[:, 0] > 0.5, np.nan, 1.0), np.full(len(x), 0.5)), DOMAIN)
    assert torch.isnan(broken.estimate_error([[0.1, 0.0], [0.9, 0.0]])).tolist() == [False, True]
