"""The last pass of a step of `adi_adjoint.solve_adjoint`: s, and what r2 and s give to the coefficients and to u_bar.

x rows are taken downwards. With t = dt / k and m = t (r2 + s), everything is k times

    A1: f r2 and f s times the x differences of t u + e1 and t u + d1,   A2: m times the y differences of u,
    A0: m times the mixed differences of u and t / 2 r2 times those of d2,   u_bar: A' m.

A row's mixed differences are transposed along y first (A0' = its own differences along y, first and second, then along x), so that rows of u and d2
are read as they lie. Numbers of the last two or three x rows are in `rows`.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import part
from pybackdoor.oracles.quads import broadcast, fetch, fma, fnma, load, store

S, M, CROSS, D, E = 2, 4, 7, 10, 12  # the first row of each in `rows`; 0 and 1 are for the passes before
BENT = 19  # CROSS has the first differences plus skew times the second, BENT the first less that
Y_LO, Y_UP, Y_HERE, Y_MIX, Y_ONE = 14, 15, 16, 17, 18
ROWS = 22


@part
def scale_y(plane, bars, k):  # type: ignore[no-untyped-def]
    """K lo, k up, -k (lo + up), its difference from 1, and the weights of mixed differences along y, between zeros."""
    ny, rows = plane.f.shape[0], bars.rows
    width = ny + 2
    for j in range(ny):
        lo, up = k * load(plane.y_lo, j), k * load(plane.y_up, j)
        store(rows, Y_LO * width + 1 + j, lo)
        store(rows, Y_UP * width + 1 + j, up)
        store(rows, Y_HERE * width + 1 + j, 0.0 - lo - up)
        store(rows, Y_ONE * width + 1 + j, 1.0 + lo + up)
        store(rows, Y_MIX * width + 1 + j, load(plane.y_mix, j))


@part
def _along_x(plane, bars, i, first, second, t, k):  # type: ignore[no-untyped-def]
    """Row i of s, m, t u + d1 and t u + e1, and what they give to x_lo[i + 1], x_up[i] and source[i]."""
    ny, rows, kept, r2 = plane.f.shape[0], bars.rows, plane.kept, bars.r2
    width, at, d_at, e_at = ny + 2, i * ny, first + i * ny, second + i * ny
    this, beyond = i % 2 * width + 1, (i + 1) % 2 * width + 1
    s_row, s_beyond, m_row = S * width + this, S * width + beyond, (M + i % 3) * width + 1
    d_row, d_beyond, e_row, e_beyond = D * width + this, D * width + beyond, E * width + this, E * width + beyond
    y_lo, y_up, y_one = Y_LO * width + 1, Y_UP * width + 1, Y_ONE * width + 1
    k_lo = k * load(plane.x_lo, i + 1)
    up, down, source = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for j in range(ny):
        f, s_after, r = load(plane.f, j), load(rows, s_beyond + j), load(r2, at + j)
        s = load(plane.pivot, at + j) * fma(k_lo * f, s_after, load(plane.half, at + j))
        m = t * (r + s)
        store(rows, s_row + j, s)
        store(rows, m_row + j, m)
        source = fma(f, m, source)
        lo, right, one, base = load(rows, y_lo + j), load(rows, y_up + j), load(rows, y_one + j), t * load(plane.u, at + j)
        d = fnma(right, load(kept, d_at + j + 1), fnma(lo, load(kept, d_at + j - 1), fma(one, load(kept, d_at + j), base)))
        e = fnma(right, load(kept, e_at + j + 1), fnma(lo, load(kept, e_at + j - 1), fma(one, load(kept, e_at + j), base)))
        d_step, e_step = f * (load(rows, d_beyond + j) - d), f * (load(rows, e_beyond + j) - e)
        store(rows, d_row + j, d)
        store(rows, e_row + j, e)
        up = fma(s, d_step, fma(r, e_step, up))
        down = fma(s_after, d_step, fma(load(r2, at + ny + j), e_step, down))
        fetch(kept, d_at - 2 * ny + j)
        fetch(kept, e_at - 2 * ny + j)
    store(bars.x_up, i, fma(k, up, load(bars.x_up, i)))
    store(bars.x_lo, i + 1, fma(0.0 - k, down, load(bars.x_lo, i + 1)))
    store(bars.source, i, fma(k, source, load(bars.source, i)))


@part
def _along_y(plane, bars, i, first, t, k):  # type: ignore[no-untyped-def]
    """M of row i transposed along y, and what it gives to x_mix[i], to the skew and to y_lo and y_up."""
    ny, rows, u, kept, r2, skew = plane.f.shape[0], bars.rows, plane.u, plane.kept, bars.r2, load(plane.skew, 0)
    width, at, d_at, before = ny + 2, i * ny, first + i * ny, min(i, 1) * ny
    m_row, cross_row, bent_row = (M + i % 3) * width + 1, (CROSS + i % 3) * width + 1, (BENT + i % 3) * width + 1
    mix_row = Y_MIX * width + 1
    u_cross, u_bend, d_cross, d_bend = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    m_before, m_here, r_before, r_here = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)  # y_mix is 0 at the ends
    here, left = load(u, at), broadcast(0.0)
    for j in range(ny):
        mix, m = load(rows, mix_row + j + 1), load(rows, m_row + j)
        m_after, r_after = mix * load(rows, m_row + j + 1), mix * load(r2, at + j + 1)
        cross, bend = m_before - m_after, fnma(2.0, m_here, m_before + m_after)
        twist = skew * bend
        store(rows, cross_row + j, cross + twist)
        store(rows, bent_row + j, cross - twist)
        above, below = load(u, at + ny + j), load(u, at - before + j)
        u_cross, u_bend = fma(cross, above - below, u_cross), fma(bend, fnma(2.0, here, above + below), u_bend)
        cross, bend = r_before - r_after, fnma(2.0, r_here, r_before + r_after)
        above, below = load(kept, d_at + ny + j), load(kept, d_at - before + j)
        d_cross, d_bend = fma(cross, above - below, d_cross), fma(bend, fnma(2.0, load(kept, d_at + j), above + below), d_bend)
        after = load(u, at + j + 1)
        right = after - here
        store(bars.left, j, fma(m, left, load(bars.left, j)))
        store(bars.right, j, fma(m, right, load(bars.right, j)))
        m_before, m_here, r_before, r_here, here, left = m_here, m_after, r_here, r_after, after, right
    bend = fma(0.5 * t, d_bend, u_bend)
    mixed = fma(skew, bend, fma(0.5 * t, d_cross, u_cross))
    store(bars.x_mix, i, fma(k, mixed, load(bars.x_mix, i)))
    store(bars.skew, 0, fma(k * load(plane.x_mix, i), bend, load(bars.skew, 0)))


@part
def _carry_back(plane, bars, i, k):  # type: ignore[no-untyped-def]
    """Adds k A' m to x row i of u_bar."""
    ny, rows = plane.f.shape[0], bars.rows
    width, at = ny + 2, i * ny
    before, here, after = (M + (i - 1) % 3) * width + 1, (M + i % 3) * width + 1, (M + (i + 1) % 3) * width + 1
    far, bent, y_lo, y_up, y_here = (CROSS - M) * width, (BENT - M) * width, Y_LO * width + 1, Y_UP * width + 1, Y_HERE * width + 1
    lo, up, middle = k * load(plane.x_lo, i + 1), k * load(plane.x_up, i - 1), 0.0 - k * (load(plane.x_lo, i) + load(plane.x_up, i))
    mix_before, mix_here, mix_after = k * load(plane.x_mix, i - 1), k * load(plane.x_mix, i), k * load(plane.x_mix, i + 1)
    for j in range(ny):
        m = load(rows, here + j)
        along = fma(lo, load(rows, after + j), fma(up, load(rows, before + j), middle * m))
        across = fma(mix_here, load(rows, here + bent + j) - load(rows, here + far + j), load(bars.u_bar, at + j))
        across = fma(mix_before, load(rows, before + far + j), fnma(mix_after, load(rows, after + bent + j), across))
        own = fma(load(rows, y_up + j - 1), load(rows, here + j - 1), load(rows, y_here + j) * m)
        own = fma(load(rows, y_lo + j + 1), load(rows, here + j + 1), own)
        store(bars.u_bar, at + j, fma(load(plane.f, j), along, across + own))


@part
def collect(plane, bars, first, second, dt, k):  # type: ignore[no-untyped-def]
    """All x rows; d2 begins at row `first` of what was kept, e2 at row `second`."""
    nx, ny, rows = plane.x_lo.shape[0], plane.f.shape[0], bars.rows
    last = nx - 1
    width, t = ny + 2, dt / k
    for row in (S + last % 2, M + last % 3, CROSS + last % 3, BENT + last % 3, D + last % 2, E + last % 2):
        for j in range(ny):
            store(rows, row * width + 1 + j, broadcast(0.0))
    for i in range(nx - 2, -1, -1):
        _along_x(plane, bars, i, first, second, t, k)
        _along_y(plane, bars, i, first, t, k)
        if i < nx - 2:
            _carry_back(plane, bars, i + 1, k)
