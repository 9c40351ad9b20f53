"""The down-and-out put: a thread an option."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.down_and_out_put import OK, down_and_out_put


@kernel()
def price(points, values, gradients, status, spot):  # type: ignore[no-untyped-def]
    """spot: of all options."""
    row = cuda.grid(1)
    if row < values.shape[0]:
        x = points[row]
        code, value, strike, barrier, volatility, maturity, rate = down_and_out_put(spot, x[0], x[1], x[2], x[3], x[4])
        store((value, strike, barrier, volatility, maturity, rate), row, values, gradients, status)
        if code != OK:
            status[row] = code
