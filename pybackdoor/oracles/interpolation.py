"""Lagrange interpolation in one lane of [nodes, LANES] arrays, with the derivatives of its outcome."""

from __future__ import annotations

from pybackdoor.oracles.compiled import scalar

STENCIL = 6


@scalar
def read_at(point, lane, x, u, u_bar, x_bar, lowest=0):  # type: ignore[no-untyped-def]
    """The value and slope at `point` of the quintic through the STENCIL nodes about it (fewer on one side near an end), where x increases;
    of those from node `lowest` on, if there are enough.

    Fills the lane's columns of u_bar and x_bar with the value's derivatives in the nodal values u and the nodes x. A node that moves with its value
    held does what a change of the value by -slope would do.
    """
    low, high = 0, x.shape[0] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle, lane] <= point:
            low = middle
        else:
            high = middle
    begin = min(max(low - STENCIL // 2 + 1, lowest, 0), x.shape[0] - STENCIL)
    for row in range(x.shape[0]):
        u_bar[row, lane] = 0.0
        x_bar[row, lane] = 0.0
    value, slope = 0.0, 0.0
    for node in range(begin, begin + STENCIL):
        share, slope_here = 1.0, 0.0
        for other in range(begin, begin + STENCIL):
            if other != node:
                share *= (point - x[other, lane]) / (x[node, lane] - x[other, lane])
                slope_here += _slope_share(other, node, begin, lane, x) * (u[other, lane] - u[node, lane])
        value += share * u[node, lane]
        slope += share * slope_here
        u_bar[node, lane] = share
        x_bar[node, lane] = -share * slope_here
    return value, slope


@scalar
def _slope_share(node, at, begin, lane, x):  # type: ignore[no-untyped-def]
    """What the slope at node `at` takes from the value at another node."""
    share = 1.0 / (x[node, lane] - x[at, lane])
    for other in range(begin, begin + STENCIL):
        if other not in (node, at):
            share *= (x[at, lane] - x[other, lane]) / (x[node, lane] - x[other, lane])
    return share
