"""What the benchmarks of oracles have in common: how ours is timed, and what is noted of an answer. `benchmarks.report` prints the notes."""

from __future__ import annotations

import math
from typing import Any

import torch

from pybackdoor import settings
from pybackdoor.oracles import Oracle


def time_ours(benchmark: Any, ours: Oracle, x: torch.Tensor, gradient: bool) -> None:
    """The best of five evaluations on one thread, compiled before."""
    with settings.use_threads(1):
        ours.evaluate(x, gradient)
        benchmark.pedantic(ours.evaluate, (x, gradient), rounds=5, iterations=1)


def note(benchmark: Any, count: int, errors: torch.Tensor, *, most: float = math.inf) -> None:
    """The rate of `count` values in the best round, and the sizes of the errors that are numbers; the others are values that failed.

    most: what half of the errors stay below if the same thing is computed at all.
    """
    usable = errors[torch.isfinite(errors)]
    assert usable.median() < most
    benchmark.extra_info.update(
        prices_per_second=count / benchmark.stats.stats.min,
        median_error=float(usable.median()),
        largest_error=float(usable.max()),
        failed=errors.numel() - usable.numel(),
    )
