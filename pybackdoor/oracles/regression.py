"""Least-squares Monte Carlo: what holding on is worth, date by date backwards, as a polynomial fitted to what paths then receive.

F. A. Longstaff and E. S. Schwartz, "Valuing American options by simulation: a simple least-squares approach", Review of Financial Studies 14
(2001), 113-147. States are the assets' prices over the strike, the largest first; only paths that would be paid now take part.
"""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.oracles.compiled import kernel, scalar

TERMS = 10  # of the polynomial: all of degree 3 or less in the two largest prices (one asset: powers)
_RIDGE = 1e-10  # of the diagonal


@scalar
def basis(state, sign, terms):  # type: ignore[no-untyped-def]
    """Fills terms [TERMS] at state [d], prices over the strike; returns the payoff sign (largest - 1), positive or not."""
    first, second = -math.inf, -math.inf
    for i in range(state.shape[0]):
        if state[i] > first:
            first, second = state[i], first
        elif state[i] > second:
            second = state[i]
    x = first / (1.0 + first)  # prices far out bend the fit no more
    y = second / (1.0 + second) if state.shape[0] > 1 else 0.0
    place = 0
    for power in range(4):
        for of_second in range(power + 1):
            terms[place] = x ** (power - of_second) * y**of_second
            place += 1
    return sign * (first - 1.0)


@scalar
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


@kernel
def fit(states, sign, discount, weights):  # type: ignore[no-untyped-def]
    """Fills weights [dates - 1, TERMS] from states [dates, paths, d]: holding on at date k is worth weights[k] . basis, over the strike.

    discount: over one date. Where fewer than TERMS paths would be paid the weights are 0: exercise there is at once.
    """
    dates, paths, _ = states.shape
    received, terms = np.empty(paths), np.empty(TERMS)
    matrix, right = np.empty((TERMS, TERMS)), np.empty(TERMS)
    for path in range(paths):
        received[path] = max(basis(states[dates - 1, path], sign, terms), 0.0)
    for date in range(dates - 2, -1, -1):
        matrix[:, :], right[:] = 0.0, 0.0
        live = 0
        for path in range(paths):
            received[path] *= discount
            if basis(states[date, path], sign, terms) > 0.0:
                live += 1
                for i in range(TERMS):
                    right[i] += terms[i] * received[path]
                    for j in range(i + 1):
                        matrix[i, j] += terms[i] * terms[j]
        if live < TERMS:
            right[:] = 0.0
        else:
            _solved(matrix, right)
        weights[date] = right
        for path in range(paths):
            paid = basis(states[date, path], sign, terms)
            if paid > 0.0 and paid >= np.dot(right, terms):
                received[path] = paid
