"""Many two-dimensional parabolic problems side by side, with a mixed derivative, by alternating directions: u' = A u + b on 0 < t < 1, where

    A = A0 + A1 + A2,    A1 u = f(y) L u,    A2 u = N u,    A0 u = p(x) q(y) u_xy,    b = f(y) g(x);

L and N are three-point differences along x and along y that vanish on constants. Heston's equation has this form, and so has any diffusion with
constant coefficients. Nodes are smooth images of equal steps, and u_xy is in those steps the difference of the four corners plus `skew` times the
second difference along x of that along y, of fourth order: with skew 1 or -1 that is the difference of seven points along a diagonal. Where x and y
go nearly together the solution is a ridge along that diagonal, on which the errors of the corners and of A1 and A2 add up and those of the seven
points cancel; with the correlation as skew nothing jumps where its sign changes, and the scheme is as stable as without. At the first and last x the
solution is held at 0; along y the first and last row are one-sided.

Time: the scheme of Craig and Sneyd (I. J. D. Craig and A. D. Sneyd, Computers and Mathematics with Applications 16 (1988), 341-350), theta = 1/2, of
second order with the mixed derivative and unconditionally stable (K. J. in 't Hout and B. D. Welfert, Applied Numerical Mathematics 57 (2007),
19-35), written in increments:

    r = dt (A u + b),                  (1 - k A1) d1 = r,    (1 - k A2) d2 = d1,
    (1 - k A1) e1 = r + dt / 2 A0 d2,  (1 - k A2) e2 = e1,   u + e2,      k = dt / 2,

where the second line is solved for e1 - d1 and e2 - d2, without r. A damping step leaves it out, goes on with u + d2 and has k = dt: the scheme of
Douglas with theta = 1, of first order, which smooths kinks and jumps in the data.

A plan is a list of steps (dt, k, 1 where damped); 1 - k A1 and 1 - k A2 are factored anew where k changes. Arrays are [nodes, QUAD] or [x nodes, y
nodes, QUAD], a problem a lane (see quads.py). All memory belongs to the caller. Cost: about 45 multiply-adds a node and step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.quads import broadcast, fma, fnma, load, quads, store, stream


class Plane(NamedTuple):
    """QUAD problems on nx by ny nodes, and what the solver needs; zeros to begin with.

    The caller fills x_lo, x_up (L), x_mix (p), source (g) [nx, QUAD], f, y_lo, y_up (N), y_mix (q) [ny, QUAD], skew [1, QUAD] and u (at
    t = 0). lo and up are the weights of (left neighbour - here) and (right neighbour - here); p q multiplies the mixed difference. The first and
    last row of u and of the x arrays stay 0, and so do y_lo[0], y_up[-1], y_mix[0] and y_mix[-1]. Where an adjoint follows, kept [2 steps, nx, ny,
    QUAD] holds each step's d2 and e2, a damping step's d2 as its e2; else it is empty.
    """

    x_lo: np.ndarray
    x_up: np.ndarray
    x_mix: np.ndarray
    source: np.ndarray
    f: np.ndarray
    y_lo: np.ndarray
    y_up: np.ndarray
    y_mix: np.ndarray
    skew: np.ndarray
    u: np.ndarray
    d2: np.ndarray
    half: np.ndarray
    pivot: np.ndarray
    y_lu: np.ndarray
    rows: np.ndarray
    kept: np.ndarray


def plane(nx: int, ny: int, steps: int = 0) -> Plane:
    """Memory for one block of problems; `steps`: those that an adjoint will go back, or 0."""
    x_lo, x_up, x_mix, source = (quads(nx) for _ in range(4))
    f, y_lo, y_up, y_mix = (quads(ny) for _ in range(4))
    u, d2, half, pivot = (quads(nx, ny) for _ in range(4))
    own = u, d2, half, pivot, quads(3, ny), quads(4, ny), quads(2 * steps, nx, ny)
    return Plane(x_lo, x_up, x_mix, source, f, y_lo, y_up, y_mix, quads(1), *own)


@part
def factor(plane, k):  # type: ignore[no-untyped-def]
    """Factors 1 - k A1 into `pivot` (the inverse of each pivot) and 1 - k A2 into `y_lu`: 1 / p, k lo / p and k up / p of each row."""
    nx, ny = plane.x_lo.shape[0], plane.f.shape[0]
    for j in range(ny):
        store(plane.pivot, j, broadcast(0.0))
    for i in range(1, nx - 1):
        lo = k * load(plane.x_lo, i)
        both, cross = k * load(plane.x_up, i) + lo, lo * (k * load(plane.x_up, i - 1))
        for j in range(ny):
            f = load(plane.f, j)
            before = f * load(plane.pivot, (i - 1) * ny + j)
            store(plane.pivot, i * ny + j, 1.0 / fma(f, both - cross * before, broadcast(1.0)))
    ahead = broadcast(0.0)
    for j in range(ny):
        lo, up = k * load(plane.y_lo, j), k * load(plane.y_up, j)
        inverse = 1.0 / (1.0 + lo + up - lo * ahead)
        ahead = up * inverse
        store(plane.y_lu, j, inverse)
        store(plane.y_lu, ny + j, lo * inverse)
        store(plane.y_lu, 2 * ny + j, ahead)


@part
def _first_half(plane, dt, k):  # type: ignore[no-untyped-def]
    """The elimination of (1 - k A1) d1 = dt (A u + b) into `half`.

    With C and K the first and second difference along x at a y, `more` = C + skew K and `less` = C - skew K there, the mixed difference is
    more[j + 1] - less[j - 1] - (more[j] - less[j]).
    """
    nx, ny, u, skew = plane.x_lo.shape[0], plane.f.shape[0], plane.u, load(plane.skew, 0)
    for j in range(ny):
        store(plane.half, j, broadcast(0.0))
    for i in range(1, nx - 1):
        at, mix = i * ny, dt * load(plane.x_mix, i)
        lo, up, twist = dt * load(plane.x_lo, i), dt * load(plane.x_up, i), mix * skew
        middle, source, below = 0.0 - lo - up, dt * load(plane.source, i), k * load(plane.x_lo, i)
        strong, weak, twist = mix + twist, mix - twist, twist + twist
        low, here, high = load(u, at - ny), load(u, at), load(u, at + ny)
        before, left = broadcast(0.0), broadcast(0.0)  # at the ends the weights are 0, and what lies beyond may be anything finite
        more, less = fma(strong, high, fnma(twist, here, 0.0 - weak * low)), fma(weak, high, fma(twist, here, 0.0 - strong * low))
        for j in range(ny):
            total = fma(lo, low, fma(up, high, fma(middle, here, source)))
            low, after, high, f = load(u, at - ny + j + 1), load(u, at + j + 1), load(u, at + ny + j + 1), load(plane.f, j)
            far, near = fma(strong, high, fnma(twist, after, 0.0 - weak * low)), fma(weak, high, fma(twist, after, 0.0 - strong * low))
            cross, right = far - before - (more - less), after - here
            along = fma(load(plane.y_up, j), right, 0.0 - load(plane.y_lo, j) * left)
            total = fma(below, load(plane.half, at - ny + j), total)
            store(plane.half, at + j, load(plane.pivot, at + j) * fma(f, total, fma(load(plane.y_mix, j), cross, dt * along)))
            before, more, less, here, left = less, far, near, after, right


@part
def _second_half(plane, dt, k):  # type: ignore[no-untyped-def]
    """The elimination of (1 - k A1) (e1 - d1) = dt / 2 A0 d2 into `half`."""
    nx, ny, d2, skew = plane.x_lo.shape[0], plane.f.shape[0], plane.d2, load(plane.skew, 0)
    for j in range(ny):
        store(plane.half, j, broadcast(0.0))
    for i in range(1, nx - 1):
        at, mix, below = i * ny, 0.5 * dt * load(plane.x_mix, i), k * load(plane.x_lo, i)
        twist = mix * skew
        strong, weak, twist = mix + twist, mix - twist, twist + twist
        low, here, high, before = load(d2, at - ny), load(d2, at), load(d2, at + ny), broadcast(0.0)
        more, less = fma(strong, high, fnma(twist, here, 0.0 - weak * low)), fma(weak, high, fma(twist, here, 0.0 - strong * low))
        for j in range(ny):
            low, here, high = load(d2, at - ny + j + 1), load(d2, at + j + 1), load(d2, at + ny + j + 1)
            far, near = fma(strong, high, fnma(twist, here, 0.0 - weak * low)), fma(weak, high, fma(twist, here, 0.0 - strong * low))
            right = fma(load(plane.f, j), below * load(plane.half, at - ny + j), load(plane.y_mix, j) * (far - before - (more - less)))
            store(plane.half, at + j, load(plane.pivot, at + j) * right)
            before, more, less = less, far, near


@part
def _substitute(plane, i, k):  # type: ignore[no-untyped-def]
    """Row i of the solution along x, in place in `half`, from row i + 1."""
    ny, half = plane.f.shape[0], plane.half
    up, at = k * load(plane.x_up, i), i * ny
    for j in range(ny):
        store(half, at + j, fma(load(plane.pivot, at + j) * (up * load(plane.f, j)), load(half, at + ny + j), load(half, at + j)))


@part
def _along_four(plane, at, second):  # type: ignore[no-untyped-def]
    """(1 - k A2) y = half in the four x rows from node `at`; adds y to u, and puts it into d2; the `second` of a kept step adds it there."""
    ny, half, lu, rows, u, d2 = plane.f.shape[0], plane.half, plane.y_lu, plane.rows, plane.u, plane.d2
    keep = plane.kept.shape[0] > 0
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for j in range(ny):
        inverse, lo = load(lu, j), load(lu, ny + j)
        a = fma(lo, a, inverse * load(half, at + j))
        b = fma(lo, b, inverse * load(half, at + ny + j))
        c = fma(lo, c, inverse * load(half, at + 2 * ny + j))
        d = fma(lo, d, inverse * load(half, at + 3 * ny + j))
        store(rows, j, a)
        store(rows, ny + j, b)
        store(rows, 2 * ny + j, c)
        store(rows, 3 * ny + j, d)
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for j in range(ny - 1, -1, -1):
        up = load(lu, 2 * ny + j)
        a = fma(up, a, load(rows, j))
        b = fma(up, b, load(rows, ny + j))
        c = fma(up, c, load(rows, 2 * ny + j))
        d = fma(up, d, load(rows, 3 * ny + j))
        store(u, at + j, load(u, at + j) + a)
        store(u, at + ny + j, load(u, at + ny + j) + b)
        store(u, at + 2 * ny + j, load(u, at + 2 * ny + j) + c)
        store(u, at + 3 * ny + j, load(u, at + 3 * ny + j) + d)
        if not second:
            store(d2, at + j, a)
            store(d2, at + ny + j, b)
            store(d2, at + 2 * ny + j, c)
            store(d2, at + 3 * ny + j, d)
        elif keep:
            store(d2, at + j, load(d2, at + j) + a)
            store(d2, at + ny + j, load(d2, at + ny + j) + b)
            store(d2, at + 2 * ny + j, load(d2, at + 2 * ny + j) + c)
            store(d2, at + 3 * ny + j, load(d2, at + 3 * ny + j) + d)


@part
def _along_one(plane, at, second):  # type: ignore[no-untyped-def]
    """`_along_four` for one x row."""
    ny, half, lu, rows, u, d2 = plane.f.shape[0], plane.half, plane.y_lu, plane.rows, plane.u, plane.d2
    a = broadcast(0.0)
    for j in range(ny):
        a = fma(load(lu, ny + j), a, load(lu, j) * load(half, at + j))
        store(rows, j, a)
    a = broadcast(0.0)
    for j in range(ny - 1, -1, -1):
        a = fma(load(lu, 2 * ny + j), a, load(rows, j))
        store(u, at + j, load(u, at + j) + a)
        store(d2, at + j, load(d2, at + j) + a if second else a)


@part
def _keep(plane, entry, first, last):  # type: ignore[no-untyped-def]
    """Nodes `first` to `last` of d2 into an entry of `kept`."""
    at = entry * plane.x_lo.shape[0] * plane.f.shape[0]
    for row in range(first, last):
        stream(plane.kept, at + row, load(plane.d2, row))


@part
def _finish_half(plane, k, second, entry):  # type: ignore[no-untyped-def]
    """Substitution along x, and the solution along y, into u and d2, and from there where it is kept."""
    nx, ny, keep = plane.x_lo.shape[0], plane.f.shape[0], plane.kept.shape[0] > 0
    i = nx - 2
    while i >= 4:
        for row in range(i, i - 4, -1):
            _substitute(plane, row, k)
        _along_four(plane, (i - 3) * ny, second)
        if keep:
            _keep(plane, entry, (i - 3) * ny, (i + 1) * ny)
        i -= 4
    for row in range(i, 0, -1):
        _substitute(plane, row, k)
        _along_one(plane, row * ny, second)
    if keep:
        _keep(plane, entry, ny, (i + 1) * ny)


@kernel
def solve(plane, plan):  # type: ignore[no-untyped-def]
    """Carries u through the plan [steps, 3]."""
    ny, size = plane.f.shape[0], plane.x_lo.shape[0] * plane.f.shape[0]
    factored, damped = -1.0, False
    for row in range(size - ny, size):  # an adjoint leaves numbers there
        store(plane.half, row, broadcast(0.0))
    for step in range(plan.shape[0]):
        dt, k, damped = plan[step, 0], plan[step, 1], plan[step, 2] > 0.0
        if k != factored:
            factor(plane, k)
            factored = k
        for half in range(1 if damped else 2):
            if half == 0:
                _first_half(plane, dt, k)
            else:
                _second_half(plane, dt, k)
            _finish_half(plane, k, half == 1, 2 * step + (1 if damped else half))
