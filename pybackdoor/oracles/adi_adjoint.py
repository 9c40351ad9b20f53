"""The adjoint of `adi.solve`: from the derivatives of a number in the last u to those in the coefficients of both directions.

With w' the derivative in the outcome of a step, and T the transpose of an inverse, one step backwards is

    p = (1 - k A2)^T w',   r2 = (1 - k A1)^T p,   q = (1 - k A2)^T (dt / 2 A0' r2),   s = (1 - k A1)^T q,   w = w' + dt A' (r2 + s),

and the coefficients receive the products of r2 + s with dt u, of r2 with dt / 2 d2 (through A0) and k e1, of s with k d1 (through A1), and of p
with k e2, q with k d2 (through A2). Here e2 is the step's change of u, e1 = (1 - k A2) e2 and d1 = (1 - k A2) d2, so u and d2 are all that is kept.
A damping step is q = (1 - k A2)^T w' and what follows it, with r2 = 0.

Cost: about 80 multiply-adds a node and step, and reading what was kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.adi import factor
from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.quads import broadcast, fma, load, quads, store


class Bars(NamedTuple):
    """Derivatives of a number in the last u: the caller fills u_bar [nx, ny, QUAD], 0 in the first and last row.

    They come out in u_bar (in the first u) and in the coefficients: x_lo, x_up, x_mix, source [nx, QUAD], y_lo, y_up [ny, QUAD]. What is missing
    is not lost: sum(f f_bar) = sum(x_lo x_lo_bar + x_up x_up_bar + source source_bar), and y_mix is a matter of the mesh's shape alone.
    """

    u_bar: np.ndarray
    x_lo: np.ndarray
    x_up: np.ndarray
    x_mix: np.ndarray
    source: np.ndarray
    y_lo: np.ndarray
    y_up: np.ndarray
    r2: np.ndarray
    rows: np.ndarray


def bars(nx: int, ny: int) -> Bars:
    """Memory for the adjoint of one block."""
    x_lo, x_up, x_mix, source = (quads(nx) for _ in range(4))
    return Bars(quads(nx, ny), x_lo, x_up, x_mix, source, quads(ny), quads(ny), quads(nx, ny), quads(14, ny + 2))


@part
def _along_four(plane, rows):  # type: ignore[no-untyped-def]
    """(1 - k A2)^T on the first four of `rows`, in place."""
    ny, lu = plane.f.shape[0], plane.y_lu
    r0, r1, r2, r3 = 1, ny + 3, 2 * ny + 5, 3 * ny + 7
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    up = broadcast(0.0)
    for j in range(ny):
        a = fma(up, a, load(rows, r0 + j))
        b = fma(up, b, load(rows, r1 + j))
        c = fma(up, c, load(rows, r2 + j))
        d = fma(up, d, load(rows, r3 + j))
        store(rows, r0 + j, a)
        store(rows, r1 + j, b)
        store(rows, r2 + j, c)
        store(rows, r3 + j, d)
        up = load(lu, 2 * ny + j)
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    lo = broadcast(0.0)
    for j in range(ny - 1, -1, -1):
        inverse = load(lu, j)
        a = fma(lo, a, load(rows, r0 + j))
        b = fma(lo, b, load(rows, r1 + j))
        c = fma(lo, c, load(rows, r2 + j))
        d = fma(lo, d, load(rows, r3 + j))
        store(rows, r0 + j, inverse * a)
        store(rows, r1 + j, inverse * b)
        store(rows, r2 + j, inverse * c)
        store(rows, r3 + j, inverse * d)
        lo = load(lu, ny + j)


@part
def _change(plane, v, at, old):  # type: ignore[no-untyped-def]
    """Row `at` of v, less row `old` of u unless `old` is below 0."""
    return load(v, at) - load(plane.u, old) if old >= 0 else load(v, at)


@part
def _add_y(plane, bars, weight, row_at, v, at, old):  # type: ignore[no-untyped-def]
    """To y_lo and y_up: weight times the numbers from `row_at` on in `rows`, times the y differences of `_change`."""
    here, left = _change(plane, v, at, old), broadcast(0.0)
    step = 1 if old >= 0 else 0
    for j in range(plane.f.shape[0]):
        after = _change(plane, v, at + j + 1, old + step * (j + 1))
        share, right = weight * load(bars.rows, row_at + j), after - here
        store(bars.y_lo, j, fma(0.0 - share, left, load(bars.y_lo, j)))
        store(bars.y_up, j, fma(share, right, load(bars.y_up, j)))
        here, left = after, right


@part
def _back_along_y(plane, bars, first, k, v, at, old):  # type: ignore[no-untyped-def]
    """The first four of `rows`, of x rows `first` ..., through (1 - k A2)^T, and on along x into `half`; what they give to y_lo and y_up."""
    nx, ny, rows, half, pivot = plane.x_lo.shape[0], plane.f.shape[0], bars.rows, plane.half, plane.pivot
    _along_four(plane, rows)
    for row in range(min(4, nx - 1 - first)):
        here, row_at, up = (first + row) * ny, row * (ny + 2) + 1, k * load(plane.x_up, first + row - 1)
        _add_y(plane, bars, k, row_at, v, at + here, old + here if old >= 0 else -1)
        for j in range(ny):
            share = load(pivot, here - ny + j) * (up * load(plane.f, j))
            store(half, here + j, fma(share, load(half, here - ny + j), load(rows, row_at + j)))


@part
def _take(plane, bars, first):  # type: ignore[no-untyped-def]
    """u_bar in the x rows `first` ... into the first four of `rows`; 0 past the last."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    for row in range(4):
        i = min(first + row, nx - 1)
        for j in range(ny):
            store(bars.rows, row * (ny + 2) + 1 + j, load(bars.u_bar, i * ny + j))


@part
def _take_mixed(plane, bars, first, dt):  # type: ignore[no-untyped-def]
    """Dt / 2 A0' r2 in the x rows `first` ... into the first four of `rows`; 0 past the last."""
    nx, ny, rows = plane.x_lo.shape[0], plane.f.shape[0], bars.rows
    spare = 4 * (ny + 2) + 1
    for row in range(4):
        i, at = first + row, row * (ny + 2) + 1
        if i > nx - 2:
            for j in range(ny):
                store(rows, at + j, broadcast(0.0))
        else:
            before, after = 0.5 * dt * load(plane.x_mix, i - 1), 0.5 * dt * load(plane.x_mix, i + 1)
            for j in range(ny):
                cross = fma(before, load(bars.r2, (i - 1) * ny + j), 0.0 - after * load(bars.r2, (i + 1) * ny + j))
                store(rows, spare + j, load(plane.y_mix, j) * cross)
            for j in range(ny):
                store(rows, at + j, load(rows, spare + j - 1) - load(rows, spare + j + 1))


@part
def _back_along_x(plane, to, k):  # type: ignore[no-untyped-def]
    """What `half` holds through the transposed elimination along x, into `to`."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    for i in range(nx - 2, 0, -1):
        at, lo = i * ny, k * load(plane.x_lo, i + 1)
        for j in range(ny):
            after = lo * load(plane.f, j)
            store(to, at + j, load(plane.pivot, at + j) * fma(after, load(to, at + ny + j), load(plane.half, at + j)))


@part
def _history_row(plane, bars, i, old, new, dt, k):  # type: ignore[no-untyped-def]
    """Dt u + k d1 and dt u + k e1 of x row i, into rows 4 to 6 and 7 to 9."""
    nx, ny, rows, u, d2 = plane.x_lo.shape[0], plane.f.shape[0], bars.rows, plane.u, plane.d2
    first, second = (4 + i % 3) * (ny + 2) + 1, (7 + i % 3) * (ny + 2) + 1
    if i > nx - 2:
        for j in range(ny):
            store(rows, first + j, broadcast(0.0))
            store(rows, second + j, broadcast(0.0))
    else:
        at, to = old + i * ny, new + i * ny
        d, d_left = load(d2, at), broadcast(0.0)
        e, e_left = load(u, to) - load(u, at), broadcast(0.0)
        for j in range(ny):
            d_after, e_after = load(d2, at + j + 1), load(u, to + j + 1) - load(u, at + j + 1)
            d_right, e_right = d_after - d, e_after - e
            lo, up = k * load(plane.y_lo, j), k * load(plane.y_up, j)
            base = dt * load(u, at + j)
            store(rows, first + j, fma(k, d + (lo * d_left - up * d_right), base))
            store(rows, second + j, fma(k, e + (lo * e_left - up * e_right), base))
            d, d_left, e, e_left = d_after, d_right, e_after, e_right


@part
def _add_x(plane, bars, i, dt):  # type: ignore[no-untyped-def]
    """What x row i gives to x_lo, x_up and source."""
    ny, rows = plane.f.shape[0], bars.rows
    before, here, after = (4 + (i - 1) % 3) * (ny + 2) + 1, (4 + i % 3) * (ny + 2) + 1, (4 + (i + 1) % 3) * (ny + 2) + 1
    far = 3 * (ny + 2)
    lo, up, source = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for j in range(ny):
        f = load(plane.f, j)
        s, r2 = f * load(plane.half, i * ny + j), f * load(bars.r2, i * ny + j)
        w1, w2 = load(rows, here + j), load(rows, here + far + j)
        lo = fma(s, load(rows, before + j) - w1, fma(r2, load(rows, before + far + j) - w2, lo))
        up = fma(s, load(rows, after + j) - w1, fma(r2, load(rows, after + far + j) - w2, up))
        source = source + (s + r2)
    store(bars.x_lo, i, load(bars.x_lo, i) + lo)
    store(bars.x_up, i, load(bars.x_up, i) + up)
    store(bars.source, i, fma(dt, source, load(bars.source, i)))


@part
def _add_mixed(plane, bars, i, at, dt):  # type: ignore[no-untyped-def]
    """What x row i gives to x_mix; u and d2 from row `at` on."""
    ny, rows, u, d2 = plane.f.shape[0], bars.rows, plane.u, plane.d2
    below, above = at + (i - 1) * ny, at + (i + 1) * ny
    first, second = 10 * (ny + 2) + 1, 11 * (ny + 2) + 1
    for j in range(ny):
        cross = load(u, above + j) - load(u, below + j)
        store(rows, first + j, cross)
        store(rows, second + j, fma(0.5, load(d2, above + j) - load(d2, below + j), cross))
    total = broadcast(0.0)
    for j in range(1, ny - 1):
        s, r2 = load(plane.half, i * ny + j), load(bars.r2, i * ny + j)
        twice = r2 * (load(rows, second + j + 1) - load(rows, second + j - 1))
        total = fma(load(plane.y_mix, j), fma(s, load(rows, first + j + 1) - load(rows, first + j - 1), twice), total)
    store(bars.x_mix, i, fma(dt, total, load(bars.x_mix, i)))


@part
def _carry_back(plane, bars, i, dt):  # type: ignore[no-untyped-def]
    """Adds dt A' (r2 + s) to x row i of u_bar; r2 + s are rows of `rate`, and row i of it comes to lie in row 13."""
    ny, rows, rate = plane.f.shape[0], bars.rows, plane.rate
    at, here, spare = i * ny, 13 * (ny + 2) + 1, 12 * (ny + 2) + 1
    before, after = load(plane.x_mix, i - 1), load(plane.x_mix, i + 1)
    for j in range(ny):
        cross = fma(before, load(rate, at - ny + j), 0.0 - after * load(rate, at + ny + j))
        store(rows, spare + j, load(plane.y_mix, j) * cross)
        store(rows, here + j, load(rate, at + j))
    lo, up, middle = load(plane.x_lo, i + 1), load(plane.x_up, i - 1), 0.0 - load(plane.x_lo, i) - load(plane.x_up, i)
    y_lo, y_up, from_left = load(plane.y_lo, 0), load(plane.y_up, 0), broadcast(0.0)
    for j in range(ny):
        r = load(rows, here + j)
        along = fma(lo, load(rate, at + ny + j), fma(up, load(rate, at - ny + j), middle * r))
        total = fma(load(plane.f, j), along, load(rows, spare + j - 1) - load(rows, spare + j + 1))
        following = min(j + 1, ny - 1)  # past the last node the neighbour's number is 0
        from_right = load(plane.y_lo, following)
        total = fma(from_right, load(rows, here + j + 1), fma(from_left, load(rows, here + j - 1), fma(0.0 - y_lo - y_up, r, total)))
        store(bars.u_bar, at + j, fma(dt, total, load(bars.u_bar, at + j)))
        from_left, y_lo, y_up = y_up, from_right, load(plane.y_up, following)


@part
def _collect(plane, bars, old, new, dt, k):  # type: ignore[no-untyped-def]
    """All x rows: `rate` = r2 + s, then what they give to the coefficients and to u_bar."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    for j in range(ny, (nx - 1) * ny):
        store(plane.rate, j, load(bars.r2, j) + load(plane.half, j))
    for j in range(ny):
        store(bars.rows, 4 * (ny + 2) + 1 + j, broadcast(0.0))
        store(bars.rows, 7 * (ny + 2) + 1 + j, broadcast(0.0))
    _history_row(plane, bars, 1, old, new, dt, k)
    for i in range(1, nx - 1):
        _history_row(plane, bars, i + 1, old, new, dt, k)
        _add_x(plane, bars, i, dt)
        _add_mixed(plane, bars, i, old, dt)
        _carry_back(plane, bars, i, dt)
        _add_y(plane, bars, dt, 13 * (ny + 2) + 1, plane.u, old + i * ny, -1)


@part
def _clear(array, first, last):  # type: ignore[no-untyped-def]
    for row in range(first, last):
        store(array, row, broadcast(0.0))


@kernel
def solve_adjoint(plane, bars, plan):  # type: ignore[no-untyped-def]
    """Carries u_bar back through the plan; takes what `adi.solve` left in a plane that keeps every step."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    size, factored = nx * ny, -1.0
    for array in (bars.x_lo, bars.x_up, bars.x_mix, bars.source):
        _clear(array, 0, nx)
    _clear(bars.y_lo, 0, ny)
    _clear(bars.y_up, 0, ny)
    for array in (plane.half, plane.rate, bars.r2):
        _clear(array, 0, ny)
        _clear(array, size - ny, size)
    for step in range(plan.shape[0] - 1, -1, -1):
        dt, k, damped = plan[step, 0], plan[step, 1], plan[step, 2] > 0.0
        if k != factored:
            factor(plane, k)
            factored = k
        old, new = step * size, (step + 1) * size
        if damped:
            _clear(bars.r2, 0, size)
            for j in range(size):
                store(plane.d2, old + j, load(plane.u, new + j) - load(plane.u, old + j))
        for half in range(1 if damped else 0, 2):
            for first in range(1, nx - 1, 4):
                if damped or half == 0:
                    _take(plane, bars, first)
                else:
                    _take_mixed(plane, bars, first, dt)
                _back_along_y(plane, bars, first, k, plane.u if half == 0 else plane.d2, new if half == 0 else old, old if half == 0 else -1)
            _back_along_x(plane, bars.r2 if half == 0 else plane.half, k)
        _collect(plane, bars, old, new, dt, k)
