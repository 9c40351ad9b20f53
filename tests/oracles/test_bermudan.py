"""Bermudan bounds around published prices; the table of Longstaff and Schwartz."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.oracles.bermudan import BermudanMaxCall, BermudanPut


def test_bounds_hold_the_prices_of_andersen_and_broadie() -> None:
    rows = [[spot, spot, 100.0, 0.2, 0.2, 0.0, 3.0, 0.05, 0.1, 0.1] for spot in (90.0, 100.0, 110.0)]
    price = torch.tensor([8.08, 13.90, 21.34], dtype=torch.float64)
    found = BermudanMaxCall(paths=2**15).bounds(rows, outer=256, inner=64)
    assert bool((found.lower - 4 * found.lower_errors < price).all())
    assert bool((found.lower > price - 0.35 - 4 * found.lower_errors).all())
    assert bool((found.upper + 4 * found.upper_errors > price).all())
    assert bool((found.upper < price + 2.5).all())


def test_table_of_longstaff_and_schwartz() -> None:
    """Table 1: strike 40, rate .06, one year, 50 dates; (spot, volatility): the simulated price, standard error .01 to .02."""
    table = {(36.0, 0.2): 4.472, (40.0, 0.2): 2.313, (44.0, 0.2): 1.118, (36.0, 0.4): 7.091, (40.0, 0.4): 5.308, (44.0, 0.4): 3.957}
    answer = BermudanPut(paths=2**15).evaluate([[s, 40.0, v, 1.0, 0.06, 0.0] for s, v in table], strict=False)
    error = (answer.values - torch.tensor(list(table.values()), dtype=torch.float64)).abs()
    assert bool((error < 4 * answer.standard_errors + 0.03).all())
    assert float(answer.standard_errors.max()) == pytest.approx(0.02, abs=0.019)
