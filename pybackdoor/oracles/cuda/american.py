"""American options by spectral collocation: a lane a node of the boundary, as many options side by side in a warp as there is room for.

A block is one warp, so that its barriers cost next to nothing. A lane sums its node's integrals and makes its row of Newton's system; the system is
solved in shared memory, every lane eliminating from its own row; then the lanes share out the premium's quadrature. All options take the same steps:
no lane waits for another's convergence. Tables (`pybackdoor.oracles.american`) are read through the caches.
"""

from __future__ import annotations

import math

from numba import cuda, float64

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.cuda.launch import device, kernel
from pybackdoor.oracles.cuda.rows import store
from pybackdoor.oracles.scalar.american_option import first_distance, posed, priced
from pybackdoor.oracles.scalar.american_points import (
    arguments,
    boundary_end,
    boundary_partials,
    boundary_point,
    boundary_terms,
    premium_partials,
    premium_point,
    premium_terms,
)
from pybackdoor.oracles.scalar.block import NOT_CONVERGED, OK
from pybackdoor.oracles.scalar.vmath import exp, log, mills_ratio

SUMS = 6  # of the premium: itself, its derivatives in log S, s, rho, kappa, and in the boundary
SIDES = 3  # right sides of Newton's system at most: the derivatives in s, rho, kappa


def shared_numbers(nodes: int, outer: int) -> int:
    """Numbers in shared memory an option: y, H, changes, system, sums, the premium's derivatives at its points."""
    return nodes * (3 + nodes + SIDES + SUMS) + outer


@kernel(block=32)
def price(points, values, gradients, status, call, coarse, fine, onward, premium, steps, last_steps, unsettled):  # type: ignore[no-untyped-def]
    """call: 1 for the call, which is the put with spot and strike, rate and dividend exchanged, 0 for the put; the rest as in `american`."""
    nodes, outer = fine.shape[0], premium.shape[0]
    group = cuda.threadIdx.x // nodes
    lane = cuda.threadIdx.x - group * nodes
    row = cuda.blockIdx.x * (cuda.blockDim.x // nodes) + group
    if group >= cuda.blockDim.x // nodes:  # lanes left over take part in the barriers
        group, lane, row = 0, nodes, 0
    x = points[min(row, values.shape[0] - 1)]
    spot, strike, volatility, rate, dividend = x[call], x[1 - call], x[2], x[4 + call], x[5 - call]
    maturity, deviation, rho, kappa, limit, log_spot = posed(spot, strike, volatility, x[3], rate, dividend)
    frame = deviation, 1.0 / deviation, rho, kappa, limit

    memory = cuda.shared.array(0, float64)
    size = nodes * (3 + nodes + SIDES + SUMS) + outer
    mine = memory[group * size : (group + 1) * size]
    y, h, moved = mine[:nodes], mine[nodes : 2 * nodes], mine[2 * nodes : 3 * nodes]
    system, sums = mine[3 * nodes : nodes * (3 + nodes + SIDES)], mine[nodes * (3 + nodes + SIDES) : size - outer]
    turns = mine[size - outer :]

    if lane < coarse.shape[0]:
        y[lane] = first_distance(coarse[lane, 0, 0], deviation, rho, kappa, limit)
    cuda.syncthreads()
    for part in range(2):
        table = coarse if part == 0 else fine
        _newton(table, steps if part == 0 else last_steps, part == 1 and gradients.ndim == 2, lane, frame, y, h, moved, system)
        if part == 0:
            _prolong(onward, lane, deviation, y, h)
    _sum_premium(premium, gradients.ndim == 2, lane, frame, log_spot, spot / strike, y, h, system, sums, turns)
    if lane == 0 and row < values.shape[0]:
        a, b, c, d, e, by_edge = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        change = 0.0
        for node in range(nodes):
            at = node * SUMS
            a, b, c, d, e, by_edge = a + sums[at], b + sums[at + 1], c + sums[at + 2], d + sums[at + 3], e + sums[at + 4], by_edge + sums[at + 5]
            change = max(change, moved[node])
        if limit > 0.0:  # the boundary's limit r/q moves with both
            d, e = d - by_edge / rho, e + by_edge / kappa
        given = spot, strike, volatility, maturity, rate, dividend
        early, value, by_spot, by_strike, by_volatility, by_maturity, by_rate, by_dividend = priced(given, log_spot <= -limit - y[0], (a, b, c, d, e))
        if call == 1:
            by_spot, by_strike, by_rate, by_dividend = by_strike, by_spot, by_dividend, by_rate
        store((value, by_spot, by_strike, by_volatility, by_maturity, by_rate, by_dividend), row, values, gradients, status)
        if early and change > unsettled and status[row] == OK:
            status[row] = NOT_CONVERGED
            values[row] = math.nan
            if gradients.ndim == 2:
                for feature in range(6):
                    gradients[row, feature] = math.nan


@inlined
def _at(root, over, own, there, frame):  # type: ignore[no-untyped-def]
    """(d-, E1, e E3, b) of the boundary's equation."""
    deviation, inverse, rho, kappa, limit = frame
    gap = there - own
    low, exponent = arguments(gap, root, over, deviation, inverse, rho, kappa)
    mills = mills_ratio(abs(low + deviation * root))
    peak, upper, below = boundary_terms(low, exp(exponent), exp(-gap), exp(-kappa * root * root), mills, exp(-limit - own), deviation * root)
    return low, peak, upper, below


@device
def _interpolated(point, count, h):  # type: ignore[no-untyped-def]
    """Y at a point of a table; above 0, where rounding or a wild polynomial could push it."""
    total = 0.0
    for node in range(count):
        total += point[3 + node] * h[node]
    return math.sqrt(max(total, 1e-12 * h[0]))


@device
def _newton(table, steps, gradient, lane, frame, y, h, moved, system):  # type: ignore[no-untyped-def]
    """Newton steps in H, as `scalar.american_boundary.newton`; with `gradient` the system's right sides become dy/d(s, rho, kappa) at the last y."""
    count = table.shape[0]
    width = count + SIDES
    for step in range(steps + 1 if gradient else steps):
        last = step == steps
        if lane < count:
            h[lane] = y[lane] * y[lane]
        cuda.syncthreads()
        if lane < count:
            _equation(table[lane], lane, last, frame, y, h, system[lane * width : (lane + 1) * width])
        cuda.syncthreads()
        _eliminate(count, SIDES if last else 1, lane, system)
        if lane < count and not last:
            change = system[lane * width + count] / y[lane]
            moved[lane] = table[lane, 0, 0] * table[lane, 0, 0] * abs(change)
            y[lane] *= math.sqrt(min(max(1.0 + 2.0 * change, 0.04), 9.0))
        cuda.syncthreads()


@device
def _equation(table, lane, last, frame, y, h, row):  # type: ignore[no-untyped-def]
    """A node's row of the Jacobian and its right side: log(loss / gain), or with `last` -dF/d(s, rho, kappa) / gain."""
    deviation, inverse, rho, kappa, limit = frame
    count, own = row.shape[0] - SIDES, y[lane]
    for node in range(count):
        row[node] = 0.0
    root = table[0, 0]
    low, peak, upper, _ = _at(root, table[0, 1], own, -limit, frame)
    gain, loss, slope_own = 0.0, upper, 0.0
    outflow, a, b, c = boundary_end(low, peak, upper, root, inverse)
    for number in range(1, table.shape[0]):
        point = table[number]
        root, over, weight = point[0], point[1], point[2]
        there = _interpolated(point, count, h)
        low, peak, upper, below = _at(root, over, own, there, frame)
        if last:
            da, db, dc = boundary_partials(low, peak, upper, below, root, deviation, inverse, rho, kappa)
            a, b, c = a + weight * da, b + weight * db, c + weight * dc
        more, less, rest, slope = boundary_point(low, peak, upper, below, inverse * over, rho, kappa)
        gain, loss, outflow, slope_own = gain + weight * more, loss + weight * less, outflow + weight * rest, slope_own + weight * slope
        turn = weight * slope / there
        for node in range(count):
            row[node] += point[3 + node] * turn
    scale = 1.0 / gain
    outflow += loss
    for node in range(count):
        row[node] *= y[node] * scale
    row[lane] += outflow / loss - slope_own * scale
    if not last:
        row[count] = log(loss * scale)
        return
    if limit > 0.0:  # X = r/q moves with both
        b, c = b - outflow / rho, c + outflow / kappa
    row[count], row[count + 1], row[count + 2] = -a * scale, -b * scale, -c * scale


@device
def _eliminate(count, sides, lane, system):  # type: ignore[no-untyped-def]
    """Solves for the right sides in place, each lane clearing its own row of every pivot; without pivoting, for the diagonal carries the matrix."""
    width = count + SIDES
    own = lane * width
    for pivot in range(count):
        here = pivot * width
        if lane == pivot:
            scale = 1.0 / system[here + pivot]
            for column in range(pivot + 1, count + sides):
                system[here + column] *= scale
        cuda.syncthreads()
        if lane < count and lane != pivot:
            factor = system[own + pivot]
            for column in range(pivot + 1, count + sides):
                system[own + column] -= factor * system[here + column]
        cuda.syncthreads()


@device
def _prolong(onward, lane, deviation, y, h):  # type: ignore[no-untyped-def]
    """The start on all nodes from the polynomial of few; near 0 that may bend too far down."""
    count = onward.shape[1] - 3
    if lane < count:
        h[lane] = y[lane] * y[lane]
    last = y[count - 1]
    cuda.syncthreads()
    if lane < onward.shape[0]:
        early = 0.5 * deviation * onward[lane, 0]  # below the boundary's course in a short time, 0.64 s x
        y[lane] = max(_interpolated(onward[lane], count, h), min(early, 0.9 * last))
    cuda.syncthreads()


@device
def _sum_premium(table, gradient, lane, frame, log_spot, moneyness, y, h, system, sums, turns):  # type: ignore[no-untyped-def]
    """sums: every lane's share of the premium and its derivatives."""
    deviation, inverse, rho, kappa, limit = frame
    count = table.shape[1] - 3
    if lane < count:
        h[lane] = y[lane] * y[lane]
    cuda.syncthreads()
    value, by_spot, a, b, c, by_edge = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for number in range(lane if lane < count else table.shape[0], table.shape[0], count):
        point = table[number]
        root, over, weight = point[0], point[1], point[2]
        there = _interpolated(point, count, h)
        low, exponent = arguments(log_spot + limit + there, root, over, deviation, inverse, rho, kappa)
        step, below = deviation * root, exp(-limit - there)
        discount, asset = exp(-rho * root * root), moneyness * exp(-kappa * root * root)
        peak, cash, asset = premium_terms(low, exp(exponent), below, mills_ratio(abs(low)), mills_ratio(abs(low + step)), discount, asset, step)
        more, slope, more_spot = premium_point(peak, cash, asset, below, over * inverse, rho, kappa)
        value, by_spot, by_edge = value + weight * more, by_spot + weight * more_spot, by_edge + weight * slope
        if gradient:
            da, db, dc = premium_partials(low, peak, cash, asset, below, root, deviation, inverse, rho, kappa)
            a, b, c = a + weight * da, b + weight * db, c + weight * dc
            turns[number] = weight * slope / there
    cuda.syncthreads()
    if lane < count:
        if gradient:
            total = 0.0
            for number in range(table.shape[0]):
                total += table[number, 3 + lane] * turns[number]
            total *= y[lane]
            side = lane * (count + SIDES) + count
            a, b, c = a + total * system[side], b + total * system[side + 1], c + total * system[side + 2]
        at = lane * SUMS
        sums[at], sums[at + 1], sums[at + 2], sums[at + 3], sums[at + 4], sums[at + 5] = value, by_spot, a, b, c, by_edge
    cuda.syncthreads()
