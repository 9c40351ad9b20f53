"""Active against random learning at equal oracle calls, over several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pybackdoor.data import sample
from pybackdoor.loops.active_learning import learn
from pybackdoor.loops.learn_config import STRATEGIES, LearnConfig
from pybackdoor.oracles import Oracle


@dataclass(frozen=True)
class LearningCurves:
    """Test RMSE, target units, after the first fit and each round: calls [K] spent by then, errors {strategy: [S, K]} of S seeds."""

    calls: torch.Tensor
    errors: dict[str, torch.Tensor]


def compare_strategies(
    oracle: Oracle,
    config: LearnConfig,
    *,
    seeds: Sequence[int],
    strategies: Sequence[str] = STRATEGIES,
    test_rows: int = 10_000,
    progress: bool = False,
) -> LearningCurves:
    """Learns with each strategy and each seed; all strategies of a seed share the first design and one test set, whose calls are not counted.

    `config.strategy` and `config.seed` are replaced. An oracle that fails at points would make the calls differ: the oracle must be total.
    """
    errors: dict[str, list[list[float]]] = {strategy: [] for strategy in strategies}
    calls: tuple[float, ...] = ()
    for seed in seeds:
        test = sample(oracle, test_rows, method="uniform", seed=2 * seed + 2)
        for strategy in strategies:
            _, history, _ = learn(oracle, replace(config, strategy=strategy, seed=seed), test=test, progress=progress)
            errors[strategy].append([error for error in history.test_rmse if error is not None])
            calls = history.oracle_calls
    curves = {strategy: torch.tensor(rows, dtype=torch.float64) for strategy, rows in errors.items()}
    return LearningCurves(torch.tensor(calls, dtype=torch.float64), curves)
