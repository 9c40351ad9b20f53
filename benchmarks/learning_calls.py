"""Active learning against random sampling at equal oracle calls: `python -m benchmarks.learning_calls [oracle ...]` prints the table.

Ratios of the final test RMSE and maximum error to those of the continued Sobol sequence: geometric means over five seeds, 95 % intervals (paired, t).
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

from pybackdoor.active import LearningHistory
from pybackdoor.data import sample
from pybackdoor.loops.active_learning import learn
from pybackdoor.loops.learn_config import LearnConfig
from pybackdoor.oracles import oracle

SEEDS = 5
STUDENT = 2.776  # 97.5 % of Student's t with four degrees of freedom
BUDGETS = {"down_and_out_put": (1000, 5000), "friedman1": (200, 1000), "hartmann6": (200, 1000), "branin": (100, 400)}


def interval(ratios: list[float]) -> str:
    """Geometric mean and its interval."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = sum(logs) / SEEDS
    half = STUDENT * math.sqrt(sum((value - mean) ** 2 for value in logs) / (SEEDS - 1) / SEEDS)
    return f"{math.exp(mean):.2f} [{math.exp(mean - half):.2f}, {math.exp(mean + half):.2f}]"


def compare(name: str) -> None:
    """Prints one oracle's rows."""
    asked, (start, budget) = oracle(name), BUDGETS[name]
    test = sample(asked, 10_000, method="uniform", seed=5)

    def histories(strategy: str) -> list[LearningHistory]:
        config = LearnConfig(strategy=strategy, start=start, budget=budget)
        return [learn(asked, replace(config, seed=seed), test=test)[1] for seed in range(SEEDS)]

    random = histories("random")
    for strategy in ("disagreement", "maximizers"):
        pairs = list(zip(histories(strategy), random, strict=True))
        errors = [
            interval([getattr(mine, field)[-1] / getattr(theirs, field)[-1] for mine, theirs in pairs]) for field in ("test_rmse", "test_max_error")
        ]
        print(f"{name:18s}{budget:6d} calls  {strategy:14s}RMSE {errors[0]:20s}maximum {errors[1]}", flush=True)


if __name__ == "__main__":
    for problem in sys.argv[1:] or BUDGETS:
        compare(problem)
