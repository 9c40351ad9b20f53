"""What holding on to a Bermudan option is worth, date by date backwards, as a polynomial fitted to what the next date is worth in the mean.

J. N. Tsitsiklis and B. Van Roy, IEEE Transactions on Neural Networks 12 (2001), 694-703, fit one next state to each path's state. Here each state has
several, drawn afresh: the noise of what is fitted is a tenth of what F. A. Longstaff and E. S. Schwartz (Review of Financial Studies 14 (2001),
113-147) fit, the rest of a path, and all paths take part, in or out of the money, because an upper bound needs the value everywhere.
"""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.holding import FIRST, ROWS, STATE, TERMS, around, begin, expected, features, market, move, prices
from pybackdoor.oracles.normals import TILE
from pybackdoor.oracles.scalar.block import cache_lines

_RIDGE = 1e-10  # of the diagonal


@part
def _solved(matrix, right):  # type: ignore[no-untyped-def]
    """Cholesky in place, with a ridge; terms that are always 0 get 0."""
    n = right.shape[0]
    size = 0.0
    for i in range(n):
        size = max(size, matrix[i, i])
    for i in range(n):
        matrix[i, i] += _RIDGE * size + 1e-300
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = math.sqrt(max(total, 1e-300)) if i == j else total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@part
def _fit(point, states, shifts, weights, sign, inner):  # type: ignore[no-untyped-def]
    """Fills weights [dates - 1, TERMS] from states [dates, paths, d]; the next date is drawn `inner` times around shifts [dates * d, paths]."""
    dates, paths, d = states.shape
    time = market(point, d)[2]
    here, w, terms, matrix, right = cache_lines(ROWS * TILE), cache_lines(ROWS * TILE), np.empty(TERMS), np.empty((TERMS, TERMS)), np.empty(TERMS)
    scratch, index = np.empty((2, TILE)), np.empty(TILE, dtype=np.int64)
    for date in range(dates - 2, -1, -1):
        for i in range(TERMS):
            right[i] = 0.0
            for j in range(TERMS):
                matrix[i, j] = 0.0
        for path in range(paths):
            for asset in range(d):
                here[STATE + asset * TILE] = states[date, path, asset]
            prices(here, 1, point, d, time * (dates - 1 - date) / dates, sign)
            features(here, terms)
            around(w, inner, shifts, date * d, path, d, scratch, index)
            target = (expected(w, inner, here, point, d, date + 1, dates, sign, weights) - here[FIRST]) / (1.0 + here[FIRST])
            for i in range(TERMS):
                right[i] += terms[i] * target
                for j in range(i + 1):
                    matrix[i, j] += terms[i] * terms[j]
        _solved(matrix, right)
        for i in range(TERMS):
            weights[date, i] = right[i]


@kernel
def train(points, normals, shifts, weights, sign, d, inner):  # type: ignore[no-untyped-def]
    """Fits the policy of every point: normals and shifts [dates * d, paths], weights [n, dates - 1, TERMS]."""
    dates, paths = normals.shape[0] // d, normals.shape[1]
    states, w, walk = np.empty((dates, paths, d)), np.empty(ROWS * TILE), np.zeros(d)
    for row in range(points.shape[0]):
        for path in range(paths):
            begin(w, points[row], d)
            for date in range(dates):
                move(w, walk, normals, date * d, path, points[row], d, dates)
                for asset in range(d):
                    states[date, path, asset] = w[STATE + asset * TILE]
        _fit(points[row], states, shifts, weights[row], sign, inner)
