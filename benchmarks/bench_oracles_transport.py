"""One-dimensional equations by finite differences: ours, value alone and with the whole gradient, against py-pde and QuantLib, one pinned core.

    python -m pytest benchmarks/bench_oracles_transport.py --benchmark-json=transport.json
    python -m benchmarks.report transport.json

On a crowded machine add --benchmark-timer=time.process_time.

extra_info: `prices_per_second` (values, where nothing is priced) of the best round; `median_error` and `largest_error` over ERRORS points of the
domain against the closed forms, Cole's and Hopf's integral for Burgers' equation; `failed`: values that are no number. py-pde is given 256 even
cells and its best solver (pypde_values.py), QuantLib's CEV engine 200 x 200 and no carry, its model being one of the forward; both give no gradient.
"""

from __future__ import annotations

import os
from functools import cache

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import pytest
import torch

from benchmarks import oracle_rates
from benchmarks.oracle_rates import time_ours
from benchmarks.quantlib_prices import DAYS, cev_puts_fd
from pybackdoor.data import design
from pybackdoor.oracles.burgers import Burgers
from pybackdoor.oracles.cev import CEVPut
from pybackdoor.oracles.cev_pde import CEVPutPDE
from pybackdoor.oracles.pulse import Pulse
from pybackdoor.oracles.reference_transport import burgers, pulse

BATCH, ERRORS = 4096, 48
KINDS = {"burgers": Burgers, "advection": Pulse, "cev": CEVPutPDE}
LEVELS = ("fast", "standard", "high")
OURS = {(group, level): kind(level) for group, kind in KINDS.items() for level in LEVELS}


@cache
def points(group: str, count: int) -> torch.Tensor:
    x = design(KINDS[group].domain, count, seed=17)
    if group == "cev":
        x[:, 4] = (x[:, 4] * DAYS).round().clamp(min=8) / DAYS
        x[:, 5] = x[:, 5].clamp(min=0.0)
        x[:, 6] = x[:, 5]
    return x


@cache
def truth(group: str) -> torch.Tensor:
    x = points(group, ERRORS)
    if group == "cev":
        return CEVPut().values(x)
    formula = {"burgers": burgers, "advection": pulse}[group]
    return torch.tensor([formula(*map(complex, row)).real for row in x.tolist()], dtype=torch.float64)


def note(benchmark, count: int, values: torch.Tensor, group: str) -> None:
    errors = (values - truth(group)).abs()
    oracle_rates.note(benchmark, count, errors, most=1e-2)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize(("group", "level"), OURS, ids=["-".join(key) for key in OURS])
def test_ours(benchmark, group, level, gradient):
    benchmark.group = group
    ours, x = OURS[group, level], points(group, BATCH)
    time_ours(benchmark, ours, x, gradient)
    note(benchmark, len(x), ours.values(points(group, ERRORS)), group)


@pytest.mark.parametrize("group", KINDS)
def test_pypde(benchmark, group):
    pytest.importorskip("pde", reason="py-pde (the bench extra) is not installed")
    from benchmarks import pypde_values

    benchmark.group = group
    solve = {"burgers": pypde_values.burgers, "advection": pypde_values.pulses, "cev": pypde_values.cev_puts}[group]
    x = points(group, ERRORS)
    solve(x[:1])
    values = benchmark.pedantic(solve, (x,), rounds=1, iterations=1)
    note(benchmark, len(x), values, group)


def test_quantlib(benchmark):
    benchmark.group = "cev"
    x = points("cev", ERRORS)
    prices = benchmark.pedantic(cev_puts_fd, (x, 200, 200), rounds=3, iterations=1)
    note(benchmark, len(x), prices, "cev")
