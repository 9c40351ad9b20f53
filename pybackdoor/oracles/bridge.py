"""Brownian motion at equal times on [0, 1] from normal numbers, the coarse before the fine.

The first number gives W(1), every further one the middle of the longest gap left (R. E. Caflisch, W. Morokoff and A. Owen, Journal of Computational
Finance 1 (1997), 27-46): the first coordinates of a quasi-random point, which are its best, carry most of the path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel


class BridgePlan(NamedTuple):
    """How number j makes W at time at[j] from its neighbours: low[j] W(left[j]) + high[j] W(right[j]) + spread[j] z_j; times 0 .. steps."""

    at: np.ndarray
    left: np.ndarray
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spread: np.ndarray


def bridge_plan(steps: int) -> BridgePlan:
    """The plan for `steps` equal steps."""
    at, left, right = [steps], [0], [0]
    gaps = [(0, steps)]
    while gaps:
        start, stop = gaps.pop(0)
        middle = (start + stop) // 2
        if middle > start:
            at, left, right = [*at, middle], [*left, start], [*right, stop]
            gaps += [(start, middle), (middle, stop)]
    times, starts, stops = np.array(at), np.array(left), np.array(right)
    width = np.maximum(stops - starts, 1)
    low, high = np.where(stops > 0, (stops - times) / width, 0.0), np.where(stops > 0, (times - starts) / width, 0.0)
    spread = np.where(stops > 0, np.sqrt(np.abs((stops - times) * (times - starts)) / (width * steps)), 1.0)
    return BridgePlan(times, starts, stops, low, high, spread)


@kernel
def bridge(plan, normals, walk):  # type: ignore[no-untyped-def]
    """Fills walk [steps, n], W at the times 1 / steps, 2 / steps .. 1, from normals [steps, n]."""
    for j in range(normals.shape[0]):
        here, z = walk[plan.at[j] - 1], normals[j]
        left, right = walk[max(plan.left[j] - 1, 0)], walk[max(plan.right[j] - 1, 0)]
        low = plan.low[j] if plan.left[j] > 0 else 0.0
        high, spread = plan.high[j], plan.spread[j]
        if plan.right[j] == 0:  # W(1)
            for i in range(here.shape[0]):
                here[i] = z[i]
        elif plan.left[j] == 0:
            for i in range(here.shape[0]):
                here[i] = high * right[i] + spread * z[i]
        else:
            for i in range(here.shape[0]):
                here[i] = low * left[i] + high * right[i] + spread * z[i]
