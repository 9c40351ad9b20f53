"""Heston's equation on a grid, as heston_grid.py solves it: a block a problem, as many problems at a time as run together, in one workspace."""

from __future__ import annotations

import torch
from numba import cuda

from pybackdoor.oracles.cuda import plane, plane_adjoint
from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.heston_coefficients import coefficients, through_coefficients
from pybackdoor.oracles.heston_reading import STENCIL, read, read_at

_TOGETHER = 2  # blocks of a multiprocessor, which registers let run at the same time
_PROBLEMS = 16384  # whose weights are made at a time
_WORKSPACE = 8 << 30  # bytes at most


@kernel(block=plane.THREADS, lanes=plane.THREADS)
def solve(x, y, y_mix, skew, plan, first, fields, near, kept):  # type: ignore[no-untyped-def]
    """X [N, 4, nx], y [N, 3, ny], skew [N], fields [N, FIELDS, nx ny + SPARE] -> near [N, STENCIL, STENCIL], the solution from node first [N, 2] on.

    kept: [N, 2 steps, nx ny + SPARE] for `adjoint`, or anything of one dimension.
    """
    row = cuda.blockIdx.x
    this = plane.Problem(x[row], y[row], y_mix, skew[row], fields[row])
    if kept.ndim == 3:
        plane.solve(this, plan, kept[row])
    else:
        plane.solve(this, plan, kept)
    for place in range(cuda.threadIdx.x, STENCIL * STENCIL, cuda.blockDim.x):
        i, j = place // STENCIL, place % STENCIL
        near[row, i, j] = fields[row, plane.U, (first[row, 0] + i) * y.shape[2] + first[row, 1] + j]


@kernel(block=plane.THREADS, lanes=plane.THREADS)
def adjoint(x, y, y_mix, skew, plan, first, fields, weights, kept, x_bars, y_bars):  # type: ignore[no-untyped-def]
    """After `solve`: for weights [N, 2, STENCIL] of the reading along x and y, the derivatives in x into x_bars [N, 5, nx], y_bars [N, 2, ny]."""
    row = cuda.blockIdx.x
    this = plane.Problem(x[row], y[row], y_mix, skew[row], fields[row])
    _seed(this, first[row], weights[row])
    plane_adjoint.solve_adjoint(this, plan, kept[row], x_bars[row], y_bars[row])


@plane.device
def _seed(this, first, weights):  # type: ignore[no-untyped-def]
    """The reading's derivative in u into u_bar; 0 in the first and last row."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    row, rows, column, columns = plane.tile()
    for i in range(1 + row, nx - 1, rows):
        for j in range(column, ny, columns):
            across, along = i - first[0], j - first[1]
            here = 0 <= across < STENCIL and 0 <= along < STENCIL
            this.fields[plane.U_BAR, i * ny + j] = weights[0, across] * weights[1, along] if here else 0.0
    cuda.syncthreads()


def solve_grid(points: torch.Tensor, nx: int, ny: int, plan: torch.Tensor, gradient: bool) -> torch.Tensor:
    """Points [6, n] -> results [7, n] (value and gradient) or [1, n] (value), as heston_grid.solve_grid, on the device of the points."""
    results = points.new_zeros(7 if gradient else 1, points.shape[1])
    size = nx * ny + plane.SPARE
    blocks = _blocks(points, size, len(plan) if gradient else 0)
    fields = points.new_zeros(blocks, plane.FIELDS, size)
    kept = points.new_zeros(blocks, 2 * len(plan), size) if gradient else points.new_zeros(1)
    for start in range(0, points.shape[1], _PROBLEMS):
        part = slice(start, start + _PROBLEMS)
        _solve(points[:, part], (nx, ny), plan, (fields, kept), results[:, part])
    return results


def _solve(points: torch.Tensor, grid: tuple[int, int], plan: torch.Tensor, memory: tuple[torch.Tensor, torch.Tensor], results: torch.Tensor) -> None:
    count, (nx, ny), (fields, kept) = points.shape[1], grid, memory
    made = coefficients(points, nx, ny)
    reading = read_at(points, made)
    x = torch.stack([made.x_lo, made.x_up, made.x_mix, made.source]).permute(2, 0, 1).contiguous()
    y = torch.stack([made.f, made.y_lo, made.y_up]).permute(2, 0, 1).contiguous()
    skew = points[5].contiguous()
    first, near = reading.first.T.contiguous(), points.new_empty(count, STENCIL, STENCIL)
    gradient = len(results) > 1
    weights = torch.stack([reading.across, reading.along]).permute(2, 0, 1).contiguous()
    x_bars, y_bars = points.new_empty(count, 5, nx), points.new_empty(count, 2, ny)
    for start in range(0, count, len(fields)):
        part = slice(start, min(start + len(fields), count))
        blocks = part.stop - start
        given = (x[part], y[part], made.y_mix, skew[part], plan, first[part], fields[:blocks])
        solve(blocks, *given, near[part], kept[:blocks])
        if gradient:
            adjoint(blocks, *given, weights[part], kept[:blocks], x_bars[part], y_bars[part])
    read(points, made, reading, near.permute(1, 2, 0), results)
    if gradient:
        parts = points.new_zeros(7, max(nx, ny), count)
        parts[:4, :nx], parts[4:6, :ny] = x_bars[:, :4].permute(1, 2, 0), y_bars.permute(1, 2, 0)
        parts[6, 0] = x_bars[:, 4].sum(dim=1)
        through_coefficients(points, made, parts, results)
        results[1:] = torch.where(reading.inside, results[1:], 0.0)


def _blocks(points: torch.Tensor, nodes: int, steps: int) -> int:
    """As many as run at the same time and have room."""
    together = _TOGETHER * torch.cuda.get_device_properties(points.device).multi_processor_count if points.is_cuda else 2
    return max(1, min(points.shape[1], together, _WORKSPACE // (8 * nodes * (plane.FIELDS + 2 * steps))))
