"""The European option by Monte Carlo: the walk is drawn once for all points, a path costs two exponentials."""

from __future__ import annotations

import torch

from pybackdoor.oracles.cuda.launch import device
from pybackdoor.oracles.cuda.path_engine import Solution
from pybackdoor.oracles.cuda.path_engine import estimate as over_paths
from pybackdoor.oracles.cuda.path_sums import PathProblem
from pybackdoor.oracles.draws import Draws
from pybackdoor.oracles.scalar import vanilla_path


@device
def _path(frames, point, numbers, table, place, sums):  # type: ignore[no-untyped-def]
    asset, weight, tilted = vanilla_path.path(numbers[0, place], frames[0, point], frames[1, point], frames[2, point], frames[3, point])
    sums[0] += asset
    sums[1] += weight
    sums[2] += tilted


_PROBLEM = PathProblem(
    "european", vanilla_path.prepare, _path, _path, vanilla_path.finish, 6, vanilla_path.FRAME, vanilla_path.SUMS, vanilla_path.SUMS
)


def estimate(draws: Draws, points: torch.Tensor, gradient: bool, sign: float) -> Solution:
    """Value, gradient, status and standard error at points [n, 6]; sign: 1 for the call, -1 for the put."""
    return over_paths(_PROBLEM, draws, points, gradient, (sign,), summed=True)
