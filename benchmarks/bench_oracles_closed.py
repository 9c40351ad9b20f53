"""Closed and semi-closed prices: ours, value alone and with the whole gradient, against QuantLib and FinancePy, values alone, one pinned core.

    python -m pytest benchmarks/bench_oracles_closed.py --benchmark-json=closed.json      (on a crowded machine: --benchmark-timer=time.process_time)
    python -m benchmarks.report closed.json

extra_info: `prices_per_second` of the best round; `median_error` and `largest_error` in spot units over ERRORS points of the domain (whole days of
maturity, as QuantLib takes them; no rebate, as FinancePy has none), against 50-digit arithmetic for Black-Scholes, QdFp with 30 points for American
puts, and for the others our highest level, which the tests hold to 20-digit quadrature. `failed`: prices that are no number. FinancePy's formulas are
called on whole columns where it compiles them so, QuantLib row by row as its Python users do it; neither gives a gradient in these calls.
"""

from __future__ import annotations

import os
from functools import cache, partial

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import mpmath
import pytest
import QuantLib as ql
import torch

from benchmarks import oracle_rates
from benchmarks import quantlib_prices as peer
from benchmarks.oracle_rates import time_ours
from pybackdoor.data import design
from pybackdoor.oracles import oracle, reference_barriers
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.heston import HestonPut

BATCH = {"european": 2**16, "barrier": 2**16, "american": 2**11, "heston": 2**12, "cev": 2**12, "max_call": 2**13}
ERRORS = 48
KIND = "down_out_put"
OURS = {
    ("european", "closed"): oracle("european_put"),
    ("barrier", "closed"): oracle(f"barrier_{KIND}"),
    ("american", "fast"): AmericanPut("fast"),
    ("american", "standard"): AmericanPut(),
    ("american", "high"): AmericanPut("high"),
    ("heston", "standard"): HestonPut(),
    ("heston", "high"): HestonPut("high"),
    ("cev", "closed"): oracle("cev_put"),
    ("max_call", "closed"): oracle("max_call_two"),
}
QUANTLIB = {
    ("european", "analytic"): peer.european_puts,
    ("barrier", "analytic"): partial(peer.barriers, kind=KIND),
    ("american", "QdFp fast"): lambda x: peer.american_puts(x, ql.QdFpAmericanEngine.fastScheme()),
    ("american", "QdFp accurate"): lambda x: peer.american_puts(x, ql.QdFpAmericanEngine.accurateScheme()),
    ("heston", "Laguerre 144"): peer.heston_puts,
    ("heston", "adaptive 1e-8"): partial(peer.heston_puts, order=None),
    ("cev", "analytic"): peer.cev_puts,
    ("max_call", "Stulz"): peer.max_calls,
}
FINANCEPY = {
    ("european", "FinancePy analytic"): "european_puts",
    ("barrier", "FinancePy analytic"): "barriers",
    ("american", "FinancePy Bjerksund-Stensland"): "american_puts",
    ("american", "FinancePy tree 400 a year"): "american_trees",
    ("heston", "FinancePy Lewis"): "heston_puts",
}


@cache
def points(group: str, count: int) -> torch.Tensor:
    """Points of the domain that QuantLib can take too: whole days, a put alive and above its barrier, rates above 0 for the American."""
    domain = next(ours.domain for (name, _), ours in OURS.items() if name == group)
    x = design(domain, count, seed=17)
    maturity = domain.names.index("maturity")
    x[:, maturity] = (x[:, maturity] * peer.DAYS).round().clamp(min=8) / peer.DAYS
    if group == "barrier":
        x[:, 2] = torch.minimum(x[:, 2], 0.99 * x[:, 0])
        x[:, 3] = 0.0
    if group == "american":
        x[:, 4] = x[:, 4].clamp(min=1e-3)
    if group == "cev":
        x[:, 5] = x[:, 5].clamp(min=0.0)
        x[:, 6] = x[:, 5]  # no carry: theirs is a model of the forward
    return x


@cache
def truth(group: str) -> torch.Tensor:
    x = points(group, ERRORS)
    if group in ("european", "barrier"):
        formula = partial(reference_barriers.european, False) if group == "european" else partial(reference_barriers.single_barrier, KIND)
        with mpmath.workdps(50):
            return torch.tensor([float(formula(*map(mpmath.mpf, row))) for row in x.tolist()], dtype=torch.float64)
    if group == "american":
        return peer.american_truth(x)
    best = {"heston": ("heston", "high"), "cev": ("cev", "closed"), "max_call": ("max_call", "closed")}[group]
    return OURS[best].values(x)


def note(benchmark, count: int, prices: torch.Tensor, group: str) -> None:
    errors = (prices - truth(group)).abs()
    oracle_rates.note(benchmark, count, errors)
    benchmark.extra_info["worst_point"] = points(group, ERRORS)[errors.where(torch.isfinite(errors), 0.0).argmax()].tolist()


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize(("group", "level"), OURS, ids=["-".join(key) for key in OURS])
def test_ours(benchmark, group, level, gradient):
    benchmark.group = group
    ours, x = OURS[group, level], points(group, BATCH[group])
    time_ours(benchmark, ours, x, gradient)
    prices = ours.values(points(group, ERRORS))
    assert (prices - truth(group)).abs().median() < 1e-4  # the same thing is computed
    note(benchmark, len(x), prices, group)


@pytest.mark.parametrize(("group", "engine"), FINANCEPY, ids=["-".join(key) for key in FINANCEPY])
def test_financepy(benchmark, group, engine):
    pytest.importorskip("financepy", reason="FinancePy (the bench extra) is not installed")
    from benchmarks import financepy_prices

    benchmark.group = group
    price = getattr(financepy_prices, FINANCEPY[group, engine])
    price = partial(price, kind=KIND) if group == "barrier" else price
    x = points(group, BATCH[group] if group in ("european", "barrier") else ERRORS)
    price(x)
    benchmark.pedantic(price, (x,), rounds=5, iterations=1)
    prices = price(points(group, ERRORS))
    usable = torch.isfinite(prices)
    assert (prices - truth(group))[usable].abs().median() < 0.1
    note(benchmark, len(x), prices, group)


@pytest.mark.parametrize(("group", "engine"), QUANTLIB, ids=["-".join(key) for key in QUANTLIB])
def test_quantlib(benchmark, group, engine):
    benchmark.group = group
    price, x = QUANTLIB[group, engine], points(group, ERRORS)
    prices = price(x)
    benchmark.pedantic(price, (x,), rounds=5, iterations=1)
    assert (prices - truth(group)).abs().median() < 1e-3
    note(benchmark, len(x), prices, group)
