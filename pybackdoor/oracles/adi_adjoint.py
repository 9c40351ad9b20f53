"""The adjoint of `adi.solve`: from the derivatives of a number in the last u to those in the coefficients of both directions.

With w' the derivative in the outcome of a step, and T the transpose of an inverse, one step backwards is

    p = (1 - k A2)^T w',   r2 = (1 - k A1)^T p,   q = (1 - k A2)^T (dt / 2 A0' r2),   s = (1 - k A1)^T q,   w = w' + dt A' (r2 + s),

and the coefficients receive the products of r2 + s with dt u, of r2 with dt / 2 d2 (through A0) and k e1, of s with k d1 (through A1), and of p
with k e2, q with k d2 (through A2). Here e2 is the step's change of u, e1 = (1 - k A2) e2 and d1 = (1 - k A2) d2, so d2 and e2 are all
that is kept. A damping step is q = (1 - k A2)^T w' and what follows it, with r2 = 0.

Four passes over the plane: w' to p and on along x (upwards in x); to r2 (downwards); the like with q (upwards); to s, with all that r2 and s give
(downwards, adi_products.py). Cost: about 90 multiply-adds a node and step, and reading what was kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.adi import factor
from pybackdoor.oracles.adi_products import ROWS, Y_MIX, collect, scale_y
from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.quads import broadcast, fetch, fma, fnma, load, quads, store


class Bars(NamedTuple):
    """Derivatives of a number in the last u: the caller fills u_bar [nx, ny, QUAD], 0 in the first and last row.

    They come out in u_bar (in the first u) and in the coefficients: x_lo, x_up, x_mix, source [nx, QUAD], y_lo, y_up [ny, QUAD] and
    skew [1, QUAD]. What is missing is not lost: sum(f f_bar) = sum(x_lo x_lo_bar + x_up x_up_bar + source source_bar), and y_mix is a matter of the
    mesh's shape alone.
    `rows` is 0 to begin with.
    """

    u_bar: np.ndarray
    x_lo: np.ndarray
    x_up: np.ndarray
    x_mix: np.ndarray
    source: np.ndarray
    y_lo: np.ndarray
    y_up: np.ndarray
    skew: np.ndarray
    r2: np.ndarray
    left: np.ndarray
    right: np.ndarray
    rows: np.ndarray


def bars(nx: int, ny: int) -> Bars:
    """Memory for the adjoint of one block."""
    x_lo, x_up, x_mix, source = (quads(nx) for _ in range(4))
    y_lo, y_up, left, right = (quads(ny) for _ in range(4))
    return Bars(quads(nx, ny), x_lo, x_up, x_mix, source, y_lo, y_up, quads(1), quads(nx, ny), left, right, quads(ROWS, ny + 2))


@part
def _take(plane, bars, i, kept):  # type: ignore[no-untyped-def]
    """The first sweep of (1 - k A2)^T on u_bar in the x rows i and i + 1, into rows 0 and 1."""
    ny, lu, rows = plane.f.shape[0], plane.y_lu, bars.rows
    a, b, up, ahead = broadcast(0.0), broadcast(0.0), broadcast(0.0), (i + 2) * ny
    for j in range(ny):
        a = fma(up, a, load(bars.u_bar, i * ny + j))
        b = fma(up, b, load(bars.u_bar, (i + 1) * ny + j))
        store(rows, j, a)
        store(rows, ny + j, b)
        up = load(lu, 2 * ny + j)
        fetch(plane.kept, kept + ahead + 2 * j)


@part
def _take_mixed(plane, bars, i, dt, kept):  # type: ignore[no-untyped-def]
    """The same on dt / 2 A0' r2; 0 in the last x row."""
    nx, ny, lu, rows, r2 = plane.x_lo.shape[0], plane.f.shape[0], plane.y_lu, bars.rows, bars.r2
    more, ahead, skew = i + 1 < nx - 1, (i + 2) * ny, load(plane.skew, 0)
    far = min(i + 2, nx - 1)
    a_lo, a_mid, a_up = 0.5 * dt * load(plane.x_mix, i - 1), dt * (skew * load(plane.x_mix, i)), 0.5 * dt * load(plane.x_mix, i + 1)
    b_lo, b_mid, b_up = 0.5 * dt * load(plane.x_mix, i if more else 0), dt * (skew * load(plane.x_mix, i + 1)), 0.5 * dt * load(plane.x_mix, far)
    a_skew, a_far, b_skew, b_far = skew * a_lo, skew * a_up, skew * b_lo, skew * b_up
    a, b, up, a_before, b_before = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    a_here, b_here, a_next, b_next = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    mix = Y_MIX * (ny + 2) + 2  # y_mix is 0 at both ends, and `rows` has a 0 beyond
    a_first, a_last, b_first, b_last = (i - 1) * ny + 1, (i + 1) * ny + 1, i * ny + 1, far * ny + 1
    for j in range(ny):
        y_mix = load(rows, mix + j)
        below, middle, above, beyond = load(r2, a_first + j), load(r2, b_first + j), load(r2, a_last + j), load(r2, b_last + j)
        a_cross, a_bend = y_mix * fnma(a_up, above, a_lo * below), y_mix * fma(a_far, above, fnma(a_mid, middle, a_skew * below))
        b_cross, b_bend = y_mix * fnma(b_up, beyond, b_lo * middle), y_mix * fma(b_far, beyond, fnma(b_mid, above, b_skew * middle))
        a = fma(up, a, a_before - (a_cross - a_bend) - a_here)
        b = fma(up, b, b_before - (b_cross - b_bend) - b_here)
        store(rows, j, a)
        store(rows, ny + j, b)
        up = load(lu, 2 * ny + j)
        fetch(plane.kept, kept + ahead + 2 * j)
        a_before, a_next, a_here = a_next, a_cross + a_bend, a_bend + a_bend
        b_before, b_next, b_here = b_next, b_cross + b_bend, b_bend + b_bend


@part
def _back_along_y(plane, bars, i, k, kept, undo):  # type: ignore[no-untyped-def]
    """The second sweep on rows 0 and 1, and on along x into `half`; and their products with the y differences of what was kept.

    What was kept begins at row `kept`; where `undo` it is taken from u. `left` and `right` times k are what y_lo and y_up receive.
    """
    ny, lu, rows, half, pivot, u = plane.f.shape[0], plane.y_lu, bars.rows, plane.half, plane.pivot, plane.u
    at, above, below = i * ny, (i + 1) * ny, (i - 1) * ny
    a_up, b_up = k * load(plane.x_up, i - 1), k * load(plane.x_up, i)
    a, b, lo = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    a_right, b_right = broadcast(0.0), broadcast(0.0)
    a_here, b_here = load(plane.kept, kept + above - 1), load(plane.kept, kept + above + ny - 1)
    for j in range(ny - 1, -1, -1):
        a_before, b_before = load(plane.kept, kept + at + j - 1), load(plane.kept, kept + above + j - 1)
        inverse, f = load(lu, j), load(plane.f, j)
        a, b = fma(lo, a, load(rows, j)), fma(lo, b, load(rows, ny + j))
        a_p, b_p = inverse * a, inverse * b
        a_left, b_left = a_here - a_before, b_here - b_before
        store(bars.left, j, fma(a_p, a_left, fma(b_p, b_left, load(bars.left, j))))
        store(bars.right, j, fma(a_p, a_right, fma(b_p, b_right, load(bars.right, j))))
        first = fma(load(pivot, below + j) * (a_up * f), load(half, below + j), a_p)
        store(half, at + j, first)
        store(half, above + j, fma(load(pivot, at + j) * (b_up * f), first, b_p))
        if undo:
            store(u, at + j, load(u, at + j) - a_here)
            store(u, above + j, load(u, above + j) - b_here)
        a_here, b_here, a_right, b_right, lo = a_before, b_before, a_left, b_left, load(lu, ny + j)


@part
def _back_along_x(plane, r2, k):  # type: ignore[no-untyped-def]
    """What `half` holds through the transposed elimination along x, into r2."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    for i in range(nx - 2, 0, -1):
        at, lo = i * ny, k * load(plane.x_lo, i + 1)
        for j in range(ny):
            after = lo * load(plane.f, j)
            store(r2, at + j, load(plane.pivot, at + j) * fma(after, load(r2, at + ny + j), load(plane.half, at + j)))


@part
def _clear(array, first, last):  # type: ignore[no-untyped-def]
    for row in range(first, last):
        store(array, row, broadcast(0.0))


@part
def _add_y(plane, bars, k):  # type: ignore[no-untyped-def]
    """A step's `left` and `right` to y_lo and y_up."""
    for j in range(plane.f.shape[0]):
        store(bars.y_lo, j, fma(0.0 - k, load(bars.left, j), load(bars.y_lo, j)))
        store(bars.y_up, j, fma(k, load(bars.right, j), load(bars.y_up, j)))
        store(bars.left, j, broadcast(0.0))
        store(bars.right, j, broadcast(0.0))


@kernel
def solve_adjoint(plane, bars, plan):  # type: ignore[no-untyped-def]
    """Carries u_bar back through the plan, and u with it; takes what `adi.solve` left in a plane that keeps every step."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    size, factored = nx * ny, -1.0
    for array in (bars.x_lo, bars.x_up, bars.x_mix, bars.source):
        _clear(array, 0, nx)
    for array in (bars.y_lo, bars.y_up, bars.left, bars.right):
        _clear(array, 0, ny)
    _clear(bars.skew, 0, 1)
    for array in (plane.half, bars.r2):
        _clear(array, 0, ny)
        _clear(array, size - ny, size)
    for step in range(plan.shape[0] - 1, -1, -1):
        dt, k, damped = plan[step, 0], plan[step, 1], plan[step, 2] > 0.0
        if k != factored:
            factor(plane, k)
            scale_y(plane, bars, k)
            factored = k
        second = (2 * step + 1) * size
        first = second if damped else second - size
        for i in range(1, nx - 1, 2):
            _take(plane, bars, i, second)
            _back_along_y(plane, bars, i, k, second, True)
        if damped:
            _clear(bars.r2, 0, size)
        else:
            _back_along_x(plane, bars.r2, k)
            for i in range(1, nx - 1, 2):
                _take_mixed(plane, bars, i, dt, first)
                _back_along_y(plane, bars, i, k, first, False)
        collect(plane, bars, first, second, dt, k)
        _add_y(plane, bars, k)
