"""Heston's put and call: a thread an option, which goes along its own contour."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.heston_price import FIRST, SEARCH, SHORTEST, assembled, contour, goes_on, integrand, integrand_slopes


@kernel()
def price(points, values, gradients, status, sign, count):  # type: ignore[no-untyped-def]
    """sign: 1 for the call, -1 for the put; count: points of the contour."""
    row = cuda.grid(1)
    if row >= values.shape[0]:
        return
    x = points[row]
    spot, strike, maturity, rate, dividend = x[0], x[1], max(x[7], SHORTEST), x[8], x[9]
    model = x[2], x[3], x[4], x[5], x[6], maturity
    frame, upper = contour(spot, strike, model, rate, dividend)
    lower = FIRST
    for _ in range(SEARCH):
        middle = 0.5 * (lower + upper)
        if goes_on(middle, frame, model):
            lower = middle
        else:
            upper = middle
    step = upper / count
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(count):
        y = (j + 0.5) * step
        if gradients.ndim == 2:
            t0, t1, t2, t3, t4, t5, t6, t7 = integrand_slopes(y, frame, model)
            s0, s1, s2, s3, s4, s5, s6, s7 = s0 + t0, s1 + t1, s2 + t2, s3 + t3, s4 + t4, s5 + t5, s6 + t6, s7 + t7
        else:
            part, _, _ = integrand(y, frame, model)
            s0 += part[0]
    answer = assembled(sign, spot, strike, maturity, rate, dividend, step, (s0, s1, s2, s3, s4, s5, s6, s7))
    store(answer, row, values, gradients, status)
