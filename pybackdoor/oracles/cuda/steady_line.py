"""Any steady parabolic problem on a warp: u_t = a u_xx + c u_x between values that stay as they are, on nodes that rest; forward and backwards.

Each node's a and c lie in tables beside its place. Everything else is the barrier's where nodes rest (barrier_march.py, barrier_back.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.cuda.barrier_back import find_again, hand_over, pull_back, start_back
from pybackdoor.oracles.cuda.barrier_march import keep_state, solve
from pybackdoor.oracles.cuda.barrier_warp import neighbours, push, seat, shares
from pybackdoor.oracles.cuda.warp_line import WARP, factor, meet, within_warp
from pybackdoor.oracles.parabolic import pulls


class Line(NamedTuple):
    """What is solved: the solver's levels [solves + 1], k, that nodes do not move, how many there are."""

    times: Any
    k: float
    moving: bool
    nodes: int


class SteadyBoard(NamedTuple):
    """A warp's shared memory: that of barrier_warp.Board, and tables of a and c."""

    wire: Any
    mesh: Any
    shift: Any
    line: Any
    ends: Any
    window: Any
    a: Any
    c: Any


@scalar
def steady_pulls(k, h0, h1, twice, speed):  # type: ignore[no-untyped-def]
    """(k lo, k up) of a node."""
    return pulls(k, h0, h1, twice, speed)


@within_warp
def hold_ends(line, board, lane):  # type: ignore[no-untyped-def]
    """The values at the ends at all levels, from those in the board's line."""
    rows = board.mesh.shape[0]
    i, j = seat(0, rows)
    m, n = seat(line.nodes - 1, rows)
    for level in range(lane, WARP + 1, WARP):
        board.ends[0, level], board.ends[1, level] = board.line[i, j], board.line[m, n]
    meet()


@within_warp
def _cells(line, board, lane, row):  # type: ignore[no-untyped-def]
    """(length before, length after, 2 a, c) of a row."""
    x, _, x_before, _, x_after, _ = neighbours(line, board, lane, row)
    return x - x_before, x_after - x, 2.0 * board.a[row, lane + 1], board.c[row, lane + 1]


@within_warp
def _equations(line, board, lane, lower, diagonal, upper):  # type: ignore[no-untyped-def]
    """A lane's rows of 1 - k A; returns what barrier_warp.equations does."""
    rows = board.mesh.shape[0]
    first, last = 0.0, 0.0
    for row in range(rows):
        h0, h1, twice, speed = _cells(line, board, lane, row)
        lo, up = steady_pulls(line.k, h0, h1, twice, speed)
        at = lane * rows + row + 1
        inner = at < line.nodes - 1
        lower[row], upper[row] = lo if inner else 0.0, up if inner else 0.0
        diagonal[row] = 1.0 + lower[row] + upper[row]
        if row == 0 and lane == 0:
            first = lower[row]
        if row == (line.nodes - 3) % rows and at == line.nodes - 2:
            last, upper[row] = upper[row], 0.0
    return first, last


@within_warp
def march(line, board, lane, history, keep):  # type: ignore[no-untyped-def]
    """From the first values in the board's line to those at t = 1; with `keep`, every second u and the last is kept. Returns as `_equations`."""
    rows, solves, number = board.mesh.shape[0], line.times.shape[0] - 1, lane.number
    hold_ends(line, board, number)
    for row in range(rows):
        lane.u[row] = board.line[row, number + 1] if number * rows + row + 1 < line.nodes - 1 else 0.0
    first, last = _equations(line, board, number, lane.lower, lane.diagonal, lane.upper)
    factor(lane.lower, lane.diagonal, lane.upper, lane.factors, board.wire, number)
    for index in range(solves):
        if keep and index % 2 == 0:
            keep_state(lane, history, index // 2)
        _, weight = shares(index)
        solve(line, board, lane, lane.u, lane.y, index, first, last)
        for row in range(rows):
            lane.u[row] = weight * lane.y[row] + (1.0 - weight) * lane.u[row]
    if keep:
        keep_state(lane, history, history.shape[0] - 1)
    for row in range(rows):
        if number * rows + row + 1 < line.nodes - 1:
            board.line[row, number + 1] = lane.u[row]
    meet()
    return first, last


@within_warp
def march_back(line, board, lane, history, bars, begin, pulled):  # type: ignore[no-untyped-def]
    """From the window read back to the nodes: leaves derivatives in places, a and c in bars, those in first values in the board's line."""
    number, rows, nodes = lane.number, board.mesh.shape[0], line.nodes
    final = start_back(line, board, lane, bars, begin)
    low, high = 0.0, 0.0
    for turned in range(line.times.shape[0] - 1):
        index = line.times.shape[0] - 2 - turned
        find_again(line, board, lane, history, index, pulled[0], pulled[1])
        pull_back(line, board, lane, bars, index)
        low += pulled[0] * lane.y[0]
        high += pulled[1] * lane.y[(nodes - 3) % rows]
    _collect(line, board, lane, bars)
    for row in range(rows):
        board.line[row, number + 1] = lane.u[row]
    meet()
    if number == 0:
        i, j = seat(0, rows)
        board.line[i, j] = final[0] + low
    if number == (nodes - 3) // rows:
        i, j = seat(nodes - 1, rows)
        board.line[i, j] = final[1] + high
    meet()


@within_warp
def _collect(line, board, lane, bars):  # type: ignore[no-untyped-def]
    """Carries the derivatives in k lo and k up on to places, a and c."""
    rows, number = board.mesh.shape[0], lane.number
    to_before, from_before, x_bar = 0.0, 0.0, 0.0
    for row in range(rows):
        h0, h1, twice, speed = _cells(line, board, number, row)
        h0_bar, h1_bar, twice_bar, speed_bar = push(line.k, h0, h1, twice, speed, bars.shift[row, number + 1], bars.c[row, number + 1])
        if number * rows + row + 1 >= line.nodes - 1:
            h0_bar, h1_bar, twice_bar, speed_bar = 0.0, 0.0, 0.0, 0.0
        if row == 0:
            to_before = 0.0 - h0_bar
        else:
            bars.mesh[row - 1, number + 1] += x_bar - h0_bar
        x_bar = from_before + h0_bar - h1_bar
        from_before = h1_bar
        bars.shift[row, number + 1], bars.c[row, number + 1] = 2.0 * twice_bar, speed_bar
    hand_over(board, bars, number, False, 0.0, to_before, from_before, x_bar, 0.0)
    meet()
