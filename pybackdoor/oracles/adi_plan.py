"""Time steps for `adi.solve`."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def graded(steps: int, groups: int, *, damped: int) -> np.ndarray:
    """A plan [n, 3] over 0 <= t <= 1 whose steps are twice as long from group to group, `steps` in each.

    The first `damped` steps are each replaced by two damping ones of half the length, which smooth kinks in the data. Their number should not
    grow with `steps`: their own error is of first order. The solution of a problem with a kink changes as sqrt(t) at first, so short steps
    come first.

    >>> graded(2, 1, damped=1).tolist()
    [[0.25, 0.25, 1.0], [0.25, 0.25, 1.0], [0.5, 0.25, 0.0]]
    """
    lengths = np.repeat(2.0 ** np.arange(groups), steps)
    lengths /= lengths.sum()
    starts = np.repeat(0.5 * lengths[:damped], 2)
    rest = lengths[damped:]
    return np.concatenate([np.stack([starts, starts, np.ones_like(starts)], 1), np.stack([rest, 0.5 * rest, np.zeros_like(rest)], 1)])
