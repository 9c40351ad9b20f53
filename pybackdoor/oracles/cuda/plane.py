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


PIVOT, Y_LU, U, U_BAR, P, Q, S, R2, W1, W2, M = range(FIELDS)  # names as in adi.py and adi_adjoint.py
D2, RATE, HALF = P, Q, S  # on the way there


class Problem(NamedTuple):
    """One problem's weights (adi.Plane) and its fields [FIELDS, nx ny + SPARE].

    x [4, nx] is lo, up, mix and source; y [3, ny] is f, lo and up. PIVOT has 1 - k A1 factored, Y_LU 1 - k A2: 1 / p, k lo / p, k up / p of each
    row. The first and last row of every other field stays 0.
    """

    x: Any
    y: Any
    y_mix: Any
    skew: float
    fields: Any


@device
def tile():  # type: ignore[no-untyped-def]
    """(row, rows, column, columns): the threads as a tile that passes over the nodes, without a division a node."""
    columns = min(32, cuda.blockDim.x)
    return cuda.threadIdx.x // columns, cuda.blockDim.x // columns, cuda.threadIdx.x % columns, columns


@device
def factor(this, k):  # type: ignore[no-untyped-def]
    """1 - k A1 into `pivot` (the inverse of each pivot) and 1 - k A2 into `y_lu`."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        f, before, up_before = this.y[0, j], 0.0, 0.0
        for i in range(1, nx - 1):
            lo, up = k * f * this.x[0, i], k * f * this.x[1, i]
            before = 1.0 / (1.0 + (lo + up - lo * up_before * before))
            this.fields[PIVOT, i * ny + j] = before
            up_before = up
    if cuda.threadIdx.x == 0:
        ahead = 0.0
        for j in range(ny):
            lo, up = k * this.y[1, j], k * this.y[2, j]
            inverse = 1.0 / (1.0 + lo + up - lo * ahead)
            ahead = up * inverse
            this.fields[Y_LU, j], this.fields[Y_LU, ny + j], this.fields[Y_LU, 2 * ny + j] = inverse, lo * inverse, ahead
    cuda.syncthreads()


@device
def corners(fields, field, node, ny):  # type: ignore[no-untyped-def]
    """Y neighbours' difference in the row above less that in the row below."""
    above = fields[field, node + ny + 1] - fields[field, node + ny - 1]
    return above - (fields[field, node - ny + 1] - fields[field, node - ny - 1])


@device
def bend(fields, field, node, ny):  # type: ignore[no-untyped-def]
    """The second difference along x of that along y."""
    above = fields[field, node + ny + 1] - 2.0 * fields[field, node + ny] + fields[field, node + ny - 1]
    below = fields[field, node - ny + 1] - 2.0 * fields[field, node - ny] + fields[field, node - ny - 1]
    return above + below - 2.0 * (fields[field, node + 1] - 2.0 * fields[field, node] + fields[field, node - 1])


@device
def mixed_difference(this, field, node, ny):  # type: ignore[no-untyped-def]
    """What adi.py has for u_xy."""
    return corners(this.fields, field, node, ny) + this.skew * bend(this.fields, field, node, ny)


@device
def explicit(this, dt):  # type: ignore[no-untyped-def]
    """Rate = dt (A u + b)."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            node = i * ny + j
            here = fields[U, node]
            across = this.x[0, i] * (fields[U, node - ny] - here) + this.x[1, i] * (fields[U, node + ny] - here) + this.x[3, i]
            along = this.y[1, j] * (fields[U, node - 1] - here) + this.y[2, j] * (fields[U, node + 1] - here)
            fields[RATE, node] = dt * (this.y[0, j] * across + along + this.x[2, i] * this.y_mix[j] * mixed_difference(this, U, node, ny))
    cuda.syncthreads()


@device
def correct(this, dt):  # type: ignore[no-untyped-def]
    """Adds dt / 2 A0 d2 to the rate."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    row, rows, column, columns = tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            fields[RATE, i * ny + j] += 0.5 * dt * this.x[2, i] * this.y_mix[j] * mixed_difference(this, D2, i * ny + j, ny)
    cuda.syncthreads()


@device
def along_x(this, k):  # type: ignore[no-untyped-def]
    """(1 - k A1) half = rate, a column a thread."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for j in range(cuda.threadIdx.x, ny, cuda.blockDim.x):
        scale, value = k * this.y[0, j], 0.0
        for i in range(1, nx - 1):
            node = i * ny + j
            value = this.fields[PIVOT, node] * (scale * this.x[0, i] * value + this.fields[RATE, node])
            this.fields[HALF, node] = value
        value = 0.0
        for i in range(nx - 2, 0, -1):
            node = i * ny + j
            value = this.fields[HALF, node] + this.fields[PIVOT, node] * (scale * this.x[1, i]) * value
            this.fields[HALF, node] = value
    cuda.syncthreads()


@device
def along_y(this, to, row, add):  # type: ignore[no-untyped-def]
    """(1 - k A2) half = half, a row a thread; into row `row` of `to`, and added to u where `add`."""
    nx, ny, fields = this.x.shape[1], this.y.shape[1], this.fields
    for i in range(1 + cuda.threadIdx.x, nx - 1, cuda.blockDim.x):
        value = 0.0
        for j in range(ny):
            value = fields[Y_LU, ny + j] * value + fields[Y_LU, j] * fields[HALF, i * ny + j]
            fields[HALF, i * ny + j] = value
        value = 0.0
        for j in range(ny - 1, -1, -1):
            value = fields[Y_LU, 2 * ny + j] * value + fields[HALF, i * ny + j]
            to[row, i * ny + j] = value
            if add:
                fields[U, i * ny + j] += value
    cuda.syncthreads()


@device
def solve(this, plan, kept):  # type: ignore[no-untyped-def]
    """u, from 0, through the plan [steps, 3]; each step's d2 and e2 into kept [2 steps, nx ny + SPARE], of one dimension for the value alone."""
    for node in range(cuda.threadIdx.x, this.fields.shape[1], cuda.blockDim.x):
        this.fields[U, node] = 0.0
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
            along_y(this, this.fields, D2, False)
            correct(this, dt)
            if kept.ndim == 2:
                for node in range(cuda.threadIdx.x, kept.shape[1], cuda.blockDim.x):
                    kept[2 * step, node] = this.fields[D2, node]
            along_x(this, k)
        if kept.ndim == 2:
            along_y(this, kept, 2 * step + 1, True)
        else:
            along_y(this, this.fields, HALF, True)
