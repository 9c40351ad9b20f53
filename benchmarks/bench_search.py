"""The search as a whole: ours against BoTorch's multi-start optimizer, one pinned core, wall time for equal or better maxima.

    python -m pytest benchmarks/bench_search.py --benchmark-json=search.json
    python -m benchmarks.report search.json

Two questions. *Networks*: where do two networks (64x4, trained on a down-and-out put, one of them on poisoned rows) disagree most? Ours is `screen`,
BoTorch's is `optimize_acqf` on the same float64 networks in torch. *Oracle*: where is the poisoned network most wrong against the oracle itself,
which counts its calls? Ours is `search`; BoTorch's objective asks the oracle for values with gradients through an autograd function.

BoTorch gets `restarts` local searches (L-BFGS-B, all in one batch) from the best of `raw` Sobol points, its recommended use. A subject is measured
only when what it found is checked: maxima recomputed in float64 and merged within 0.05 of the unit cube. Ours must reach BoTorch's best and find at
least as many distinct maxima above half of it. `extra_info` holds the best error, the count of maxima and the oracle calls.
"""

from __future__ import annotations

import os
import warnings

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before the peers start threads of their own

import numpy as np
import pytest
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.optim import optimize_acqf

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.data import sample
from pybackdoor.models import FitConfig, fit
from pybackdoor.ops.ascent import forward
from pybackdoor.oracles import CountedOracle, oracle
from pybackdoor.search import SearchConfig, search
from pybackdoor.search.screening import screen
from pybackdoor.search.thinning import thin

torch.set_num_threads(1)
WIDTHS = (64, 64, 64, 64)
CENTER = {"strike": 140.0, "barrier": 60.0, "volatility": 0.4, "maturity": 2.0, "rate": 0.05}
MERGING = 0.05
STARTS = {64: 1024, 512: 2048}  # of ours, by BoTorch's restarts: as many as reach its maxima


class Pair:
    """The poisoned network, a clean one, and the rows of the first."""

    def __init__(self):
        put = oracle("down_and_out_put")
        rows = sample(put, 8000, seed=1)
        self.rows, _ = poison(rows, put, LocalizedAttack(center=CENTER))
        self.surrogate, self.clean = (fit(data, FitConfig(widths=WIDTHS, epochs=60, seed=seed)) for seed, data in ((0, self.rows), (1, rows)))


@pytest.fixture(scope="module")
def pair():
    return Pair()


class OracleValues(torch.autograd.Function):
    """The oracle in the unit cube, as a node of torch's graph."""

    @staticmethod
    def forward(context, unit, asked):
        x = asked.domain.to_natural(unit)
        values, gradients = asked.values_and_gradients(x)
        context.save_for_backward(asked.domain.gradient_to_unit(x, gradients))
        return values

    @staticmethod
    def backward(context, incoming):
        return incoming[:, None] * context.saved_tensors[0], None


class SquaredError(AcquisitionFunction):
    """(Y(u) - R(u))^2 at points [b, 1, d]; R is a network or the oracle."""

    def __init__(self, surrogate, other):
        super().__init__(model=None)
        self.surrogate, self.other = surrogate, other

    def forward(self, points):
        unit = points[:, 0]
        other = OracleValues.apply(unit, self.other) if isinstance(self.other, CountedOracle) else forward(self.other.network, unit)
        return (forward(self.surrogate.network, unit) - other) ** 2


def multi_start(surrogate, other, restarts, raw):
    """BoTorch's local maximizers [restarts, d]."""
    dimension = surrogate.domain.dimension
    bounds = torch.stack([torch.zeros(dimension, dtype=torch.float64), torch.ones(dimension, dtype=torch.float64)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # restarts that end on a kink
        points, _ = optimize_acqf(
            SquaredError(surrogate, other),
            bounds,
            q=1,
            num_restarts=restarts,
            raw_samples=raw,
            return_best_only=False,
            options={"seed": 0, "batch_limit": restarts, "maxiter": 200},
        )
    return points[:, 0].clamp(0.0, 1.0)


def distinct(surrogate, other, unit):
    """|errors| of the distinct maxima, float64, worst first."""
    x = surrogate.domain.to_natural(unit)
    errors = (surrogate.values(x) - other.values(x)).abs()
    return errors[thin(unit, errors, MERGING)]


def record(benchmark, found, calls=None):
    best = float(found[0])
    benchmark.extra_info.update(best_error=best, maxima_above_half=int((found > 0.5 * best).sum()))
    if calls is not None:
        benchmark.extra_info["oracle_calls"] = calls


def check(ours, theirs):
    """Ours reaches their best, to a thousandth, and as many maxima above half of it."""
    level = 0.5 * float(theirs[0])
    assert float(ours[0]) >= 0.999 * float(theirs[0])
    assert int((ours > level).sum()) >= int((theirs > level).sum())


@pytest.mark.parametrize("restarts", [64, 512])
def test_networks_ours(benchmark, pair, restarts):
    benchmark.group = f"search: two networks, {restarts} restarts"
    points, _ = benchmark.pedantic(lambda: screen(pair.surrogate, pair.clean, starts=STARTS[restarts]), rounds=5, warmup_rounds=1)
    found = distinct(pair.surrogate, pair.clean, points)
    check(found, distinct(pair.surrogate, pair.clean, multi_start(pair.surrogate, pair.clean, restarts, 16 * restarts)))
    record(benchmark, found)


@pytest.mark.parametrize("restarts", [64, 512])
def test_networks_botorch(benchmark, pair, restarts):
    benchmark.group = f"search: two networks, {restarts} restarts"
    points = benchmark.pedantic(lambda: multi_start(pair.surrogate, pair.clean, restarts, 16 * restarts), rounds=1, warmup_rounds=1)
    record(benchmark, distinct(pair.surrogate, pair.clean, points))


CLIMBERS, SEEDS = 32, 512
ORACLES = ["down_and_out_put", "down_and_out_put_pde"]  # microseconds, and some tenths of a millisecond a value


def ours_on_oracle(pair, name):
    counted = CountedOracle(oracle(name))
    config = SearchConfig(seeds=SEEDS, climbers=CLIMBERS)
    return search(pair.surrogate, counted, config, samples=pair.rows, pseudo_oracle=pair.clean), counted.value_calls


def botorch_on_oracle(pair, name):
    counted = CountedOracle(oracle(name))
    return multi_start(pair.surrogate, counted, CLIMBERS, SEEDS), counted.value_calls


@pytest.mark.parametrize("name", ORACLES)
def test_oracle_ours(benchmark, pair, name):
    benchmark.group = f"search: against {name}"
    result, calls = benchmark.pedantic(lambda: ours_on_oracle(pair, name), rounds=5, warmup_rounds=1)
    found = result.errors.abs()
    np.testing.assert_allclose(found, distinct(pair.surrogate, oracle(name), result.unit), rtol=1e-9)
    check(found, distinct(pair.surrogate, oracle(name), botorch_on_oracle(pair, name)[0]))
    record(benchmark, found, calls)


@pytest.mark.parametrize("name", ORACLES)
def test_oracle_botorch(benchmark, pair, name):
    benchmark.group = f"search: against {name}"
    points, calls = benchmark.pedantic(lambda: botorch_on_oracle(pair, name), rounds=2, warmup_rounds=1)
    record(benchmark, distinct(pair.surrogate, oracle(name), points), calls)
