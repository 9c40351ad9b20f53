"""The loop: what it spends, what it gains, and that it can be stopped and gone on with."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pybackdoor import settings
from pybackdoor.active import LearningHistory
from pybackdoor.data import design, sample
from pybackdoor.errors import InputError, OracleFailedError
from pybackdoor.loops.active_learning import learn, learning_rounds
from pybackdoor.loops.learn_config import LearnConfig
from pybackdoor.models import FitConfig
from pybackdoor.oracles import BudgetedOracle, CallableOracle, CountedOracle, Oracle, oracle

FIT = FitConfig(widths=(16, 16), epochs=1, least_steps=60)
QUICK = LearnConfig(start=40, budget=101, rounds=3, fit=FIT, fine_tune_steps=30)
STRATEGIES = ("disagreement", "maximizers", "random")


def failing() -> Oracle:
    """Branin, but NaN for x1 > 5: a third of the domain."""
    inner = oracle("branin")
    return CallableOracle(lambda x: np.where(x[:, 0] <= 5, inner.values(x).numpy(), np.nan), inner.domain, name="failing")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_call_is_counted_and_none_too_many(strategy: str) -> None:
    counted = CountedOracle(oracle("branin"))
    surrogate, history, samples = learn(counted, replace(QUICK, strategy=strategy, test_rows=30))
    assert history.oracle_calls == (40, 60, 80, 101)
    assert history.test_calls == 30
    assert counted.value_calls == 131
    assert history.rows[-1] == samples.count
    assert samples.count == 101 if strategy != "maximizers" else 90 < samples.count <= 101  # an answer asked for twice is one row
    torch.testing.assert_close(samples.y, oracle("branin").values(samples.x))
    assert [math.isfinite(error) for error in history.test_rmse + history.test_max_error] == [True] * 8
    assert history.fresh_rmse[0] is None
    assert surrogate.values(samples.x).shape == (samples.count,)
    assert LearningHistory.from_dict(json.loads(json.dumps(history.to_dict()))) == history


def test_random_goes_on_with_the_sequence_of_the_start() -> None:
    _, history, samples = learn(oracle("branin"), replace(QUICK, strategy="random"))
    torch.testing.assert_close(samples.x, design(samples.domain, 101, method="sobol", seed=0))
    assert all(error is not None for error in history.fresh_rmse[1:])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_goes_on_bit_for_bit(strategy: str) -> None:
    config = replace(QUICK, strategy=strategy, test_rows=20, seed=4)
    states = list(learning_rounds(oracle("branin"), config))
    assert [state.history.rounds for state in states] == [1, 2, 3, 4]
    surrogate, history, samples = learn(oracle("branin"), config, state=states[1])
    torch.testing.assert_close(samples.x, states[-1].samples.x, rtol=0, atol=0)
    torch.testing.assert_close(surrogate.network.weights, states[-1].surrogate.network.weights, rtol=0, atol=0)
    assert (history.test_rmse, history.test_calls) == (states[-1].history.test_rmse, 20)
    done = learn(oracle("branin"), config, state=states[-1])
    assert done[1] == states[-1].history  # nothing is left to do
    with pytest.raises(InputError, match="to go on"):
        learn(oracle("branin"), replace(config, seed=5), state=states[1])


def test_a_smaller_budget_of_the_oracle_ends_the_run() -> None:
    _, history, samples = learn(BudgetedOracle(oracle("branin"), 70), QUICK)
    assert history.oracle_calls == (40, 60, 70)
    assert samples.count == 70


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_failing_points_are_paid_counted_and_left_out(strategy: str) -> None:
    _, history, samples = learn(failing(), replace(QUICK, strategy=strategy))
    assert history.oracle_calls[-1] == 101
    assert history.failures[-1] > 20
    if strategy != "maximizers":
        assert samples.count + history.failures[-1] == 101
    assert (samples.x[:, 0] <= 5).all()


def test_an_oracle_that_always_fails_is_an_error() -> None:
    broken = CallableOracle(lambda x: x[:, 0] * float("nan"), oracle("branin").domain, name="broken")
    with pytest.raises(OracleFailedError, match="0 of the 40 points"):
        learn(broken, QUICK)


def test_stops_at_the_target_error() -> None:
    test = sample(oracle("branin"), 50, method="uniform", seed=8)
    _, history, _ = learn(oracle("branin"), replace(QUICK, target_error=1e6), test=test)
    assert (history.rounds, history.test_calls, history.test_rows) == (1, 0, 50)
    _, history, _ = learn(oracle("branin"), replace(QUICK, target_error=1e6))
    assert history.rounds == 2  # without a test set the error is known after a round's space-filling rows


@pytest.mark.parametrize("threads", [2])
def test_same_seed_same_rows_whatever_the_threads(threads: int) -> None:
    one = learn(oracle("branin"), QUICK)
    try:
        torch.set_num_threads(threads)
        with settings.use_threads(threads):
            two = learn(oracle("branin"), QUICK)
    finally:
        torch.set_num_threads(1)
    torch.testing.assert_close(two[2].x, one[2].x, rtol=0, atol=0)
    torch.testing.assert_close(two[0].network.weights, one[0].network.weights, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["hartmann6", pytest.param("down_and_out_put", marks=pytest.mark.slow)])
def test_beats_random_sampling_at_equal_calls(name: str) -> None:
    start, widths = (150, (32, 32)) if name == "hartmann6" else (500, (64, 64, 64))
    config = LearnConfig(start=start, budget=4 * start, rounds=4, fit=FitConfig(widths=widths, epochs=1, least_steps=800), fine_tune_steps=500)
    test = sample(oracle(name), 2000, method="uniform", seed=1234)
    ratios = []
    for seed in range(4):
        active, random = (learn(oracle(name), replace(config, strategy=strategy, seed=seed), test=test)[1] for strategy in ("disagreement", "random"))
        assert active.oracle_calls == random.oracle_calls
        assert random.test_rmse[-1] < 0.7 * random.test_rmse[0]  # there was something to learn, and it was learned
        ratios.append(math.log(active.test_rmse[-1] / random.test_rmse[-1]))
    mean = sum(ratios) / 4
    error = math.sqrt(sum((ratio - mean) ** 2 for ratio in ratios) / 12)
    assert mean + 2.35 * error < 0  # 95 %, one-sided, three degrees of freedom


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "greedy"},
        {"refit": "no"},
        {"start": 1},
        {"start": 200},
        {"target_error": 0.0},
        {"rounds": -1},
        {"exploration": 0.6, "maximizer_share": 0.6},
    ],
)
def test_unusable_configurations_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match="learn: "):
        replace(QUICK, **change)
