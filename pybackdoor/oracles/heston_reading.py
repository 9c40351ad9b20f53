"""The solution of Heston's equation read at today's price and variance, by a quintic in each of their meshes, and the derivatives of the reading."""

from __future__ import annotations

from typing import NamedTuple

from pybackdoor.oracles.array_library import Array, counted, library, whole, zeros
from pybackdoor.oracles.heston_coefficients import Coefficients

STENCIL = 6


class Reading(NamedTuple):
    """Where and how the solution is read: `inside` the mesh or not [n], the stencil's first nodes [2, n], weights and their slopes [STENCIL, n]."""

    inside: Array
    first: Array
    across: Array
    across_slope: Array
    along: Array
    along_slope: Array


def read_at(points: Array, made: Coefficients) -> Reading:
    """Where and how today's price and variance lie on the mesh, for points [6, n]."""
    xp, x, variance = library(points), points[0], points[1]
    nx, nodes = len(made.s), made.nodes
    place = (xp.arcsinh(x / made.width[0]) / made.stretch[0] + 1.0) * (0.5 * (nx - 1))
    inside = (place > 0.0) & (place < nx - 1.0)  # beyond there is no time value
    place = xp.where(inside, place, 0.0)
    i = xp.clip(whole(place) - STENCIL // 2 + 1, 0, nx - STENCIL)
    level = variance / made.unit[0]
    j = xp.clip(xp.searchsorted(nodes, level, side="left") - STENCIL // 2, 0, len(nodes) - STENCIL)
    steps = counted(points, STENCIL)[:, None]
    across = _lagrange(i + steps + 0.0 * place, place)
    along = _lagrange(nodes[j + steps], level)
    return Reading(inside, xp.stack([i, j]), *across, *along)


def _lagrange(nodes: Array, at: Array) -> tuple[Array, Array]:
    """Weights [STENCIL, n] of values at the nodes [STENCIL, n] in the polynomial through them at a place [n], and in its slope there."""
    shares, slopes = library(nodes).ones_like(nodes), library(nodes).zeros_like(nodes)
    for node in range(STENCIL):
        for other in range(STENCIL):
            if other != node:
                gap = nodes[node] - nodes[other]
                slopes[node] = slopes[node] * (at - nodes[other]) / gap + shares[node] / gap
                shares[node] *= (at - nodes[other]) / gap
    return shares, slopes


def read(points: Array, made: Coefficients, reading: Reading, near: Array, results: Array) -> None:
    """The values, and where wanted their derivatives in x and variance and through the mesh, at a fixed solution."""
    xp, x, variance = library(points), points[0], points[1]
    width, stretch, unit = made.width[0], made.stretch[0], made.unit[0]
    s = made.s[reading.first[0] + counted(points, STENCIL)[:, None]]
    side = xp.where(x <= 0.0, 1.0, -1.0) + 0.0 * x  # out of the money is the call, the put
    out = side * s > 0.0
    node = xp.where(out, width * xp.sinh(stretch * s), 0.0)
    payoff = side * xp.expm1(node)
    value, by_place, by_level, by_width, by_stretch = zeros(x, 5, len(x))
    for i in range(STENCIL):
        row, slope = payoff[i] + 0.0, xp.zeros_like(x)
        for j in range(STENCIL):
            row += reading.along[j] * near[i, j]
            slope += reading.along_slope[j] * near[i, j]
        value += reading.across[i] * row
        by_place += reading.across_slope[i] * row
        by_level += reading.across[i] * slope
        grown = xp.where(out[i], reading.across[i] * side * (payoff[i] * side + 1.0), 0.0)
        by_width += grown * node[i] / width
        by_stretch += grown * width * s[i] * xp.cosh(stretch * s[i])
    results[0] = xp.where(reading.inside, value, 0.0)
    if len(results) > 1:
        per_step = 0.5 * (len(made.s) - 1) / stretch
        slope = by_place * per_step / xp.sqrt(x * x + width * width)
        results[1] = slope
        results[2] = by_level / unit
        by_width -= slope * x / width
        by_stretch -= by_place * per_step * xp.arcsinh(x / width) / stretch
        results[2:6] += by_width * made.width[1:] + by_stretch * made.stretch[1:] - by_level * variance / (unit * unit) * made.unit[1:]
