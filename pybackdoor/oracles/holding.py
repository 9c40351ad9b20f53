"""A Bermudan option between two dates: how its assets move, what holding on is worth, and what the next date is worth in the mean.

States are the assets' prices over the strike. What holding on is worth beyond the dearest of the European options on the assets alone is a
polynomial in the prices of these options, the dearest first, and in what exercise pays, all over 1 + the dearest: such features are bounded whatever
the market, and know of the assets' volatilities and dividends. Its weights are fitted in regression.py.

n <= TILE states are taken side by side in one array of rows [TILE], see block.py.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import part, scalar
from pybackdoor.oracles.normals import TILE, _invert
from pybackdoor.oracles.scalar.european import INSTANT, european
from pybackdoor.oracles.scalar.vmath import exp, normal

TERMS = 24  # of degree 3 or less in three features, and four with all but the two dearest
PAID, CLAIM, FIRST, SECOND, OTHERS, MEAN, STATE, ALONE, NORMALS = 0, TILE, 2 * TILE, 3 * TILE, 4 * TILE, 5 * TILE, 6 * TILE, 11 * TILE, 16 * TILE
_RATIOS = (1.618033988749895, 1.324717957244746, 1.2207440846057596, 1.1673039782614187, 1.1347241384015194)  # roots of x^(d + 1) = x + 1
ROWS = 21  # one a quantity, five for the assets' prices, their European options and normal numbers


@scalar
def market(point, d):  # type: ignore[no-untyped-def]
    """(strike, correlation, maturity, rate, places of the first volatility and dividend yield) of a row of one asset or several."""
    if d == 1:
        return point[1], 0.0, max(point[3], INSTANT), point[4], 2, 5
    return point[d], point[2 * d + 1], max(point[2 * d + 2], INSTANT), point[2 * d + 3], d + 1, 2 * d + 4


@scalar
def shared(rho, d):  # type: ignore[no-untyped-def]
    """Weights of the mean of d normal numbers and of what each is beyond it, whose sums have correlation rho."""
    return math.sqrt(1.0 + (d - 1) * rho), math.sqrt(max(1.0 - rho, 0.0))


@part
def begin(w, point, d):  # type: ignore[no-untyped-def]
    """Puts today's prices into the first state."""
    for asset in range(d):
        w[STATE + asset * TILE] = point[asset] / market(point, d)[0]


@part
def move(w, walk, normals, place, path, point, d, dates):  # type: ignore[no-untyped-def]
    """Moves the first state, and its correlated walks [d], by a date with normals[place : place + d, path]."""
    _, rho, time, rate, vols, yields = market(point, d)
    dt, (common, own) = time / dates, shared(rho, d)
    mean = 0.0
    for i in range(d):
        mean += normals[place + i, path] / d
    for i in range(d):
        step = math.sqrt(dt) * (common * mean + own * (normals[place + i, path] - mean))
        sigma = point[vols + i]
        walk[i] += step
        w[STATE + i * TILE] *= math.exp((rate - point[yields + i] - 0.5 * sigma * sigma) * dt + sigma * step)


@scalar
def prices(w, n, point, d, left, sign):  # type: ignore[no-untyped-def]
    """The rows ALONE, European prices `left` years before maturity, FIRST, SECOND and OTHERS (their sum) of them, and PAID from those of STATE."""
    _, _, _, rate, vols, yields = market(point, d)
    for i in range(n):
        w[PAID + i], w[FIRST + i], w[SECOND + i], w[OTHERS + i] = 0.0, 0.0, 0.0, 0.0
    for asset in range(d):
        state, alone, sigma, dividend = STATE + asset * TILE, ALONE + asset * TILE, point[vols + asset], point[yields + asset]
        for i in range(n):
            w[alone + i] = european(sign, w[state + i], 1.0, sigma, left, rate, dividend)[0]
        for i in range(n):
            value, first, second = w[alone + i], w[FIRST + i], w[SECOND + i]
            w[PAID + i] = max(w[PAID + i], sign * (w[state + i] - 1.0))
            lesser = min(first, value)
            w[FIRST + i] = max(first, value)
            w[SECOND + i] = max(second, lesser)
            w[OTHERS + i] += min(second, lesser)


@part
def features(w, terms):  # type: ignore[no-untyped-def]
    """Fills terms [TERMS] for the first state."""
    scale = 1.0 / (1.0 + w[FIRST])
    a, b, c, rest = w[FIRST] * scale, w[SECOND] * scale, (w[PAID] - w[FIRST]) * scale, w[OTHERS] * scale
    place, by_a = 0, 1.0
    for i in range(4):
        by_b = by_a
        for j in range(4 - i):
            term = by_b
            for _ in range(4 - i - j):
                terms[place] = term
                term *= c
                place += 1
            by_b *= b
        by_a *= a
    terms[20], terms[21], terms[22], terms[23] = rest, rest * a, rest * b, rest * c


@scalar
def claims(w, n, point, d, date, dates, sign, v):  # type: ignore[no-untyped-def]
    """What `prices` fills, and CLAIM: the larger of PAID and what holding on is worth at date 0 .. dates - 1 by weights v [TERMS]."""
    time = market(point, d)[2]
    prices(w, n, point, d, time * (dates - 1 - date) / dates, sign)
    if date == dates - 1:
        for i in range(n):
            w[CLAIM + i] = w[PAID + i]
        return
    for i in range(n):
        first = w[FIRST + i]
        scale = 1.0 / (1.0 + first)
        a, b, c, rest = first * scale, w[SECOND + i] * scale, (w[PAID + i] - first) * scale, w[OTHERS + i] * scale
        flat = v[0] + c * (v[1] + c * (v[2] + c * v[3])) + b * (v[4] + c * (v[5] + c * v[6]) + b * (v[7] + c * v[8] + b * v[9]))
        steep = v[16] + c * v[17] + b * v[18] + a * v[19]
        middle = v[10] + c * (v[11] + c * v[12]) + b * (v[13] + c * v[14] + b * v[15]) + a * steep
        beyond = flat + a * middle + rest * (v[20] + a * v[21] + b * v[22] + c * v[23])
        w[CLAIM + i] = max(w[PAID + i], first + (1.0 + first) * beyond)


@part
def around(w, n, shifts, place, path, d, scratch, index):  # type: ignore[no-untyped-def]
    """Fills the rows NORMALS: a Kronecker sequence from a random start, N(shifts[place : place + d, path]), and its mirror; scratch [2, TILE]."""
    half, step = n // 2, 1.0
    for asset in range(d):
        step /= _RATIOS[d - 1]
        u, row = normal(shifts[place + asset, path])[0], NORMALS + asset * TILE
        for j in range(half):
            scratch[0, j] = u - 0.5
            u += step
            u -= math.floor(u)
        _invert(scratch[0], w[row : row + half], index, scratch[1], half)
        for j in range(half):
            w[row + half + j] = -w[row + j]


@part
def expected(w, n, here, point, d, date, dates, sign, weights):  # type: ignore[no-untyped-def]
    """The mean, over the n NORMALS, of CLAIM at `date`, the next one, discounted, from the first state of `here`.

    The dearest option's part in it is known: it is a martingale.
    """
    _, rho, time, rate, vols, yields = market(point, d)
    dt, (common, own) = time / dates, shared(rho, d)
    for i in range(n):
        w[MEAN + i] = 0.0
    for asset in range(d):
        for i in range(n):
            w[MEAN + i] += w[NORMALS + asset * TILE + i] / d
    best = 0
    for asset in range(d):
        best = asset if here[ALONE + asset * TILE] > here[ALONE + best * TILE] else best
        state, row, sigma, start = STATE + asset * TILE, NORMALS + asset * TILE, point[vols + asset], here[STATE + asset * TILE]
        drift, root = (rate - point[yields + asset] - 0.5 * sigma * sigma) * dt, sigma * math.sqrt(dt)
        for i in range(n):
            w[state + i] = start * exp(drift + root * (common * w[MEAN + i] + own * (w[row + i] - w[MEAN + i])))
    claims(w, n, point, d, date, dates, sign, weights[min(date, dates - 2)])
    total = 0.0
    for i in range(n):
        total += w[CLAIM + i] - w[ALONE + best * TILE + i]
    return math.exp(-rate * dt) * total / n + here[ALONE + best * TILE]
