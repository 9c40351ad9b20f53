"""The exercise boundary of LANES American puts side by side, by Newton's method on its collocation points.

H = y^2, y = log(X / B) with X the boundary's limit at no time left, is interpolated in sqrt(tau / T) by the polynomial through Chebyshev points
and 0 at 0 (Andersen, Lake and Offengenden 2016, section 5); the integrals over t = tau sin^2(angle) are by Gauss-Legendre quadrature in the angle,
where both ends are smooth. A table holds what is the same for all options: at [node, point] root = sqrt(t / T), 1 / root, the weight, and the
interpolation's weights of H at all nodes; at point 0 the end t = tau.

The equation solved is log(gain) = log(loss), see `american_points`, for H: near the limit both sides are nearly linear in H, so that three or four
Newton steps do. They are made on few nodes first, whose polynomial is where those on all start.

What the formulas read and write lies in one work array, w, row after row of LANES, where LLVM sees that rows do not overlap; what belongs to nodes in
another, [rows, LANES]. Loops are short, each of one long chain of operations, so that the processor works on several iterations at once.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined, scalar
from pybackdoor.oracles.scalar.american_option import first_distance
from pybackdoor.oracles.scalar.american_points import arguments, boundary_end, boundary_partials, boundary_point, boundary_terms
from pybackdoor.oracles.scalar.vmath import exp, log, mills_ratio

LANES = 64
DEVIATION, INVERSE, RHO, KAPPA, LIMIT = range(0, 5 * LANES, LANES)  # where rows of w begin: the options, s, 1/s, rT, qT, -log X;
OWN, LEVEL, THERE, LOW = range(5 * LANES, 9 * LANES, LANES)  # y(tau), B(tau), y(tau - t), d-;
PEAK, RATIO, GROWTH, DISCOUNT, MILLS = range(9 * LANES, 14 * LANES, LANES)  # first the exponents of four exponentials, then these, and a Mills ratio;
GAIN, LOSS, OUTFLOW, SLOPE, PARTIALS = range(14 * LANES, 19 * LANES, LANES)  # integrals, e d, F's derivative in its own y, in three parameters;
SPOT, MONEYNESS, OTHER, OUT = range(21 * LANES, 25 * LANES, LANES)  # and for the price
CHANGE, ROWS = 31 * LANES, 32


@scalar
def node_rows(count):  # type: ignore[no-untyped-def]
    """Which rows of nodes hold y, H, the slopes, three right sides and the Jacobian of count nodes, and how many there are."""
    return 0, count, 2 * count, 3 * count, 6 * count, 6 * count + count * count


@scalar
def first_boundary(w, table, nodes):  # type: ignore[no-untyped-def]
    """Sets y, the first rows of nodes, to a first guess."""
    for node in range(table.shape[0]):
        for i in range(LANES):
            nodes[node, i] = first_distance(table[node, 0, 0], w[DEVIATION + i], w[RHO + i], w[KAPPA + i], w[LIMIT + i])


@scalar
def square(count, nodes):  # type: ignore[no-untyped-def]
    """Sets H."""
    for node in range(count):
        for i in range(LANES):
            nodes[count + node, i] = nodes[node, i] * nodes[node, i]


@scalar
def interpolate(point, count, nodes, w):  # type: ignore[no-untyped-def]
    """THERE = y at a point of the table; above 0, where rounding or a wild polynomial could push it. count is a multiple of 4."""
    for i in range(LANES):
        w[THERE + i] = 0.0
    for node in range(0, count, 4):
        a, b, c, d, row = point[3 + node], point[4 + node], point[5 + node], point[6 + node], count + node
        for i in range(LANES):
            w[THERE + i] += (a * nodes[row, i] + b * nodes[row + 1, i]) + (c * nodes[row + 2, i] + d * nodes[row + 3, i])
    for i in range(LANES):
        w[THERE + i] = math.sqrt(max(w[THERE + i], 1e-12 * nodes[count, i]))


@scalar
def clear_slopes(count, nodes):  # type: ignore[no-untyped-def]
    """Sets the slopes to 0."""
    for row in range(2 * count, 3 * count):
        for i in range(LANES):
            nodes[row, i] = 0.0


@scalar
def spread(point, count, nodes, w):  # type: ignore[no-untyped-def]
    """Adds the derivative in THERE, over THERE, to the slopes, those in the nodes' y over y. count is even."""
    for node in range(0, count, 2):
        a, b, row = point[3 + node], point[4 + node], 2 * count + node
        for i in range(LANES):
            nodes[row, i] += a * w[THERE + i]
            nodes[row + 1, i] += b * w[THERE + i]


@scalar
def exponentials(w, first, rows):  # type: ignore[no-untyped-def]
    """Exponentiates rows of w from `first` on, in place."""
    for i in range(first, first + rows * LANES):
        w[i] = exp(w[i])


@scalar
def _integrands(root, over, w):  # type: ignore[no-untyped-def]
    """LOW, PEAK, RATIO and GROWTH, and the Mills ratio of d+, from OWN and THERE."""
    for i in range(LANES):
        gap = w[THERE + i] - w[OWN + i]
        w[LOW + i], w[PEAK + i] = arguments(gap, root, over, w[DEVIATION + i], w[INVERSE + i], w[RHO + i], w[KAPPA + i])
        w[RATIO + i] = -gap
        w[GROWTH + i] = -w[KAPPA + i] * root * root
    exponentials(w, PEAK, 3)
    for i in range(LANES):
        w[MILLS + i] = mills_ratio(abs(w[LOW + i] + w[DEVIATION + i] * root))


@scalar
def _end(root, w):  # type: ignore[no-untyped-def]
    """GAIN, LOSS, OUTFLOW, SLOPE and PARTIALS: what is outside the integral."""
    for i in range(LANES):
        peak, upper, _ = _terms(root, w, i)
        w[GAIN + i], w[LOSS + i], w[SLOPE + i] = 0.0, upper, 0.0
        w[OUTFLOW + i], w[PARTIALS + i], w[PARTIALS + LANES + i], w[PARTIALS + 2 * LANES + i] = boundary_end(
            w[LOW + i], peak, upper, root, w[INVERSE + i]
        )


@inlined
def _terms(root, w, i):  # type: ignore[no-untyped-def]
    return boundary_terms(w[LOW + i], w[PEAK + i], w[RATIO + i], w[GROWTH + i], w[MILLS + i], w[LEVEL + i], w[DEVIATION + i] * root)


@scalar
def _add(root, over, weight, w):  # type: ignore[no-untyped-def]
    """A quadrature point into GAIN, LOSS, OUTFLOW and SLOPE; THERE becomes its derivative in y(tau - t), over y(tau - t)."""
    for i in range(LANES):
        peak, upper, below = _terms(root, w, i)
        gain, loss, rest, slope = boundary_point(w[LOW + i], peak, upper, below, w[INVERSE + i] * over, w[RHO + i], w[KAPPA + i])
        w[GAIN + i] += weight * gain
        w[LOSS + i] += weight * loss
        w[OUTFLOW + i] += weight * rest
        w[SLOPE + i] += weight * slope
        w[THERE + i] = weight * slope / w[THERE + i]


@scalar
def _add_partials(root, weight, w):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        peak, upper, below = _terms(root, w, i)
        a, b, c = boundary_partials(w[LOW + i], peak, upper, below, root, w[DEVIATION + i], w[INVERSE + i], w[RHO + i], w[KAPPA + i])
        w[PARTIALS + i] += weight * a
        w[PARTIALS + LANES + i] += weight * b
        w[PARTIALS + 2 * LANES + i] += weight * c


@scalar
def _residual(points, node, nodes, w, partials):  # type: ignore[no-untyped-def]
    """GAIN, LOSS, OUTFLOW, SLOPE, the slopes and, if asked for, PARTIALS of one node."""
    count = points.shape[1] - 3
    for i in range(LANES):
        w[OWN + i], w[THERE + i] = nodes[node, i], -w[LIMIT + i]
        w[LEVEL + i] = exp(-w[LIMIT + i] - w[OWN + i])
    clear_slopes(count, nodes)
    for number in range(points.shape[0]):
        point = points[number]
        root, over, weight = point[0], point[1], point[2]
        if number > 0:
            interpolate(point, count, nodes, w)
        _integrands(root, over, w)
        if number == 0:
            _end(root, w)
        else:
            if partials:
                _add_partials(root, weight, w)
            _add(root, over, weight, w)
            spread(point, count, nodes, w)


@scalar
def newton(w, table, steps, turns, nodes):  # type: ignore[no-untyped-def]
    """Newton steps from the y in nodes; with one turn more the right sides become dy/d(s, rho, kappa) at the last y.

    No step lowers y below a fifth of itself or trebles it. F's Jacobian in the y at other times, which is exact at the solution, serves for that of
    log(gain / loss).
    """
    count = table.shape[0]
    for step in range(turns):
        last = step == steps
        square(count, nodes)
        for node in range(count):
            _residual(table[node], node, nodes, w, last)
            _equation(w, node, count, nodes, last)
        _eliminate(w, count, nodes, 3 if last else 1)
        if not last:
            _step(w, table, nodes)


@scalar
def _step(w, table, nodes):  # type: ignore[no-untyped-def]
    """A Newton step in H; CHANGE: the largest of the nodes', relative to y, each times its share of the maturity."""
    count = table.shape[0]
    for i in range(LANES):
        w[CHANGE + i] = 0.0
    for node in range(count):
        share = table[node, 0, 0] * table[node, 0, 0]
        for i in range(LANES):
            y = nodes[node, i]
            change = nodes[3 * count + node, i] / y
            w[CHANGE + i] = max(w[CHANGE + i], share * abs(change))
            nodes[node, i] = y * math.sqrt(min(max(1.0 + 2.0 * change, 0.04), 9.0))


@scalar
def _equation(w, node, count, nodes, last):  # type: ignore[no-untyped-def]
    """A node's row of the Jacobian and its right side: log(loss / gain), or with `last` -dF/d(s, rho, kappa) / gain."""
    _, _, slopes, right, jacobian, _ = node_rows(count)
    jacobian += node * count
    for i in range(LANES):
        w[OTHER + i] = 1.0 / w[GAIN + i]
        w[OUTFLOW + i] += w[LOSS + i]
    for other in range(count):
        for i in range(LANES):
            nodes[jacobian + other, i] = nodes[slopes + other, i] * nodes[other, i] * w[OTHER + i]
    for i in range(LANES):
        nodes[jacobian + node, i] += w[OUTFLOW + i] / w[LOSS + i] - w[SLOPE + i] * w[OTHER + i]
    if last:
        for i in range(LANES):
            moving = w[OUTFLOW + i] if w[LIMIT + i] > 0.0 else 0.0  # X = r/q moves with both
            w[PARTIALS + LANES + i] -= moving / (w[RHO + i] if moving != 0.0 else 1.0)
            w[PARTIALS + 2 * LANES + i] += moving / (w[KAPPA + i] if moving != 0.0 else 1.0)
        for column in range(3):
            for i in range(LANES):
                nodes[right + column * count + node, i] = -w[PARTIALS + column * LANES + i] * w[OTHER + i]
    else:
        for i in range(LANES):
            nodes[right + node, i] = log(w[LOSS + i] * w[OTHER + i])


@scalar
def _eliminate(w, count, nodes, columns):  # type: ignore[no-untyped-def]
    """Solves the [count, count] systems for `columns` right sides [columns, count] in place, without pivots: the diagonal carries the matrix."""
    _, _, _, right, jacobian, _ = node_rows(count)
    for pivot in range(count):
        here = jacobian + pivot * count
        for i in range(LANES):
            w[OTHER + i] = 1.0 / nodes[here + pivot, i]
        for column in range(pivot + 1, count):
            _multiply(nodes, here + column, w)
        for column in range(columns):
            _multiply(nodes, right + column * count + pivot, w)
        for row in range(pivot + 1, count):
            there = jacobian + row * count
            for column in range(pivot + 1, count):
                _subtract(nodes, there + column, there + pivot, here + column)
            for column in range(columns):
                side = right + column * count
                _subtract(nodes, side + row, there + pivot, side + pivot)
    for pivot in range(count - 1, 0, -1):
        for row in range(pivot):
            for column in range(columns):
                side = right + column * count
                _subtract(nodes, side + row, jacobian + row * count + pivot, side + pivot)


@scalar
def _multiply(nodes, row, w):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        nodes[row, i] *= w[OTHER + i]


@scalar
def _subtract(nodes, row, factor, other):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        nodes[row, i] -= nodes[factor, i] * nodes[other, i]


@scalar
def prolong(w, onward, coarse, fine):  # type: ignore[no-untyped-def]
    """Sets the y of `fine` by the polynomial of those of `coarse`; onward: a table at the finer nodes [m, 3 + n], without weights.

    Near 0 a polynomial of few nodes may bend too far down for a start.
    """
    count = onward.shape[1] - 3
    square(count, coarse)
    for node in range(onward.shape[0]):
        interpolate(onward[node], count, coarse, w)
        for i in range(LANES):
            early = 0.5 * w[DEVIATION + i] * onward[node, 0]  # below the boundary's course in a short time, 0.64 s x
            fine[node, i] = max(w[THERE + i], min(early, 0.9 * coarse[count - 1, i]))
