"""`adi_adjoint.solve_adjoint` on the device, threads as in plane.py: a sum over a row belongs to the row's thread, over a column to the column's."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda

from pybackdoor.oracles.cuda.launch import device
from pybackdoor.oracles.cuda.plane import PIVOT, R2, U_BAR, W1, W2, Y_LU, M, P, Q, S, U, bend, corners, factor, tile


class Step(NamedTuple):
    """A step's k and t = dt / k, and where d2 and e2 lie in what was kept [2 steps, nx ny + SPARE]."""

    k: float
    t: float
    kept: Any
    d2: int
    e2: int


@device
def back_along_y(this, field):  # type: ignore[no-untyped-def]
    """(1 - k A2)^T in place, a row a thread."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        value, up = 0.0, 0.0
        for j in range(ny):
            value = up * value + fields[field, i * ny + j]
            fields[field, i * ny + j] = value
            up = fields[Y_LU, 2 * ny + j]
        value, lo = 0.0, 0.0
        for j in range(ny - 1, -1, -1):
            value = lo * value + fields[field, i * ny + j]
            fields[field, i * ny + j] = fields[Y_LU, j] * value
            lo = fields[Y_LU, ny + j]
    cuda.syncthreads()


@device
def back_along_x(this, field, to, k):  # type: ignore[no-untyped-def]
    """(1 - k A1)^T of `field` into `to`, a column a thread."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        scale, value, carried = k * this.y[0, j], 0.0, 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            value = carried * value + fields[field, node]
            carried = fields[PIVOT, node] * scale * this.x[1, i]
            fields[to, node] = value
        value = 0.0
        for i in range(nx - 2, 0, -1):
            node = i * ny + j
            value = fields[PIVOT, node] * (scale * this.x[0, i + 1] * value + fields[to, node])
            fields[to, node] = value
    cuda.syncthreads()


@device
def transposed_corners(this, field, i, j):  # type: ignore[no-untyped-def]
    """A0' of the field at a node."""
    ny, fields = this.y.shape[1], this.fields
    node = i * ny + j
    left = this.y_mix[j - 1] if j > 0 else 0.0
    right = this.y_mix[j + 1] if j < ny - 1 else 0.0
    before, after = this.x[2, i - 1], this.x[2, i + 1]
    here, more, less = this.x[2, i] * (2.0 * this.skew), 1.0 + this.skew, 1.0 - this.skew
    to_left = more * before * fields[field, node - ny - 1] - here * fields[field, node - 1] - less * after * fields[field, node + ny - 1]
    to_right = less * before * fields[field, node - ny + 1] + here * fields[field, node + 1] - more * after * fields[field, node + ny + 1]
    own = before * fields[field, node - ny] + after * fields[field, node + ny]
    own = 2.0 * this.skew * own - 2.0 * here * fields[field, node]
    return left * to_left - right * to_right - this.y_mix[j] * own


@device
def mixed(this, dt, damped):  # type: ignore[no-untyped-def]
    """Dt / 2 A0' r2 into q; of a damping step 0 into q and r2."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            node = i * ny + j
            if damped:
                fields[Q, node] = 0.0
                fields[R2, node] = 0.0
            else:
                fields[Q, node] = 0.5 * dt * transposed_corners(this, R2, i, j)
    cuda.syncthreads()


@device
def before_x(this, kept, row, i, j, k):  # type: ignore[no-untyped-def]
    """(1 - k A2) of a row of what was kept, at a node."""
    node = i * this.y.shape[1] + j
    here = kept[row, node]
    return here - k * (this.y[1, j] * (kept[row, node - 1] - here) + this.y[2, j] * (kept[row, node + 1] - here))


@device
def history(this, step):  # type: ignore[no-untyped-def]
    """U before the step, m = t (r2 + s), and t u + d1, t u + e1 into w1, w2."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            node = i * ny + j
            u = fields[U, node] - step.kept[step.e2, node]
            fields[U, node] = u
            fields[M, node] = step.t * (fields[R2, node] + fields[S, node])
            fields[W1, node] = step.t * u + before_x(this, step.kept, step.d2, i, j, step.k)
            fields[W2, node] = step.t * u + before_x(this, step.kept, step.e2, i, j, step.k)
    cuda.syncthreads()


@device
def add_x(this, step, bars):  # type: ignore[no-untyped-def]
    """What the rows give to lo, up, mix and source, and to the skew, bars [5, nx]."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        lo, up, cross, bent, source = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(ny):
            node, f = i * ny + j, this.y[0, j]
            s, r, m = f * fields[S, node], f * fields[R2, node], fields[M, node]
            w1, w2 = fields[W1, node], fields[W2, node]
            lo += s * (fields[W1, node - ny] - w1) + r * (fields[W2, node - ny] - w2)
            up += s * (fields[W1, node + ny] - w1) + r * (fields[W2, node + ny] - w2)
            source += f * m
            second = 0.5 * step.t * fields[R2, node]
            cross += this.y_mix[j] * (m * corners(fields, U, node, ny) + second * corners(step.kept, step.d2, node, ny))
            bent += this.y_mix[j] * (m * bend(fields, U, node, ny) + second * bend(step.kept, step.d2, node, ny))
        bars[0, i] += step.k * lo
        bars[1, i] += step.k * up
        bars[2, i] += step.k * (cross + this.skew * bent)
        bars[3, i] += step.k * source
        bars[4, i] += step.k * this.x[2, i] * bent


@device
def add_y(this, step, bars):  # type: ignore[no-untyped-def]
    """What the columns give to lo and up, bars [2, ny]."""
    nx, ny, fields, kept = this.x.shape[1], this.y.shape[1], this.fields, step.kept
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        lo, up = 0.0, 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            p, q, m = fields[P, node], fields[Q, node], fields[M, node]
            u, d, e = fields[U, node], kept[step.d2, node], kept[step.e2, node]
            lo += p * (kept[step.e2, node - 1] - e) + q * (kept[step.d2, node - 1] - d) + m * (fields[U, node - 1] - u)
            up += p * (kept[step.e2, node + 1] - e) + q * (kept[step.d2, node + 1] - d) + m * (fields[U, node + 1] - u)
        bars[0, j] += step.k * lo
        bars[1, j] += step.k * up


@device
def carry_back(this, k):  # type: ignore[no-untyped-def]
    """Adds k A' m to u_bar."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            node = i * ny + j
            here = fields[M, node]
            across = this.x[0, i + 1] * fields[M, node + ny] + this.x[1, i - 1] * fields[M, node - ny]
            across -= (this.x[0, i] + this.x[1, i]) * here
            along = 0.0 - (this.y[1, j] + this.y[2, j]) * here
            if j > 0:
                along += this.y[2, j - 1] * fields[M, node - 1]
            if j < ny - 1:
                along += this.y[1, j + 1] * fields[M, node + 1]
            fields[U_BAR, node] += k * (this.y[0, j] * across + along + transposed_corners(this, M, i, j))
    cuda.syncthreads()


@device
def back(this, dt, step):  # type: ignore[no-untyped-def]
    """p, r2, q and s of one step; a damping step, whose d2 is its e2, has p and s alone."""
    nx, ny, fields, damped = this.x.shape[1], this.y.shape[1], this.fields, step.d2 == step.e2
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            node = i * ny + j
            fields[P, node] = fields[U_BAR, node]
    cuda.syncthreads()
    back_along_y(this, P)
    back_along_x(this, P, S if damped else R2, step.k)
    mixed(this, dt, damped)
    if not damped:
        back_along_y(this, Q)
        back_along_x(this, Q, S, step.k)


@device
def solve_adjoint(this, plan, kept, x_bars, y_bars):  # type: ignore[no-untyped-def]
    """u_bar back through the plan, and u with it; the derivatives in the weights, the skew's by rows, into x_bars [5, nx] and y_bars [2, ny]."""
    nx, ny, factored = this.x.shape[1], this.y.shape[1], -1.0
    for i in range(cuda.threadIdx.x, nx, cuda.blockDim.x):
        for row in range(5):
            x_bars[row, i] = 0.0
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        y_bars[0, j], y_bars[1, j] = 0.0, 0.0
    for place in range(plan.shape[0]):
        n = plan.shape[0] - 1 - place
        dt, k = plan[n, 0], plan[n, 1]
        if k != factored:
            cuda.syncthreads()
            factor(this, k)
            factored = k
        step = Step(k, dt / k, kept, 2 * n + 1 if plan[n, 2] > 0.0 else 2 * n, 2 * n + 1)
        back(this, dt, step)
        history(this, step)
        add_x(this, step, x_bars)
        add_y(this, step, y_bars)
        carry_back(this, k)
