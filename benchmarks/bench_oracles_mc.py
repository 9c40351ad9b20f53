"""Monte Carlo oracles against QuantLib's engines from Python, one core: path-step rates, and the time to a standard error.

    python -m pytest benchmarks/bench_oracles_mc.py --benchmark-json=mc.json        (on a crowded machine: --benchmark-timer=time.process_time)

extra_info: `path_steps_per_second` (paths x steps x points over the best round); `error` (largest over the points, against the closed form, for
the Asian option against our own at 2^20 paths) and
`standard_error` (largest); `seconds_per_point`; `equal_error_seconds`, the time a point would take to a
standard error of 0.001 at the order of the method's own convergence (1/2 for independent draws; ours at the measured standard errors of four and
one times the paths). Groups `barrier 20 steps` hold the same 20 bridge-corrected steps on both sides; `barrier best` each side's best: one step.
"""

from __future__ import annotations

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import math
import time
from collections.abc import Callable

import pytest
import QuantLib as ql
import torch

from benchmarks.quantlib_prices import Market
from pybackdoor import settings
from pybackdoor.oracles import oracle
from pybackdoor.oracles.asian import AsianPut
from pybackdoor.oracles.european_mc import EuropeanPutMonteCarlo
from pybackdoor.oracles.heston_mc import HestonPutMonteCarlo
from pybackdoor.oracles.single_barriers_mc import SingleBarrierMonteCarlo

TARGET = 1e-3
VANILLA = [[100.0, strike, 0.25, 1.0, 0.04, 0.01] for strike in (80.0, 90.0, 100.0, 110.0, 120.0, 130.0, 140.0, 150.0)]
BARRIER = [[100.0, row[1], 85.0, 0.0, *row[2:]] for row in VANILLA]
HESTON = [[100.0, row[1], 0.04, 1.5, 0.06, 0.5, -0.6, 1.0, 0.04, 0.01] for row in VANILLA]
OURS = {
    ("european one point", "philox"): (EuropeanPutMonteCarlo(paths=2**19, draws="philox"), VANILLA[2:3], 1, "european_put"),
    ("european", "philox"): (EuropeanPutMonteCarlo(paths=2**17, draws="philox"), VANILLA, 1, "european_put"),
    ("european 20 steps one point", "philox"): (EuropeanPutMonteCarlo(paths=2**16, steps=20, draws="philox"), VANILLA[2:3], 20, "european_put"),
    ("barrier 20 steps", "philox"): (
        SingleBarrierMonteCarlo("down_out_put", paths=2**15, steps=20, draws="philox"),
        BARRIER,
        20,
        "barrier_down_out_put",
    ),
    ("barrier 20 steps one point", "philox"): (
        SingleBarrierMonteCarlo("down_out_put", paths=2**16, steps=20, draws="philox"),
        BARRIER[2:3],
        20,
        "barrier_down_out_put",
    ),
    ("barrier best", "sobol, 1 step"): (SingleBarrierMonteCarlo("down_out_put"), BARRIER, 1, "barrier_down_out_put"),
    ("asian 12 dates", "sobol"): (AsianPut(), VANILLA, 12, None),
    ("heston", "sobol, 64 steps"): (HestonPutMonteCarlo(), HESTON, 64, "heston_put"),
}


def quantlib(group: str, samples: int) -> Callable[[list[float]], tuple[float, float]]:
    """Prices a row, and its standard error, with `samples` samples."""
    market = Market()

    def price(row: list[float]) -> tuple[float, float]:
        if group == "heston":
            process = ql.HestonProcess(market.rates, market.dividends, ql.QuoteHandle(market.spot), *row[2:7])
            market.move(row[0], 0.2, row[8], row[9])
            option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, row[1]), ql.EuropeanExercise(market.date(row[7])))
            option.setPricingEngine(
                ql.MCEuropeanHestonEngine(process, "pseudorandom", timeSteps=64, antitheticVariate=True, requiredSamples=samples, seed=42)
            )
            return option.NPV(), option.errorEstimate()
        market.move(row[0], row[-4], row[-2], row[-1])
        exercise, payoff = ql.EuropeanExercise(market.date(row[-3])), ql.PlainVanillaPayoff(ql.Option.Put, row[1])
        if group.startswith("barrier"):
            option = ql.BarrierOption(ql.Barrier.DownOut, row[2], row[3], payoff, exercise)
            steps = 1 if group == "barrier best" else 20
            engine = ql.MCBarrierEngine(market.process, "pseudorandom", timeSteps=steps, antitheticVariate=True, requiredSamples=samples, seed=42)
        elif group.startswith("asian"):
            dates = [market.date(row[-3] * (k + 1) / 12) for k in range(12)]
            option = ql.DiscreteAveragingAsianOption(ql.Average.Arithmetic, 0.0, 0, dates, payoff, exercise)
            engine = ql.MCDiscreteArithmeticAPEngine(market.process, "pseudorandom", controlVariate=True, requiredSamples=samples, seed=42)
        else:
            option = ql.VanillaOption(payoff, exercise)
            steps = 20 if "20 steps" in group else 1
            engine = ql.MCEuropeanEngine(market.process, "pseudorandom", timeSteps=steps, antitheticVariate=True, requiredSamples=samples, seed=42)
        option.setPricingEngine(engine)
        return option.NPV(), option.errorEstimate()

    return price


PEERS = {name: 2**14 for name, _ in OURS}


def truth(group: str) -> torch.Tensor:
    _, rows, _, closed = next(value for (name, _), value in OURS.items() if name == group)
    return oracle(closed).values(rows) if closed else AsianPut(paths=2**20, seed=7).values(rows)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize(("group", "method"), OURS, ids=["-".join(key) for key in OURS])
def test_ours(benchmark, group, method, gradient):
    made, rows, steps, _ = OURS[group, method]
    benchmark.group = group
    with settings.use_threads(1):
        made.evaluate(rows, gradient)
        benchmark.pedantic(made.evaluate, (rows, gradient), rounds=7, iterations=1)
        answer = made.evaluate(rows)
    error, spread = (answer.values - truth(group)).abs().max(), answer.standard_errors.max()
    assert float(error) < 5 * float(spread) + 0.05
    finer = made._with_paths(4 * made.paths).evaluate(rows).standard_errors.max()
    order = max(math.log(float(spread / finer)) / math.log(4), 0.5)
    seconds = benchmark.stats.stats.min / len(rows)
    benchmark.extra_info.update(
        path_steps_per_second=made.paths * steps / seconds,
        error=float(error),
        standard_error=float(spread),
        seconds_per_point=seconds,
        equal_error_seconds=seconds * (float(spread) / TARGET) ** (1 / order),
    )


@pytest.mark.parametrize("group", PEERS)
def test_quantlib(benchmark, group):
    samples = PEERS[group]
    _, rows, steps, _ = next(value for (name, _), value in OURS.items() if name == group)
    benchmark.group = group
    price = quantlib(group, samples)
    began = time.process_time()
    found = torch.tensor([price(row) for row in rows], dtype=torch.float64)
    assert time.process_time() > began
    benchmark.pedantic(lambda: [price(row) for row in rows], rounds=3, iterations=1)
    error, spread = (found[:, 0] - truth(group)).abs().max(), found[:, 1].max()
    assert float(error) < 5 * float(spread) + 0.2
    seconds = benchmark.stats.stats.min / len(rows)
    steps = 1 if group == "barrier best" else steps
    paths = samples * (2 if not group.startswith("asian") else 1)  # both of an antithetic pair
    benchmark.extra_info.update(
        path_steps_per_second=paths * steps / seconds,
        error=float(error),
        standard_error=float(spread),
        seconds_per_point=seconds,
        equal_error_seconds=seconds * (float(spread) / TARGET) ** 2,
    )
