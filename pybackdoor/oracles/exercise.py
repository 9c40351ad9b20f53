"""Many one-dimensional parabolic problems with early exercise side by side, and the adjoint: u >= e(t) payoff(x) at all times.

The equation, mesh and time steps are those of parabolic.py on a resting mesh, with coefficients that share one change with time, pace(t). A step of
implicit Euler or Crank-Nicolson is a linear complementarity problem: (1 - k A) y >= u, y >= o, one of the two equal at every node. The obstacle o
is what keeps the u after the step above e payoff. Where exercise pays on the left of one boundary it is solved exactly by elimination from the
right and substitution from the left that takes the larger of the two at each node (M. J. Brennan and E. S. Schwartz, Journal of Finance 32 (1977),
449-462). The adjoint is that of these operations: a node that exercises passes its derivative to the payoff.

Arrays are [nodes, LANES], a problem a lane. Cost: a division and 8 multiply-adds a node and solve, and a division and 14 for the adjoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, part
from pybackdoor.oracles.lanes import aligned, broadcast, fma, larger, load, store, where_above
from pybackdoor.oracles.parabolic import STARTS, _cell, _collect, _share_out, solves


class Exercise(NamedTuple):
    """What a payoff at any time adds to a `Workspace`; zeros to begin with.

    The caller fills payoff [nodes, LANES] and factor (e) [solves + 1, LANES]. edges [solves, LANES] receives the number of inner nodes that exercise
    after each solve, payoff_bar and factor_bar the derivatives in payoff and e.
    """

    payoff: np.ndarray
    factor: np.ndarray
    edges: np.ndarray
    payoff_bar: np.ndarray
    factor_bar: np.ndarray


def exercise(nodes: int, steps: int) -> Exercise:
    """Memory for one block of problems."""
    levels = solves(steps) + 1
    return Exercise(aligned(nodes), aligned(levels), aligned(levels - 1), aligned(nodes), aligned(levels))


@part
def _rates(workspace):  # type: ignore[no-untyped-def]
    """Lo and up of parabolic.py into lu[1] and lu[2]."""
    mesh, shift, lu = workspace.mesh, workspace.shift, workspace.lu
    nodes = mesh.shape[0]
    h0 = _cell(mesh, shift, 0, broadcast(0.0))
    for row in range(1, nodes - 1):
        h1 = _cell(mesh, shift, row, broadcast(0.0))
        twice, speed = 2.0 * load(workspace.a, row), load(workspace.c, row)
        scale = 1.0 / ((h0 + h1) * (h0 * h1))
        store(lu, nodes + row, scale * h1 * (twice - h0 * speed))
        store(lu, 2 * nodes + row, scale * h0 * (twice + h1 * speed))
        h0 = h1


@kernel
def solve_early(workspace, early, pace):  # type: ignore[no-untyped-def]
    """Carries u from t = 0 to 1 above the payoff; pace [solves]: the factor of a and c in each solve."""
    u, left, right, history, lu, work = workspace.u, workspace.left, workspace.right, workspace.history, workspace.lu, workspace.work
    nodes, count = u.shape[0], pace.shape[0]
    last, keep = nodes - 1, history.shape[0] > 1
    _rates(workspace)
    for index in range(count):
        k = 0.5 * pace[index] / (count - STARTS // 2)
        share, weight = (1.0, 1.0) if index < STARTS else (0.5, 2.0)
        y = nodes * (index + 1) if keep else 0
        value, beta = share * load(right, index + 1) + (1.0 - share) * load(right, index), broadcast(0.0)
        store(history, y + last, value)
        for row in range(last - 1, 0, -1):
            lo, up = k * load(lu, nodes + row), k * load(lu, 2 * nodes + row)
            inverse = 1.0 / (1.0 + lo + up - up * beta)
            value = fma(up, value, load(u, row)) * inverse
            beta = lo * inverse
            store(lu, row, inverse)
            store(work, row, value)
        value, edge = share * load(left, index + 1) + (1.0 - share) * load(left, index), broadcast(0.0)
        store(history, y, value)
        factor = share * load(early.factor, index + 1)
        for row in range(1, last):
            before = load(u, row)
            alone = fma(k * load(lu, nodes + row) * load(lu, row), value, load(work, row))
            bound = fma(factor, load(early.payoff, row), (1.0 - share) * before)
            value = larger(alone, bound)
            edge = edge + where_above(bound, alone, 1.0, 0.0)
            store(history, y + row, value)
            store(u, row, fma(weight, value, (1.0 - weight) * before))
        store(early.edges, index, edge)
        store(u, 0, load(left, index + 1))
        store(u, last, load(right, index + 1))


@part
def _clear(workspace, early):  # type: ignore[no-untyped-def]
    nodes, last = workspace.mesh.shape[0], workspace.left.shape[0] - 1
    for level in range(last + 1):
        store(workspace.left_bar, level, broadcast(0.0))
        store(workspace.right_bar, level, broadcast(0.0))
        store(workspace.rest_bar, level, broadcast(0.0))
        store(early.factor_bar, level, broadcast(0.0))
    store(workspace.left_bar, last, load(workspace.u_bar, 0))
    store(workspace.right_bar, last, load(workspace.u_bar, nodes - 1))
    for row in range(4 * nodes):
        store(workspace.bars, row, broadcast(0.0))
    for row in range(nodes):
        store(early.payoff_bar, row, broadcast(0.0))
        store(workspace.work, nodes + row, broadcast(0.0))
        store(workspace.work, 2 * nodes + row, broadcast(0.0))


@part
def _pull_substitution(workspace, early, index, k):  # type: ignore[no-untyped-def]
    """The substitution of a solve backwards, and its elimination anew; leaves in work[0] what goes to the linear equations."""
    lu, work, u_bar = workspace.lu, workspace.work, workspace.u_bar
    nodes = u_bar.shape[0]
    share, weight = (1.0, 1.0) if index < STARTS else (0.5, 2.0)
    edge, factor = load(early.edges, index), share * load(early.factor, index + 1)
    carried, beta, factor_bar = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for row in range(nodes - 2, 0, -1):
        lo, up = k * load(lu, nodes + row), k * load(lu, 2 * nodes + row)
        inverse = 1.0 / (1.0 + lo + up - up * beta)
        beta = lo * inverse
        store(lu, row, inverse)
        after = load(u_bar, row)
        bar = fma(weight, after, carried)
        bound_bar = where_above(edge, row - 0.5, bar, 0.0)
        bar = bar - bound_bar
        carried = beta * bar
        store(work, row, bar)
        store(early.payoff_bar, row, fma(factor, bound_bar, load(early.payoff_bar, row)))
        factor_bar = fma(share * load(early.payoff, row), bound_bar, factor_bar)
        store(u_bar, row, fma(1.0 - share, bound_bar, (1.0 - weight) * after))
    _share_out(workspace.left_bar, index, share, carried)
    store(early.factor_bar, index + 1, load(early.factor_bar, index + 1) + factor_bar)


@kernel
def solve_early_adjoint(workspace, early, pace):  # type: ignore[no-untyped-def]
    """Carries the derivative of a number in the final u, u_bar, back to the first u (u_bar), the ends, x, a, c, payoff and e; see `solve_adjoint`."""
    history, lu, work, u_bar = workspace.history, workspace.lu, workspace.work, workspace.u_bar
    nodes, count = u_bar.shape[0], pace.shape[0]
    _clear(workspace, early)
    for index in range(count - 1, -1, -1):
        k = 0.5 * pace[index] / (count - STARTS // 2)
        _pull_substitution(workspace, early, index, k)
        y = nodes * (index + 1)
        total, y_last, y_here = broadcast(0.0), load(history, y), load(history, y + 1)
        for row in range(1, nodes - 1):
            y_next = load(history, y + row + 1)
            mu = (load(work, row) + total) * load(lu, row)
            total = k * load(lu, 2 * nodes + row) * mu
            store(u_bar, row, load(u_bar, row) + mu)
            store(work, nodes + row, fma(k * mu, y_last - y_here, load(work, nodes + row)))
            store(work, 2 * nodes + row, fma(k * mu, y_next - y_here, load(work, 2 * nodes + row)))
            y_last, y_here = y_here, y_next
        _share_out(workspace.right_bar, index, 1.0 if index < STARTS else 0.5, total)
    _collect(workspace, 0, 1.0)
