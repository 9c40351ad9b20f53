"""Options by finite differences: ours, value alone and with the whole gradient, against QuantLib's values from Python, one pinned core.

    python -m pytest benchmarks/bench_oracles_pde.py --benchmark-json=pde.json      (on a crowded machine: --benchmark-timer=time.process_time)

extra_info: `prices_per_second` of the best round; `median_error` and `largest_error` in spot units over ERRORS points of the domain (whole days of
maturity, as QuantLib takes them; knock-outs that have not touched), against the closed form and against our spectral method's highest level.
QuantLib's grids are 200 x 200; it gives no gradient in these calls.
"""

from __future__ import annotations

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import pytest
import QuantLib as ql
import torch

from benchmarks import oracle_rates
from benchmarks.oracle_rates import time_ours
from benchmarks.quantlib_prices import DAYS, Market
from pybackdoor.data import design
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.american_pde import AmericanPutPDE
from pybackdoor.oracles.single_barriers import SingleBarrier
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

BATCH, ERRORS = 4096, 128
TRUTH = {"barrier": SingleBarrier("down_out_put"), "american": AmericanPut("high")}
LEVELS = ("fast", "standard", "high")
OURS = {("barrier", level): SingleBarrierPDE("down_out_put", level) for level in LEVELS}
OURS |= {("american", level): AmericanPutPDE(level) for level in LEVELS}


def points(group: str, count: int) -> torch.Tensor:
    x = design(TRUTH[group].domain, 2 * count, seed=17)
    maturity = TRUTH[group].domain.names.index("maturity")
    x[:, maturity] = (x[:, maturity] * DAYS).round().clamp(min=8) / DAYS
    return (x[x[:, 0] > x[:, 2]] if group == "barrier" else x[x[:, 4] >= 0])[:count]


def quantlib(group: str, x: torch.Tensor) -> torch.Tensor:
    market = Market()
    engine = (ql.FdBlackScholesBarrierEngine if group == "barrier" else ql.FdBlackScholesVanillaEngine)(market.process, 200, 200)

    def price(row: list[float]) -> float:
        spot, strike, *barrier, volatility, maturity, rate, dividend = row
        market.move(spot, volatility, rate, dividend)
        payoff, date = ql.PlainVanillaPayoff(ql.Option.Put, strike), market.date(maturity)
        if barrier:
            option = ql.BarrierOption(ql.Barrier.DownOut, *barrier, payoff, ql.EuropeanExercise(date))
        else:
            option = ql.VanillaOption(payoff, ql.AmericanExercise(market.today, date))
        option.setPricingEngine(engine)
        return float(option.NPV())

    return torch.tensor([price(row) for row in x.tolist()], dtype=torch.float64)


def note(benchmark, count: int, prices: torch.Tensor, group: str) -> None:
    errors = (prices - TRUTH[group].values(points(group, ERRORS))).abs()
    oracle_rates.note(benchmark, count, errors, most=0.1)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize(("group", "level"), OURS, ids=["-".join(key) for key in OURS])
def test_ours(benchmark, group, level, gradient):
    benchmark.group = group
    ours, x = OURS[group, level], points(group, BATCH)
    time_ours(benchmark, ours, x, gradient)
    note(benchmark, len(x), ours.values(points(group, ERRORS)), group)


@pytest.mark.parametrize("group", TRUTH)
def test_quantlib(benchmark, group):
    benchmark.group = group
    x = points(group, ERRORS)
    prices = quantlib(group, x)
    benchmark.pedantic(quantlib, (group, x), rounds=5, iterations=1)
    note(benchmark, len(x), prices, group)
