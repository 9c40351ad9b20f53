"""`adi_adjoint.solve_adjoint` on the device, threads as in plane.py: a sum over a row belongs to the row's thread, over a column to the column's."""

from __future__ import annotations

from numba import cuda

from pybackdoor.oracles.cuda.launch import device
from pybackdoor.oracles.cuda.plane import corners, factor


@device
def back_along_y(this, field):  # type: ignore[no-untyped-def]
    """(1 - k A2)^T in place, a row a thread."""
    nx, ny, lu = this.x.shape[1], this.y.shape[1], this.y_lu
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        value, up = 0.0, 0.0
        for j in range(ny):
            value = up * value + field[i * ny + j]
            field[i * ny + j] = value
            up = lu[2 * ny + j]
        value, lo = 0.0, 0.0
        for j in range(ny - 1, -1, -1):
            value = lo * value + field[i * ny + j]
            field[i * ny + j] = lu[j] * value
            lo = lu[ny + j]
    cuda.syncthreads()


@device
def back_along_x(this, field, to, k):  # type: ignore[no-untyped-def]
    """(1 - k A1)^T of `field` into `to`, a column a thread."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        scale, value, carried = k * this.y[0, j], 0.0, 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            value = carried * value + field[node]
            carried = this.pivot[node] * scale * this.x[1, i]
            to[node] = value
        value = 0.0
        for i in range(nx - 2, 0, -1):
            node = i * ny + j
            value = this.pivot[node] * (scale * this.x[0, i + 1] * value + to[node])
            to[node] = value
    cuda.syncthreads()


@device
def transposed_corners(this, field, node, ny):  # type: ignore[no-untyped-def]
    """A0' of the field at a node."""
    i, j = node // ny, node % ny
    left = this.y_mix[j - 1] if j > 0 else 0.0
    right = this.y_mix[j + 1] if j < ny - 1 else 0.0
    before, after = this.x[2, i - 1], this.x[2, i + 1]
    return left * (before * field[node - ny - 1] - after * field[node + ny - 1]) - right * (
        before * field[node - ny + 1] - after * field[node + ny + 1]
    )


@device
def mixed(this, dt, damped):  # type: ignore[no-untyped-def]
    """Dt / 2 A0' r2 into q; of a damping step 0 into q and r2."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        if damped:
            this.rate[node] = 0.0
            this.r2[node] = 0.0
        else:
            this.rate[node] = 0.5 * dt * transposed_corners(this, this.r2, node, ny)
    cuda.syncthreads()


@device
def history(this, d2, e2, t, k):  # type: ignore[no-untyped-def]
    """U before the step, m = t (r2 + s), and t u + d1, t u + e1 into w1, w2."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        j = node % ny
        lo, up, d, e = k * this.y[1, j], k * this.y[2, j], d2[node], e2[node]
        base = this.u[node] - e
        this.u[node] = base
        this.m[node] = t * (this.r2[node] + this.half[node])
        this.w1[node] = t * base + d - lo * (d2[node - 1] - d) - up * (d2[node + 1] - d)
        this.w2[node] = t * base + e - lo * (e2[node - 1] - e) - up * (e2[node + 1] - e)
    cuda.syncthreads()


@device
def add_x(this, d2, bars, t, k):  # type: ignore[no-untyped-def]
    """What the rows give to lo, up, mix and source, bars [4, nx]."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        lo, up, cross, source = 0.0, 0.0, 0.0, 0.0
        for j in range(ny):
            node, f = i * ny + j, this.y[0, j]
            s, r, m = f * this.half[node], f * this.r2[node], this.m[node]
            w1, w2 = this.w1[node], this.w2[node]
            lo += s * (this.w1[node - ny] - w1) + r * (this.w2[node - ny] - w2)
            up += s * (this.w1[node + ny] - w1) + r * (this.w2[node + ny] - w2)
            source += f * m
            cross += this.y_mix[j] * (m * corners(this.u, node, ny) + 0.5 * t * this.r2[node] * corners(d2, node, ny))
        bars[0, i] += k * lo
        bars[1, i] += k * up
        bars[2, i] += k * cross
        bars[3, i] += k * source


@device
def add_y(this, d2, e2, bars, k):  # type: ignore[no-untyped-def]
    """What the columns give to lo and up, bars [2, ny]."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        lo, up = 0.0, 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            p, q, m = this.d2[node], this.rate[node], this.m[node]
            lo += p * (e2[node - 1] - e2[node]) + q * (d2[node - 1] - d2[node]) + m * (this.u[node - 1] - this.u[node])
            up += p * (e2[node + 1] - e2[node]) + q * (d2[node + 1] - d2[node]) + m * (this.u[node + 1] - this.u[node])
        bars[0, j] += k * lo
        bars[1, j] += k * up


@device
def carry_back(this, k):  # type: ignore[no-untyped-def]
    """Adds k A' m to u_bar."""
    nx, ny, m = this.x.shape[1], this.y.shape[1], this.m
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        i, j, here = node // ny, node % ny, m[node]
        across = this.x[0, i + 1] * m[node + ny] + this.x[1, i - 1] * m[node - ny] - (this.x[0, i] + this.x[1, i]) * here
        along = 0.0 - (this.y[1, j] + this.y[2, j]) * here
        if j > 0:
            along += this.y[2, j - 1] * m[node - 1]
        if j < ny - 1:
            along += this.y[1, j + 1] * m[node + 1]
        this.u_bar[node] += k * (this.y[0, j] * across + along + transposed_corners(this, m, node, ny))
    cuda.syncthreads()


@device
def solve_adjoint(this, plan, kept, x_bars, y_bars):  # type: ignore[no-untyped-def]
    """u_bar back through the plan, and u with it; the derivatives in the weights into x_bars [4, nx] and y_bars [2, ny]."""
    nx, ny, factored = this.x.shape[1], this.y.shape[1], -1.0
    for i in range(cuda.threadIdx.x, nx, cuda.blockDim.x):
        for row in range(4):
            x_bars[row, i] = 0.0
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        y_bars[0, j], y_bars[1, j] = 0.0, 0.0
    for step in range(plan.shape[0] - 1, -1, -1):
        dt, k, damped = plan[step, 0], plan[step, 1], plan[step, 2] > 0.0
        if k != factored:
            factor(this, k)
            factored = k
        e2 = kept[2 * step + 1]
        d2 = kept[2 * step + 1 if damped else 2 * step]
        for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
            this.d2[node] = this.u_bar[node]
        cuda.syncthreads()
        back_along_y(this, this.d2)
        if damped:
            back_along_x(this, this.d2, this.half, k)
            mixed(this, dt, True)
        else:
            back_along_x(this, this.d2, this.r2, k)
            mixed(this, dt, False)
            back_along_y(this, this.rate)
            back_along_x(this, this.rate, this.half, k)
        history(this, d2, e2, dt / k, k)
        add_x(this, d2, x_bars, dt / k, k)
        add_y(this, d2, e2, y_bars, k)
        carry_back(this, k)
