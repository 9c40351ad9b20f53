"""One grid of Burgers' equation: mesh, solution, reading at a place, and the derivatives of that reading, carried along with the solution.

    u_t = span (viscosity u_xx - (u^2 / 2)_x),    u(x, 0) = sin(pi x),    u(0, t) = u(1, t) = 0,    0 < t < 1

Space: three-point differences, the flux at the nodes, on nodes 1 - sinh(c p) / sinh(c), p = 1 ... 0, that crowd in the front at x = 1; c = log(1 +
CROWDING / viscosity). Time: half steps u -> y of the implicit Euler method in which y^2 is replaced by 2 u y - u^2. Where y is the middle of a step
and 2 y - u its end, the step's flux is half the product of u and its end: W. Kahan's symmetric scheme for quadratic equations (with R.-C. Li,
Journal of Computational Physics 134 (1997), 316-331), the trapezoidal rule without iteration. Where y is the end, what rings is damped. With k the
half step times the span, and h_0 and h_1 the cells about node i, each solves

    y - k viscosity y'' + k (u y)' = u + k (u^2)' / 2,    (f)' = (f_{i+1} - f_{i-1}) / (h_0 + h_1).

Derivatives in span and viscosity are those of these operations, the nodes' motion with the viscosity included: the same matrix, two more right sides.
Arrays are [nodes, LANES], a problem a lane. Cost: a division and 15 multiply-adds a node and solve, with derivatives 40.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lane_math import exp, log
from pybackdoor.oracles.lanes import LANES, aligned, broadcast, fma, load, store

COLUMNS = ("place", "span", "viscosity")
PLACE, SPAN, VISCOSITY = range(len(COLUMNS))
CROWDING = 0.15

_COSINE = tuple((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k) for k in range(13))  # of cos(pi v), in v^2
_SINE = tuple(-((-1) ** k) * math.pi ** (2 * k + 2) / math.factorial(2 * k + 1) for k in range(13))  # of its derivative over v


class Memory(NamedTuple):
    """What a block of problems needs; the last four are empty where no derivatives are wanted."""

    mesh: np.ndarray
    u: np.ndarray
    y: np.ndarray
    lu: np.ndarray  # [3, nodes, LANES]: 1 / pivot, and what is below and above the diagonal over it
    stencil: np.ndarray  # [3, nodes, LANES]: viscosity over h_0 and over h_1, and 1, each times the span over (h_0 + h_1), the first two twice
    reading: np.ndarray  # [2, nodes, LANES]
    mesh_slope: np.ndarray  # in the viscosity
    stencil_slope: np.ndarray
    by_span: np.ndarray
    by_viscosity: np.ndarray


def memory(nodes: int, *, gradient: bool) -> Memory:
    """Memory for one block of problems."""
    more = nodes if gradient else 0
    return Memory(
        aligned(nodes),
        aligned(nodes),
        aligned(nodes),
        aligned(3, nodes),
        aligned(3, nodes),
        aligned(2, nodes),
        aligned(more),
        aligned(3, more),
        aligned(more),
        aligned(more),
    )


@kernel
def solve_grid(frames, lengths, weights, memory, values, bars):  # type: ignore[no-untyped-def]
    """Values u [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [COLUMNS, blocks, LANES].

    lengths [solves]: k of each solve over the span; weights [solves]: 2 where y is the middle, 1 where the end.
    """
    blocks, nodes = frames.shape[1], memory.mesh.shape[0]
    gradient = bars.shape[1] > 0
    for block in range(blocks):
        _lay_out(frames, block, memory, gradient)
        over = 1.0 / load(frames, SPAN * blocks + block)
        for index in range(lengths.shape[0]):
            k, weight = lengths[index], weights[index]
            _step(memory, k, gradient)
            if gradient:
                _step_slope(memory, memory.by_span, k, over, weight, True)
                _step_slope(memory, memory.by_viscosity, k, over, weight, False)
            for row in range(1, nodes - 1):
                store(memory.u, row, fma(weight, load(memory.y, row), (1.0 - weight) * load(memory.u, row)))
        for lane in range(LANES):
            value, slope = read_at(frames[PLACE, block, lane], lane, memory.mesh, memory.u, memory.reading[0], memory.reading[1])
            values[block, lane] = value
            if gradient:
                bars[PLACE, block, lane] = slope
        if gradient:
            span_bar, viscosity_bar = broadcast(0.0), broadcast(0.0)
            for row in range(nodes):
                share = load(memory.reading, row)
                span_bar = fma(share, load(memory.by_span, row), span_bar)
                viscosity_bar = fma(share, load(memory.by_viscosity, row), viscosity_bar)
                viscosity_bar = fma(load(memory.reading, nodes + row), load(memory.mesh_slope, row), viscosity_bar)
            store(bars, SPAN * blocks + block, span_bar)
            store(bars, VISCOSITY * blocks + block, viscosity_bar)


@part
def _hump(x):  # type: ignore[no-untyped-def]
    """(sin(pi x), pi cos(pi x)) for 0 <= x <= 1."""
    v = x - 0.5
    square = v * v
    value, slope = broadcast(_COSINE[-1]), broadcast(_SINE[-1])
    for degree in range(len(_COSINE) - 2, -1, -1):
        value, slope = fma(value, square, _COSINE[degree]), fma(slope, square, _SINE[degree])
    return value, v * slope


@part
def _lay_out(frames, block, memory, gradient):  # type: ignore[no-untyped-def]
    """Mesh, stencil and first values, and their derivatives."""
    blocks, nodes = frames.shape[1], memory.mesh.shape[0]
    viscosity = load(frames, VISCOSITY * blocks + block)
    crowding = log(1.0 + CROWDING / viscosity)
    crowding_slope = -CROWDING / (viscosity * (viscosity + CROWDING))
    up, down = exp(crowding), exp(0.0 - crowding)
    over_whole, both = 1.0 / (up - down), (up + down) / (up - down)
    for row in range(nodes):
        p = 1.0 - row / (nodes - 1)
        up, down = exp(p * crowding), exp(-p * crowding)
        part = (up - down) * over_whole
        x = 1.0 - part
        end = row == 0 or row == nodes - 1
        value, slope = _hump(x)
        store(memory.mesh, row, x)
        store(memory.u, row, broadcast(0.0) if end else value)
        store(memory.y, row, broadcast(0.0))
        if gradient:
            motion = broadcast(0.0) if end else (part * both - p * (up + down) * over_whole) * crowding_slope
            store(memory.mesh_slope, row, motion)
            store(memory.by_viscosity, row, slope * motion)
            store(memory.by_span, row, broadcast(0.0))
    span = load(frames, SPAN * blocks + block)
    h0 = load(memory.mesh, 1) - load(memory.mesh, 0)
    for row in range(1, nodes - 1):
        h1 = load(memory.mesh, row + 1) - load(memory.mesh, row)
        flux = span / (h0 + h1)
        lower, upper = 2.0 * viscosity * flux / h0, 2.0 * viscosity * flux / h1
        store(memory.stencil, row, lower)
        store(memory.stencil, nodes + row, upper)
        store(memory.stencil, 2 * nodes + row, flux)
        if gradient:
            _slope_of_stencil(memory, row, nodes, 1.0 / viscosity, h0, h1)
        h0 = h1


@part
def _slope_of_stencil(memory, row, nodes, over, h0, h1):  # type: ignore[no-untyped-def]
    """The stencil's derivatives in the viscosity, of which over is the inverse."""
    before, here, after = load(memory.mesh_slope, row - 1), load(memory.mesh_slope, row), load(memory.mesh_slope, row + 1)
    wide = (after - before) / (h0 + h1)
    store(memory.stencil_slope, row, load(memory.stencil, row) * (over - wide - (here - before) / h0))
    store(memory.stencil_slope, nodes + row, load(memory.stencil, nodes + row) * (over - wide - (after - here) / h1))
    store(memory.stencil_slope, 2 * nodes + row, 0.0 - load(memory.stencil, 2 * nodes + row) * wide)


@part
def _step(memory, k, gradient):  # type: ignore[no-untyped-def]
    """The solve from u to y, and the factors of its matrix."""
    nodes = memory.mesh.shape[0]
    ahead, value, before, here = broadcast(0.0), broadcast(0.0), broadcast(0.0), load(memory.u, 1)
    for row in range(1, nodes - 1):
        after = load(memory.u, row + 1)
        lower, upper, flux = k * load(memory.stencil, row), k * load(memory.stencil, nodes + row), k * load(memory.stencil, 2 * nodes + row)
        below, above = fma(flux, before, lower), upper - flux * after
        inverse = 1.0 / (1.0 + lower + upper - below * ahead)
        value = inverse * fma(below, value, fma(0.5 * flux, after * after - before * before, here))
        ahead = above * inverse
        store(memory.y, row, value)
        store(memory.lu, row, ahead)
        if gradient:
            store(memory.lu, nodes + row, inverse)
            store(memory.lu, 2 * nodes + row, below * inverse)
        before, here = here, after
    value = broadcast(0.0)
    for row in range(nodes - 2, 0, -1):
        value = fma(load(memory.lu, row), value, load(memory.y, row))
        store(memory.y, row, value)


@part
def _step_slope(memory, slopes, k, over, weight, in_span):  # type: ignore[no-untyped-def]
    """The derivatives of u in the span (of which over is the inverse) or the viscosity, from before the step to after it."""
    u, y, lu, work, nodes = memory.u, memory.y, memory.lu, memory.reading, memory.mesh.shape[0]
    value, before, here = broadcast(0.0), broadcast(0.0), load(slopes, 1)
    u_before, u_here, y_before, y_here = broadcast(0.0), load(u, 1), broadcast(0.0), load(y, 1)
    for row in range(1, nodes - 1):
        after, u_after, y_after = load(slopes, row + 1), load(u, row + 1), load(y, row + 1)
        flux = k * load(memory.stencil, 2 * nodes + row)
        right = fma(flux, (u_after - y_after) * after - (u_before - y_before) * before, here)
        if in_span:
            right = fma(over, y_here - u_here, right)
        else:
            lower, upper = load(memory.stencil_slope, row), load(memory.stencil_slope, nodes + row)
            carried = u_after * fma(0.5, u_after, 0.0 - y_after) - u_before * fma(0.5, u_before, 0.0 - y_before)
            fixed = fma(lower, y_before - y_here, fma(upper, y_after - y_here, load(memory.stencil_slope, 2 * nodes + row) * carried))
            right = fma(k, fixed, right)
        value = fma(load(lu, 2 * nodes + row), value, load(lu, nodes + row) * right)
        store(work, row, value)
        before, here, u_before, u_here, y_before, y_here = here, after, u_here, u_after, y_here, y_after
    value = broadcast(0.0)
    for row in range(nodes - 2, 0, -1):
        value = fma(load(lu, row), value, load(work, row))
        store(slopes, row, fma(weight, value, (1.0 - weight) * load(slopes, row)))
