"""The exercise boundary of LANES American puts side by side, by Newton's method on its collocation points.

y^2, y = log(X / B), is interpolated in sqrt(tau / T) by the polynomial through the Chebyshev points x_j and 0 at 0 (Andersen, Lake and
Offengenden 2016, section 5); the integrals over t = tau sin^2(angle) are by Gauss-Legendre quadrature in the angle, where both ends are smooth. The
interpolation at the quadrature points is one constant matrix for all options. Arrays are [..., LANES]; what the formulas read and write lies in one
work array [ROWS * LANES], where LLVM sees that rows do not overlap.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.american_points import boundary_end, boundary_partials, boundary_point
from pybackdoor.oracles.scalar.block import cache_lines
from pybackdoor.oracles.scalar.vmath import exp, log

LANES = 64
VOLATILITY, MATURITY, RATE, DIVIDEND, EDGE = range(0, 5 * LANES, LANES)  # where the rows of the work array begin: the options,
OWN, THERE, INFLOW, DEFECT, SELF = range(5 * LANES, 10 * LANES, LANES)  # y(tau), y(tau - t), n, F, F's derivative in its own y,
PARTIALS = 10 * LANES  # four partial derivatives of F,
SPOT, STRIKE, OUT = 14 * LANES, 15 * LANES, 16 * LANES  # and for the price, seven numbers
ROWS = 23


@scalar
def first_boundary(w, roots, y):  # type: ignore[no-untyped-def]
    """Sets y by the flat-boundary formula of P. Bjerksund and G. Stensland, Scandinavian Journal of Management 9 (1993), 87-99, made monotone."""
    for node in range(roots.shape[0]):
        root = roots[node]
        for i in range(LANES):
            variance = w[VOLATILITY + i] ** 2
            carry = (w[DIVIDEND + i] - w[RATE + i]) / variance
            beta = 0.5 - carry + math.sqrt(max((carry - 0.5) ** 2 + 2.0 * w[DIVIDEND + i] / variance, 0.0))
            far = beta / max(beta - 1.0, 1e-8) * exp(w[EDGE + i]) - 1.0  # how far the perpetual option's boundary lies beyond X, relative
            far = min(max(far, 1e-4), 1e4)
            deviation = w[VOLATILITY + i] * math.sqrt(w[MATURITY + i]) * root
            y[node, i] = log(1.0 + far * (1.0 - exp(-max(2.0 * deviation + carry * variance * w[MATURITY + i] * root * root, deviation) / far)))


@scalar
def interpolate(weights, squares, w):  # type: ignore[no-untyped-def]
    """sqrt(sum_j weights_j squares_j): y at a quadrature point; kept above 0, where rounding or a wild polynomial could push it."""
    for i in range(LANES):
        w[THERE + i] = 0.0
    for node in range(weights.shape[0]):
        weight = weights[node]
        for i in range(LANES):
            w[THERE + i] += weight * squares[node, i]
    for i in range(LANES):
        w[THERE + i] = math.sqrt(max(w[THERE + i], 1e-12 * squares[0, i]))


@scalar
def residual_row(node, w, y, squares, table, slopes):  # type: ignore[no-untyped-def]
    """INFLOW, DEFECT and SELF of one node; slopes [n, LANES]: F's derivatives in all y / y."""
    roots, angles, matrix = table
    part = roots[node] * roots[node]
    for i in range(LANES):
        w[OWN + i] = y[node, i]
    for i in range(LANES):
        w[INFLOW + i], w[DEFECT + i], _, _, _, _ = boundary_end(
            part * w[MATURITY + i], w[OWN + i], w[EDGE + i], w[VOLATILITY + i], w[RATE + i], w[DIVIDEND + i]
        )
        w[SELF + i] = 0.0
    slopes[:, :] = 0.0
    for point in range(angles.shape[0]):
        share, weight = part * angles[point, 0], part * angles[point, 1]
        interpolate(matrix[node, point], squares, w)
        for i in range(LANES):
            inflow, value, slope = boundary_point(
                share * w[MATURITY + i], w[OWN + i], w[THERE + i], w[EDGE + i], w[VOLATILITY + i], w[RATE + i], w[DIVIDEND + i]
            )
            factor = weight * w[MATURITY + i]
            w[INFLOW + i] += factor * inflow
            w[DEFECT + i] += factor * value
            w[SELF + i] -= factor * slope
            w[THERE + i] = factor * slope / w[THERE + i]
        for other in range(y.shape[0]):
            entry = matrix[node, point, other]
            for i in range(LANES):
                slopes[other, i] += entry * w[THERE + i]


@scalar
def partials_row(node, w, y, squares, table):  # type: ignore[no-untyped-def]
    """PARTIALS: F's derivatives in (volatility, log maturity, rate, dividend) at one node, at fixed y and X."""
    roots, angles, matrix = table
    part = roots[node] * roots[node]
    for i in range(LANES):
        w[OWN + i] = y[node, i]
    for i in range(LANES):
        _, _, w[PARTIALS + 0 * LANES + i], w[PARTIALS + 1 * LANES + i], w[PARTIALS + 2 * LANES + i], w[PARTIALS + 3 * LANES + i] = boundary_end(
            part * w[MATURITY + i], w[OWN + i], w[EDGE + i], w[VOLATILITY + i], w[RATE + i], w[DIVIDEND + i]
        )
    for point in range(angles.shape[0]):
        share, weight = part * angles[point, 0], part * angles[point, 1]
        interpolate(matrix[node, point], squares, w)
        for i in range(LANES):
            a, b, c, d = boundary_partials(
                share * w[MATURITY + i], w[OWN + i], w[THERE + i], w[EDGE + i], w[VOLATILITY + i], w[RATE + i], w[DIVIDEND + i]
            )
            factor = weight * w[MATURITY + i]
            w[PARTIALS + 0 * LANES + i] += factor * a
            w[PARTIALS + 1 * LANES + i] += factor * b
            w[PARTIALS + 2 * LANES + i] += factor * c
            w[PARTIALS + 3 * LANES + i] += factor * d


@scalar
def eliminate(jacobian, right):  # type: ignore[no-untyped-def]
    """Solves jacobian [n, n, LANES] z = right [n, m, LANES] in place, without pivots: the diagonal carries the matrix."""
    count, columns = jacobian.shape[0], right.shape[1]
    factor = cache_lines(LANES)
    for pivot in range(count):
        for i in range(LANES):
            factor[i] = 1.0 / jacobian[pivot, pivot, i]
        for column in range(pivot + 1, count):
            _scale(jacobian[pivot, column], factor)
        for column in range(columns):
            _scale(right[pivot, column], factor)
        for row in range(pivot + 1, count):
            for i in range(LANES):
                factor[i] = jacobian[row, pivot, i]
            for column in range(pivot + 1, count):
                _subtract(jacobian[row, column], factor, jacobian[pivot, column])
            for column in range(columns):
                _subtract(right[row, column], factor, right[pivot, column])
    for pivot in range(count - 1, 0, -1):
        for row in range(pivot):
            for column in range(columns):
                _subtract(right[row, column], jacobian[row, pivot], right[pivot, column])


@scalar
def _scale(row, factor):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        row[i] *= factor[i]


@scalar
def _subtract(row, factor, other):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        row[i] -= factor[i] * other[i]


@scalar
def solve_boundary(w, table, steps, y, tangents):  # type: ignore[no-untyped-def]
    """Newton steps from `first_boundary`; with tangents [n, 4, LANES] not empty, also dy/d(volatility, log maturity, rate, dividend) at the last y.

    The residual is taken as log(n / (e d)), whose Jacobian at the solution is that of F / n. No step lowers y below a fifth or trebles it.
    """
    count = y.shape[0]
    squares, slopes = cache_lines(count * LANES).reshape(count, LANES), cache_lines(count * LANES).reshape(count, LANES)
    jacobian = cache_lines(count * count * LANES).reshape(count, count, LANES)
    right = cache_lines(count * LANES).reshape(count, 1, LANES)
    first_boundary(w, table[0], y)
    for step in range(steps + 1 if tangents.shape[0] > 0 else steps):
        squares[:, :] = y * y
        for node in range(count):
            residual_row(node, w, y, squares, table, slopes)
            for i in range(LANES):
                w[THERE + i] = 1.0 / w[INFLOW + i]
                right[node, 0, i] = log(max((w[INFLOW + i] - w[DEFECT + i]) * w[THERE + i], 1e-3))  # log(e d / n)
            for other in range(count):
                for i in range(LANES):
                    jacobian[node, other, i] = slopes[other, i] * y[other, i] * w[THERE + i]
            for i in range(LANES):
                jacobian[node, node, i] += (w[SELF + i] + w[INFLOW + i] - w[DEFECT + i]) * w[THERE + i]
            if step == steps:
                partials_row(node, w, y, squares, table)
                _tangent_side(w, tangents[node])
        if step == steps:
            eliminate(jacobian, tangents)
        else:
            eliminate(jacobian, right)
            for node in range(count):
                for i in range(LANES):
                    y[node, i] = min(max(y[node, i] + right[node, 0, i], 0.2 * y[node, i]), 3.0 * y[node, i])


@scalar
def _tangent_side(w, tangents):  # type: ignore[no-untyped-def]
    """Sets tangents [4, LANES] = -dF / n of one node; X = r/q moves with rate and dividend where r < q."""
    for i in range(LANES):
        inverse = -1.0 / w[INFLOW + i]
        moving = 1.0 if w[EDGE + i] < 0.0 else 0.0
        outflow = (w[INFLOW + i] - w[DEFECT + i]) * moving
        w[PARTIALS + 2 * LANES + i] -= outflow / (w[RATE + i] if moving > 0.0 else 1.0)
        w[PARTIALS + 3 * LANES + i] += outflow / (w[DIVIDEND + i] if moving > 0.0 else 1.0)
        for parameter in range(4):
            tangents[parameter, i] = w[PARTIALS + parameter * LANES + i] * inverse
