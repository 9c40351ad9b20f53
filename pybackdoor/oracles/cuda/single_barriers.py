"""The eight options with a single barrier: a thread an option."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.single_barrier import single_barrier


@kernel()
def price(points, values, gradients, status, call, down, knocked_in):  # type: ignore[no-untyped-def]
    """The kind as `single_barrier` takes it."""
    row = cuda.grid(1)
    if row < values.shape[0]:
        x = points[row]
        answer = single_barrier(call, down, knocked_in, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
        store(answer, row, values, gradients, status)
