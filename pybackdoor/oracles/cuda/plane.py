"""`adi.solve` on the device: a block of THREADS threads a problem, a line of nodes a thread in the sweeps, a node a thread in the differences.

A column is the nodes of one y, a row those of one x. Neighbours that are not there have the weight 0 and are the node before or behind in memory.
Fields [nx ny + SPARE] lie in the block's part of a workspace in global memory, whose first level cache holds what a shared memory would.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda

from pybackdoor.oracles.cuda.launch import device

THREADS = 128
FIELDS = 11
SPARE = 1  # behind the nodes of a field, for the neighbours of the last ones and, counted from the end, of the first


class Problem(NamedTuple):
    """One problem's weights (adi.Plane), 1 - k A1 and 1 - k A2 factored, its fields; names as in adi.py and adi_adjoint.py.

    x [4, nx] is lo, up, mix and source; y [3, ny] is f, lo and up; y_lu begins with 1 / p, k lo / p, k up / p of each row. The first and last row of
    every field stays 0.
    """

    x: Any
    y: Any
    y_mix: Any
    pivot: Any
    y_lu: Any
    u: Any
    u_bar: Any
    d2: Any
    rate: Any
    half: Any
    r2: Any
    w1: Any
    w2: Any
    m: Any


@device
def problem(x, y, y_mix, fields):  # type: ignore[no-untyped-def]
    """`fields` [FIELDS, nx ny + SPARE]; the adjoint puts p where d2 was, q where `rate`, s where `half`."""
    return Problem(
        x, y, y_mix, fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7], fields[8], fields[9], fields[10]
    )


@device
def factor(this, k):  # type: ignore[no-untyped-def]
    """1 - k A1 into `pivot` (the inverse of each pivot) and 1 - k A2 into `y_lu`."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        f, before, up_before = this.y[0, j], 0.0, 0.0
        for i in range(1, nx - 1):
            lo, up = k * f * this.x[0, i], k * f * this.x[1, i]
            before = 1.0 / (1.0 + (lo + up - lo * up_before * before))
            this.pivot[i * ny + j] = before
            up_before = up
    if cuda.threadIdx.x == 0:
        ahead = 0.0
        for j in range(ny):
            lo, up = k * this.y[1, j], k * this.y[2, j]
            inverse = 1.0 / (1.0 + lo + up - lo * ahead)
            ahead = up * inverse
            this.y_lu[j], this.y_lu[ny + j], this.y_lu[2 * ny + j] = inverse, lo * inverse, ahead
    cuda.syncthreads()


@device
def corners(field, node, ny):  # type: ignore[no-untyped-def]
    """The mixed difference: y neighbours' difference in the row above less that in the row below."""
    return (field[node + ny + 1] - field[node + ny - 1]) - (field[node - ny + 1] - field[node - ny - 1])


@device
def explicit(this, dt):  # type: ignore[no-untyped-def]
    """Rate = dt (A u + b)."""
    nx, ny, u = this.x.shape[1], this.y.shape[1], this.u
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        i, j = node // ny, node % ny
        here = u[node]
        across = this.x[0, i] * (u[node - ny] - here) + this.x[1, i] * (u[node + ny] - here) + this.x[3, i]
        along = this.y[1, j] * (u[node - 1] - here) + this.y[2, j] * (u[node + 1] - here)
        this.rate[node] = dt * (this.y[0, j] * across + along + this.x[2, i] * this.y_mix[j] * corners(u, node, ny))
    cuda.syncthreads()


@device
def correct(this, dt):  # type: ignore[no-untyped-def]
    """Adds dt / 2 A0 d2 to the rate."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        this.rate[node] += 0.5 * dt * this.x[2, node // ny] * this.y_mix[node % ny] * corners(this.d2, node, ny)
    cuda.syncthreads()


@device
def along_x(this, k):  # type: ignore[no-untyped-def]
    """(1 - k A1) half = rate, a column a thread."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        scale, value = k * this.y[0, j], 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            value = this.pivot[node] * (scale * this.x[0, i] * value + this.rate[node])
            this.half[node] = value
        value = 0.0
        for i in range(nx - 2, 0, -1):
            node = i * ny + j
            value = this.half[node] + this.pivot[node] * (scale * this.x[1, i]) * value
            this.half[node] = value
    cuda.syncthreads()


@device
def along_y(this, out, add):  # type: ignore[no-untyped-def]
    """(1 - k A2) half = half, a row a thread; also into `out`, and added to u where `add`."""
    nx, ny, lu = this.x.shape[1], this.y.shape[1], this.y_lu
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        value = 0.0
        for j in range(ny):
            value = lu[ny + j] * value + lu[j] * this.half[i * ny + j]
            this.half[i * ny + j] = value
        value = 0.0
        for j in range(ny - 1, -1, -1):
            value = lu[2 * ny + j] * value + this.half[i * ny + j]
            out[i * ny + j] = value
            if add:
                this.u[i * ny + j] += value
    cuda.syncthreads()


@device
def solve(this, plan, kept):  # type: ignore[no-untyped-def]
    """u, from 0, through the plan [steps, 3]; each step's d2 and e2 into kept [2 steps, nx ny + SPARE], of one dimension for the value alone."""
    for node in range(cuda.threadIdx.x, this.u.shape[0], cuda.blockDim.x):
        this.u[node] = 0.0
    factored = -1.0
    for step in range(plan.shape[0]):
        dt, k, damped = plan[step, 0], plan[step, 1], plan[step, 2] > 0.0
        cuda.syncthreads()
        if k != factored:
            factor(this, k)
            factored = k
        explicit(this, dt)
        along_x(this, k)
        if not damped:
            along_y(this, this.d2, False)
            if kept.ndim == 2:
                copy(this.d2, kept[2 * step])
            correct(this, dt)
            along_x(this, k)
        along_y(this, kept[2 * step + 1] if kept.ndim == 2 else this.half, True)


@device
def copy(source, to):  # type: ignore[no-untyped-def]
    """A field into another."""
    for node in range(cuda.threadIdx.x, source.shape[0], cuda.blockDim.x):
        to[node] = source[node]
