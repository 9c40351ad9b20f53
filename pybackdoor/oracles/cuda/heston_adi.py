"""Heston's equation on a grid, as heston_grid.py solves it: blocks that take one problem after another, each in its part of a workspace."""

from __future__ import annotations

from typing import Any

import torch
from numba import cuda

from pybackdoor.oracles.cuda import plane, plane_adjoint
from pybackdoor.oracles.cuda.launch import kernel
from pybackdoor.oracles.heston_coefficients import coefficients, through_coefficients
from pybackdoor.oracles.heston_reading import STENCIL, read, read_at

_BLOCKS = 4  # a multiprocessor
_WORKSPACE = 8 << 30  # bytes at most
_PROBLEMS = 16384  # whose weights are made at a time


@kernel(block=plane.THREADS, lanes=plane.THREADS)
def solve(x, y, y_mix, plan, first, fields, near):  # type: ignore[no-untyped-def]
    """X [N, 4, nx], y [N, 3, ny], fields [blocks, FIELDS, nx ny + SPARE] -> near [N, STENCIL, STENCIL], the solution from node first [N, 2] on."""
    block = cuda.blockIdx.x
    for row in range(block, x.shape[0], fields.shape[0]):
        this = plane.problem(x[row], y[row], y_mix, fields[block])
        plane.solve(this, plan, y_mix)
        _near(this, first[row], near[row])


@kernel(block=plane.THREADS, lanes=plane.THREADS)
def solve_with_gradient(x, y, y_mix, plan, first, fields, near, weights, kept, x_bars, y_bars):  # type: ignore[no-untyped-def]
    """And, for weights [N, 2, STENCIL] of the reading along x and y, the derivatives in the weights: x_bars [N, 4, nx], y_bars [N, 2, ny]."""
    block = cuda.blockIdx.x
    for row in range(block, x.shape[0], fields.shape[0]):
        this = plane.problem(x[row], y[row], y_mix, fields[block])
        plane.solve(this, plan, kept[block])
        _near(this, first[row], near[row])
        _seed(this, first[row], weights[row])
        plane_adjoint.solve_adjoint(this, plan, kept[block], x_bars[row], y_bars[row])


@plane.device
def _near(this, first, near):  # type: ignore[no-untyped-def]
    ny = this.y.shape[1]
    for place in range(cuda.threadIdx.x, STENCIL * STENCIL, cuda.blockDim.x):
        i, j = place // STENCIL, place % STENCIL
        near[i, j] = this.u[(first[0] + i) * ny + first[1] + j]
    cuda.syncthreads()


@plane.device
def _seed(this, first, weights):  # type: ignore[no-untyped-def]
    """The reading's derivative in u into u_bar; 0 in the first and last row."""
    nx, ny = this.x.shape[1], this.y.shape[1]
    for node in range(ny + cuda.threadIdx.x, (nx - 1) * ny, cuda.blockDim.x):
        i, j = node // ny - first[0], node % ny - first[1]
        here = 0 <= i < STENCIL and 0 <= j < STENCIL
        this.u_bar[node] = weights[0, i] * weights[1, j] if here else 0.0
    cuda.syncthreads()


def solve_grid(points: torch.Tensor, nx: int, ny: int, plan: torch.Tensor, gradient: bool) -> torch.Tensor:
    """Points [6, n] -> results [7, n] (value and gradient) or [1, n] (value), as heston_grid.solve_grid, on the device of the points."""
    results = points.new_zeros(7 if gradient else 1, points.shape[1])
    size = nx * ny + plane.SPARE
    blocks = _blocks(points, size, len(plan) if gradient else 0)
    fields = points.new_zeros(blocks, plane.FIELDS, size)
    kept = points.new_zeros(blocks, 2 * len(plan), size) if gradient else None
    for start in range(0, points.shape[1], _PROBLEMS):
        part = slice(start, start + _PROBLEMS)
        _solve(points[:, part], (nx, ny), plan, (fields, kept), results[:, part])
    return results


def _solve(points: torch.Tensor, grid: tuple[int, int], plan: torch.Tensor, memory: tuple[Any, Any], results: torch.Tensor) -> None:
    count, (nx, ny), (fields, kept) = points.shape[1], grid, memory
    made = coefficients(points, nx, ny)
    reading = read_at(points, made)
    x = torch.stack([made.x_lo, made.x_up, made.x_mix, made.source]).permute(2, 0, 1).contiguous()
    y = torch.stack([made.f, made.y_lo, made.y_up]).permute(2, 0, 1).contiguous()
    near, first = points.new_empty(count, STENCIL, STENCIL), reading.first.T.contiguous()
    blocks = min(count, fields.shape[0])
    given = (x, y, made.y_mix, plan, first, fields[:blocks], near)
    if kept is None:
        solve(blocks, *given)
    else:
        weights = torch.stack([reading.across, reading.along]).permute(2, 0, 1).contiguous()
        x_bars, y_bars = points.new_empty(count, 4, nx), points.new_empty(count, 2, ny)
        solve_with_gradient(blocks, *given, weights, kept[:blocks], x_bars, y_bars)
    read(points, made, reading, near.permute(1, 2, 0), results)
    if kept is not None:
        parts = points.new_zeros(6, max(nx, ny), count)
        parts[:4, :nx], parts[4:, :ny] = x_bars.permute(1, 2, 0), y_bars.permute(1, 2, 0)
        through_coefficients(points, made, parts, results)
        results[1:] = torch.where(reading.inside, results[1:], 0.0)


def _blocks(points: torch.Tensor, nodes: int, steps: int) -> int:
    """As many as run at the same time and have room."""
    together = _BLOCKS * torch.cuda.get_device_properties(points.device).multi_processor_count if points.is_cuda else 2
    return max(1, min(points.shape[1], together, _WORKSPACE // (8 * nodes * (plane.FIELDS + 2 * steps))))
