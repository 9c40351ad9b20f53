"""Many two-dimensional parabolic problems side by side, with a mixed derivative, by alternating directions: u' = A u + b on 0 < t < 1, where

    A = A0 + A1 + A2,    A1 u = f(y) L u,    A2 u = N u,    A0 u = p(x) q(y) u_xy,    b = f(y) g(x);

L and N are three-point differences along x and along y that vanish on constants. Heston's equation has this form, and so has any diffusion with
constant coefficients. Nodes are smooth images of equal steps, and u_xy is the central difference of the four corners in those steps. At the first
and last x the solution is held at 0; along y the first and last row are one-sided.

Time: the scheme of Craig and Sneyd (I. J. D. Craig and A. D. Sneyd, Computers and Mathematics with Applications 16 (1988), 341-350), theta = 1/2, of
second order with the mixed derivative and unconditionally stable (K. J. in 't Hout and B. D. Welfert, Applied Numerical Mathematics 57 (2007),
19-35), written in increments:

    r = dt (A u + b),                  (1 - k A1) d1 = r,    (1 - k A2) d2 = d1,
    (1 - k A1) e1 = r + dt / 2 A0 d2,  (1 - k A2) e2 = e1,   u + e2,      k = dt / 2.

A damping step leaves the second line out, goes on with u + d2 and has k = dt: the scheme of Douglas with theta = 1, of first order, which smooths
kinks and jumps in the data.

A plan is a list of steps (dt, k, 1 where damped); 1 - k A1 and 1 - k A2 are factored anew where k changes. Arrays are [nodes, QUAD] or [x nodes, y
nodes, QUAD], a problem a lane (see quads.py). All memory belongs to the caller. Cost: about 35 multiply-adds a node and step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.quads import broadcast, fma, load, quads, store, stream


class Plane(NamedTuple):
    """QUAD problems on nx by ny nodes, and what the solver needs; zeros to begin with.

    The caller fills x_lo, x_up (L), x_mix (p), source (g) [nx, QUAD], f, y_lo, y_up (N), y_mix (q) [ny, QUAD] and u (at t = 0). lo and up are the
    weights of (left neighbour - here) and (right neighbour - here); p q multiplies the corners' difference. The first and last row of u and of the x
    arrays stay 0, and so do y_lo[0], y_up[-1], y_mix[0] and y_mix[-1]. Where an adjoint follows, kept [2 steps, nx, ny, QUAD] holds each
    step's d2 and e2, a damping step's d2 as its e2; else it is empty.
    """

    x_lo: np.ndarray
    x_up: np.ndarray
    x_mix: np.ndarray
    source: np.ndarray
    f: np.ndarray
    y_lo: np.ndarray
    y_up: np.ndarray
    y_mix: np.ndarray
    u: np.ndarray
    d2: np.ndarray
    rate: np.ndarray
    half: np.ndarray
    pivot: np.ndarray
    y_lu: np.ndarray
    rows: np.ndarray
    kept: np.ndarray


def plane(nx: int, ny: int, steps: int = 0) -> Plane:
    """Memory for one block of problems; `steps`: those that an adjoint will go back, or 0."""
    x_lo, x_up, x_mix, source = (quads(nx) for _ in range(4))
    f, y_lo, y_up, y_mix = (quads(ny) for _ in range(4))
    u, d2, rate, half, pivot = (quads(nx, ny) for _ in range(5))
    return Plane(x_lo, x_up, x_mix, source, f, y_lo, y_up, y_mix, u, d2, rate, half, pivot, quads(3, ny), quads(5, ny), quads(2 * steps, nx, ny))


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
def _along_y(plane, at, m, n):  # type: ignore[no-untyped-def]
    """Q times the difference of both y neighbours, and N u, of the x row that begins at `at`: into rows m and n of `rows`."""
    ny, rows, u = plane.f.shape[0], plane.rows, plane.u
    here = load(u, at)
    before = here
    for j in range(ny):
        after = load(u, at + j + 1)  # past the last node anything finite: its weight is 0
        store(rows, m * ny + j, load(plane.y_mix, j) * (after - before))
        store(rows, n * ny + j, fma(load(plane.y_lo, j), before - here, load(plane.y_up, j) * (after - here)))
        before, here = here, after


@part
def _first_half(plane, dt, k):  # type: ignore[no-untyped-def]
    """Rate = dt (A u + b), and the elimination of (1 - k A1) d1 = rate into `half`."""
    nx, ny, u, rows = plane.x_lo.shape[0], plane.f.shape[0], plane.u, plane.rows
    for j in range(ny):
        store(plane.half, j, broadcast(0.0))
        store(rows, j, broadcast(0.0))
    _along_y(plane, ny, 1, 4)
    for i in range(1, nx - 1):
        here, n = i * ny, 3 + i % 2
        if i < nx - 2:
            _along_y(plane, here + ny, (i + 1) % 3, 7 - n)
        else:
            for j in range((i + 1) % 3 * ny, (i + 1) % 3 * ny + ny):
                store(rows, j, broadcast(0.0))
        m0, m2 = (i - 1) % 3 * ny, (i + 1) % 3 * ny
        lo, up, mix = dt * load(plane.x_lo, i), dt * load(plane.x_up, i), dt * load(plane.x_mix, i)
        middle, source, below = 0.0 - lo - up, dt * load(plane.source, i), k * load(plane.x_lo, i)
        for j in range(ny):
            f = load(plane.f, j)
            total = fma(lo, load(u, here - ny + j), fma(up, load(u, here + ny + j), fma(middle, load(u, here + j), source)))
            rate = fma(f, total, fma(mix, load(rows, m2 + j) - load(rows, m0 + j), dt * load(rows, n * ny + j)))
            store(plane.rate, here + j, rate)
            store(plane.half, here + j, load(plane.pivot, here + j) * fma(below * f, load(plane.half, here - ny + j), rate))


@part
def _second_half(plane, dt, k):  # type: ignore[no-untyped-def]
    """The elimination of (1 - k A1) e1 = rate + dt / 2 A0 d2 into `half`."""
    nx, ny, rows, d2 = plane.x_lo.shape[0], plane.f.shape[0], plane.rows, plane.d2
    for j in range(ny):
        store(plane.half, j, broadcast(0.0))
    for i in range(1, nx - 1):
        here = i * ny
        mix, below = 0.5 * dt * load(plane.x_mix, i), k * load(plane.x_lo, i)
        for j in range(ny):
            store(rows, j, load(d2, here + ny + j) - load(d2, here - ny + j))
        before, middle = broadcast(0.0), load(rows, 0)
        for j in range(ny):
            after = load(rows, j + 1)
            mixed = mix * (load(plane.y_mix, j) * (after - before))
            right = fma(load(plane.f, j), below * load(plane.half, here - ny + j), load(plane.rate, here + j) + mixed)
            store(plane.half, here + j, load(plane.pivot, here + j) * right)
            before, middle = middle, after


@part
def _substitute(plane, i, k):  # type: ignore[no-untyped-def]
    """Row i of the solution along x, in place in `half`, from row i + 1."""
    ny, half = plane.f.shape[0], plane.half
    up, at = k * load(plane.x_up, i), i * ny
    for j in range(ny):
        store(half, at + j, fma(load(plane.pivot, at + j) * (up * load(plane.f, j)), load(half, at + ny + j), load(half, at + j)))


@part
def _along_four(plane, at, out, add):  # type: ignore[no-untyped-def]
    """(1 - k A2) y = half in the four x rows from node `at`; y, plus u where `add` is 1, into `out`."""
    ny, half, lu, rows, u = plane.f.shape[0], plane.half, plane.y_lu, plane.rows, plane.u
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
        store(out, at + j, fma(add, load(u, at + j), a))
        store(out, at + ny + j, fma(add, load(u, at + ny + j), b))
        store(out, at + 2 * ny + j, fma(add, load(u, at + 2 * ny + j), c))
        store(out, at + 3 * ny + j, fma(add, load(u, at + 3 * ny + j), d))


@part
def _along_one(plane, at, out, add):  # type: ignore[no-untyped-def]
    """`_along_four` for one x row."""
    ny, half, lu, rows = plane.f.shape[0], plane.half, plane.y_lu, plane.rows
    a = broadcast(0.0)
    for j in range(ny):
        a = fma(load(lu, ny + j), a, load(lu, j) * load(half, at + j))
        store(rows, j, a)
    a = broadcast(0.0)
    for j in range(ny - 1, -1, -1):
        a = fma(load(lu, 2 * ny + j), a, load(rows, j))
        store(out, at + j, fma(add, load(plane.u, at + j), a))


@part
def _keep(plane, entry, first, last, add):  # type: ignore[no-untyped-def]
    """Nodes `first` to `last` of d2 into an entry of `kept`, and added to u where `add` is 1."""
    at, d2, u = entry * plane.x_lo.shape[0] * plane.f.shape[0], plane.d2, plane.u
    for row in range(first, last):
        change = load(d2, row)
        stream(plane.kept, at + row, change)
        store(u, row, fma(add, change, load(u, row)))


@part
def _finish_half(plane, k, out, add, entry):  # type: ignore[no-untyped-def]
    """Substitution along x, and the solution along y: into `out`, plus u where `add` is 1; or, where it is kept, into d2, `kept` and from there u."""
    nx, ny, keep = plane.x_lo.shape[0], plane.f.shape[0], plane.kept.shape[0] > 0
    own = 0.0 if keep else add
    i = nx - 2
    while i >= 4:
        for row in range(i, i - 4, -1):
            _substitute(plane, row, k)
        _along_four(plane, (i - 3) * ny, out, own)
        if keep:
            _keep(plane, entry, (i - 3) * ny, (i + 1) * ny, add)
        i -= 4
    for row in range(i, 0, -1):
        _substitute(plane, row, k)
        _along_one(plane, row * ny, out, own)
    if keep:
        _keep(plane, entry, ny, (i + 1) * ny, add)


@kernel
def solve(plane, plan):  # type: ignore[no-untyped-def]
    """Carries u through the plan [steps, 3]."""
    ny, size, keep = plane.f.shape[0], plane.x_lo.shape[0] * plane.f.shape[0], plane.kept.shape[0] > 0
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
            ends = damped or half == 1
            out = plane.u if ends and not keep else plane.d2
            _finish_half(plane, k, out, 1.0 if ends else 0.0, 2 * step + (1 if ends else 0))
