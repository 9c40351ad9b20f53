"""The call on the larger of two assets: a thread an option."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.max_call_two import max_call_two


@kernel()
def price(points, values, gradients, status):  # type: ignore[no-untyped-def]
    """All that `max_call_two` gives."""
    row = cuda.grid(1)
    if row < values.shape[0]:
        x = points[row]
        store(max_call_two((x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9])), row, values, gradients, status)
