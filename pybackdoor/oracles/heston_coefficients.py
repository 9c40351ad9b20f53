"""The weights of Heston's equation for `adi.solve` on the mesh of heston_mesh.py, and what their derivatives say about the parameters.

The differences in x are exact for 1 and e^x, so that a payoff stands still away from the strike. At variance 0 the equation itself is the condition,
with a one-sided difference across a first cell of the size of the error (nodes are even in sqrt(v)); at the largest variance u_v = 0 in the
diffusion, and there is no drift outwards. Arrays are [nodes, n], a problem a column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.array_library import Array, evenly, library, zeros
from pybackdoor.oracles.heston_mesh import SPREAD, frame


class Coefficients(NamedTuple):
    """Scales [5, n] of the mesh, its shape (s [nx], nodes over unit [ny]), and the weights as `adi.Plane` takes them."""

    width: Array
    stretch: Array
    unit: Array
    s: Array
    nodes: Array
    x_lo: Array
    x_up: Array
    x_mix: Array
    source: Array
    f: Array
    y_lo: Array
    y_up: Array
    y_mix: Array

    def arrays(self) -> tuple[Array, ...]:
        """Those that differ between problems, in the plane's order."""
        return self[5:12]


def coefficients(points: Array, nx: int, ny: int) -> Coefficients:
    """For points [6, n]."""
    _, variance, reversion, mean, vol, correlation = points
    xp = library(points)
    width, stretch, unit = frame(variance, reversion, mean, vol)
    s, z = evenly(points, -1.0, 1.0, nx), evenly(points, 0.0, 1.0, ny)
    s[nx // 2] = 0.0
    nodes = xp.cosh(SPREAD * z) - 1.0
    x_lo, x_up, x_mix, source = zeros(points, 4, nx, points.shape[1])
    left, right, fitted = _cells(s, width[0], stretch[0])
    x_lo[1:-1] = (1.0 / left - fitted) / (left + right)
    x_up[1:-1] = (1.0 / right + fitted) / (left + right)
    x_mix[1:-1] = correlation * vol * _mixing(s, width[0], stretch[0])
    source[nx // 2] = x_up[nx // 2] * xp.expm1(right[nx // 2 - 1])
    diffusion, drift = _along_v(nodes)
    moved = _drift(reversion * mean / unit[0], reversion, nodes)
    noise = vol * vol / unit[0]
    y_lo, y_up = (noise * diffusion[side, :, None] + moved * drift[side, :, None] for side in (0, 1))
    y_mix = xp.tanh(0.5 * SPREAD * z) / (2.0 * SPREAD * z[1])  # v over 2 step dv/dz
    y_mix[[0, -1]] = 0.0
    return Coefficients(width, stretch, unit, s, nodes, x_lo, x_up, x_mix, source, unit[0] * nodes[:, None], y_lo, y_up, y_mix)


def through_coefficients(points: Array, made: Coefficients, parts: Array, results: Array) -> None:
    """Adds to results [7, n] what a change in the parameters does through the weights, `parts` being the derivatives in them."""
    _, _, reversion, mean, vol, correlation = points
    xp = library(points)
    width, stretch, unit, middle = made.width[0], made.stretch[0], made.unit[0], len(made.s) // 2
    x_lo_bar, x_up_bar, x_mix_bar, source_bar = parts[:4, 1 : len(made.s) - 1]
    lo, up = made.x_lo[1:-1], made.x_up[1:-1]
    whole = lo * x_lo_bar + up * x_up_bar
    by_unit = (_total(whole) + made.source[middle] * source_bar[middle - 1]) / unit
    left, right, fitted = _cells(made.s, width, stretch)
    x_up_bar, jump = x_up_bar + 0.0, source_bar[middle - 1] * xp.expm1(right[middle - 1])
    x_up_bar[middle - 1] += jump
    whole[middle - 1] += up[middle - 1] * jump
    share = (x_up_bar - x_lo_bar) / ((left + right) * (xp.expm1(right) - xp.expm1(-left)))
    both = whole / (left + right)
    left_bar = share * (xp.exp(-left) / left + xp.expm1(-left) / left**2 - fitted * xp.exp(-left)) - x_lo_bar / (left**2 * (left + right)) - both
    right_bar = share * (xp.expm1(right) / right**2 - xp.exp(right) / right - fitted * xp.exp(right)) - x_up_bar / (right**2 * (left + right)) - both
    right_bar[middle - 1] += source_bar[middle - 1] * up[middle - 1] * xp.exp(right[middle - 1])
    slope = made.s[:, None] * xp.cosh(stretch * made.s[:, None])
    by_stretch = width * _total(left_bar * (slope[1:-1] - slope[:-2]) + right_bar * (slope[2:] - slope[1:-1]))
    mixed = made.x_mix[1:-1] * x_mix_bar
    by_stretch -= _total(mixed * (1.0 / stretch + made.s[1:-1, None] * xp.tanh(stretch * made.s[1:-1, None])))
    by_width = (_total(left_bar * left + right_bar * right) - _total(mixed)) / width
    by_noise, by_pull, by_reversion = _through_v(reversion, mean, unit, made.nodes, parts[4:6, : len(made.nodes)])
    by_unit -= (by_noise * vol * vol + by_pull * reversion * mean) / (unit * unit)
    results[2:6] += by_width * made.width[1:] + by_stretch * made.stretch[1:] + by_unit * made.unit[1:]
    per_correlation = _total(x_mix_bar * _mixing(made.s, width, stretch))
    results[3] += by_pull * mean / unit + by_reversion
    results[4] += by_pull * reversion / unit
    results[5] += 2.0 * vol * by_noise / unit + correlation * per_correlation
    results[6] += vol * per_correlation + parts[6, 0]


def _through_v(reversion: Array, mean: Array, unit: Array, nodes: Array, bars: Array) -> tuple[Array, ...]:
    """Derivatives in vol^2 / unit, reversion mean / unit and reversion from those in y_lo and y_up [2, ny, n]."""
    diffusion, drift = _along_v(nodes)
    by_noise = _total(diffusion[0, :, None] * bars[0] + diffusion[1, :, None] * bars[1])
    by_drift = drift[0, :, None] * bars[0] + drift[1, :, None] * bars[1]
    by_drift = library(nodes).where(_drift(reversion * mean / unit, reversion, nodes) == 0.0, 0.0, by_drift)
    return by_noise, _total(by_drift), -_total(by_drift * nodes[:, None])


def _total(values: Array) -> Array:
    """The sum over the nodes, one after another: its rounding must not depend on how many problems there are."""
    return np.add.reduce(values, axis=0) if library(values) is np else values.sum(dim=0)


def _cells(s: Array, width: Array, stretch: Array) -> tuple[Array, Array, Array]:
    """Lengths left and right of the inner nodes, and the weight of u_x, about -1/2, for which differences with half u_xx vanish on e^x."""
    xp, nodes = library(width), width * library(width).sinh(stretch * s[:, None])
    left, right = nodes[1:-1] - nodes[:-2], nodes[2:] - nodes[1:-1]
    e0, e1 = xp.expm1(-left), xp.expm1(right)
    return left, right, -(e0 / left + e1 / right) / (e1 - e0)


def _mixing(s: Array, width: Array, stretch: Array) -> Array:
    """1 / (2 step dx/ds) at the inner nodes."""
    return 0.25 * (len(s) - 1) / (width * stretch * library(width).cosh(stretch * s[1:-1, None]))


def _drift(pull: Array, reversion: Array, nodes: Array) -> Array:
    """Of the variance over `unit`; at the largest none outwards, where nothing is known."""
    drift = pull - reversion * nodes[:, None]
    drift[-1] = library(drift).where(drift[-1] > 0.0, 0.0, drift[-1])
    return drift


def _along_v(nodes: Array) -> tuple[Array, Array]:
    """What diffusion and drift, both over `unit`, give to the weights of the left and right neighbours: [2, ny] each."""
    diffusion, drift = zeros(nodes, 2, 2, len(nodes))
    cells = nodes[1:] - nodes[:-1]
    left, right = cells[:-1], cells[1:]
    diffusion[0, 1:-1], diffusion[1, 1:-1] = nodes[1:-1] / (left * (left + right)), nodes[1:-1] / (right * (left + right))
    drift[0, 1:-1], drift[1, 1:-1] = -right / (left * (left + right)), left / (right * (left + right))
    drift[1, 0] = 1.0 / cells[0]
    diffusion[0, -1], drift[0, -1] = nodes[-1] / cells[-1] ** 2, -1.0 / cells[-1]
    return diffusion, drift
