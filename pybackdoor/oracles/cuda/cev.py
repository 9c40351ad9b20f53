"""Options under constant elasticity of variance: a thread an option."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.cev import cev


@kernel()
def price(points, values, gradients, status, sign):  # type: ignore[no-untyped-def]
    """sign: 1 for the call, -1 for the put."""
    row = cuda.grid(1)
    if row < values.shape[0]:
        x = points[row]
        store(cev(sign, (x[0], x[1], x[2], x[3], x[4], x[5], x[6])), row, values, gradients, status)
