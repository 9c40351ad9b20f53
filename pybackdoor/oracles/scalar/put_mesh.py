"""The mesh of the down-and-out put's finite-difference solver, in scaled logarithmic coordinates.

With x = log(spot / barrier), k = log(strike / barrier), w = sigma^2 T, g = r T and time to maturity t T, 0 <= t <= 1, the undiscounted price over the
barrier solves u_t = (w / 2) u_xx + c u_x, c = g - w / 2, from (exp k - exp x)+ at t = 0 with u = 0 at the barrier x = 0: four numbers instead of six.

The mesh has its first node on the barrier (or where the barrier is out of reach), its middle node on the strike at t = 0, and reaches REACH
deviations s = w^(1/2) beyond the spot. Its cells grow as cubics of the node number from the strike outwards and, towards the barrier, shrink again
to resolve the layer of width s / (1 + (c / s)^2)^(1/2) there. Where the drift is strong the nodes move with it, x_i(t) = x_i + (1 - t) D x_i^2 /
(x_i^2 + s^2), all but those near the barrier.

The functions are analytic between their branches and take complex numbers, so that the derivatives of the mesh come by the complex step (W. Squire
and G. Trapp, SIAM Review 40 (1998), 110-112).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar

REACH = 6.0
STRIKE_REACH = 4.5  # deviations from the spot beyond which the strike is not followed
WEAK, STRONG = 2.0, 4.0  # c / s at which the mesh begins to move with the drift, and does so fully
# The cells at the strike, of an even mesh's, on the shorter and on the longer side; at the barrier; and there within the layer. Chosen by the errors
# over the domain and over its corners.
_SHORT_SIDE, _LONG_SIDE, _BARRIER, _LAYER = 1.2, 0.2, 0.5, 2.0


@scalar
def _smooth_step(position):  # type: ignore[no-untyped-def]
    """0 below 0, 1 above 1, a cubic between."""
    if position.real <= 0.0:
        return position * 0.0
    if position.real >= 1.0:
        return position * 0.0 + 1.0
    return position * position * (3.0 - 2.0 * position)


@scalar
def _ahead(x, distance, near):  # type: ignore[no-untyped-def]
    return distance * x * x / (x * x + near * near)


@scalar
def _node_that_starts_at(start, distance, near):  # type: ignore[no-untyped-def]
    """The x with x + D x^2 / (x^2 + s^2) = start: bisection for the number, one Newton step that carries its derivatives."""
    low, high = 0.0, start.real
    for _ in range(60):
        x = 0.5 * (low + high)
        if x + _ahead(x, distance, near).real < start.real:
            low = x
        else:
            high = x
    x = 0.5 * (low + high)
    square = x * x + near * near
    return x - (x + distance * x * x / square - start) / (1.0 + 2.0 * distance * x * near * near / (square * square))


@scalar
def mesh_frame(log_spot, log_strike, variance, growth):  # type: ignore[no-untyped-def]
    """(first node, middle node, last node, D, s, layer, share of the drift the mesh moves with), the nodes at t = 1."""
    deviation = variance**0.5
    drift = growth - 0.5 * variance
    ratio = drift / deviation
    moving = _smooth_step((ratio - WEAK) / (STRONG - WEAK))
    layer = deviation / (1.0 + ratio * ratio) ** 0.5
    distance = moving * drift
    aim = log_spot + drift - distance  # where the drift leads from the spot, on the mesh
    first = (aim if drift.real < 0.0 else log_spot) - REACH * deviation
    if first.real < 0.0:
        first = first * 0.0
    last = (log_spot if drift.real < 0.0 else aim) + REACH * deviation

    middle = _node_that_starts_at(log_strike, distance, deviation)
    low, high = aim - STRIKE_REACH * deviation, aim + STRIKE_REACH * deviation
    if low.real < first.real + 1e-3 * deviation.real:
        low = first + 1e-3 * deviation
    if middle.real < low.real:
        middle = low
    elif middle.real > high.real:
        middle = high
    return first, middle, last, distance, deviation, layer, moving


@scalar
def mesh_node(row, half, frame):  # type: ignore[no-untyped-def]
    """Node `row` of 2 half + 1 at t = 1, and how far ahead of it the node is at t = 0."""
    first, middle, last, distance, deviation, layer, _ = frame
    left, right = middle - first, last - middle
    part = abs(row - half) / half
    if row >= half:
        p = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * left / (left + right)
        x = middle + right * part * (p + (1.0 - p) * part * part)
    elif row > 0:
        p = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * right / (left + right)
        b = _BARRIER * _LAYER * layer / (_BARRIER * left + _LAYER * layer)
        x = middle - left * part * (p + part * ((3.0 - 2.0 * p - b) + part * (p + b - 2.0)))
    else:
        x = first  # on the barrier exactly
    return x, _ahead(x, distance, deviation)


@scalar
def fitted_drift(h0, h1, variance, growth):  # type: ignore[no-untyped-def]
    """The drift between cells h0 and h1 with which three-point differences are exact for exp x, so that forward prices have no error in space.

    Returns it, and its derivatives in h0, h1, variance and growth.
    """
    e0, e1 = math.expm1(-h0), math.expm1(h1)
    bend, span = e0 / h0 + e1 / h1, e1 - e0
    drift = (growth * (h0 + h1) - variance * bend) / span
    left = (growth + variance * (e0 + 1.0 + e0 / h0) / h0 - drift * (e0 + 1.0)) / span
    right = (growth - variance * (e1 + 1.0 - e1 / h1) / h1 - drift * (e1 + 1.0)) / span
    return drift, left, right, -bend / span, (h0 + h1) / span
