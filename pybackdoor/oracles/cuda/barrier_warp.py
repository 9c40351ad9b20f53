"""The single barriers' problem on the lanes of a warp: where its numbers lie, how they are filled in, read at the spot, and gathered.

Node `row` lies at `seat(row)` of a table [rows, SEATS] in shared memory: inner node row is row (row - 1) % rows of lane (row - 1) // rows, in which
order neither lanes nor ends stand in each other's way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pybackdoor.oracles.barrier_formulas import end_values, equation, payoff, place, push_all_of_node, push_level, push_payoff, resting, strike_of
from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.cuda.warp_line import WARP, meet, within_warp
from pybackdoor.oracles.interpolation import STENCIL, read_at
from pybackdoor.oracles.lane_math import exp
from pybackdoor.oracles.lanes import fma, where_above
from pybackdoor.oracles.parabolic import STARTS, motion, pulls, push_pulls

SEATS = WARP + 2


class Problem(NamedTuple):
    """What a warp solves: frame, side and strike (barrier_formulas.py), t at the levels, its pace in the solves, k, whether nodes move, how many."""

    frame: Any
    side: float
    strike: float
    times: Any
    pace: Any
    k: float
    moving: bool
    nodes: int


class Board(NamedTuple):
    """A warp's shared memory.

    The wire; tables of places, ways and values [rows, SEATS]; the values at the ends [2, WARP + 1] at some levels; the window that is read at the
    spot: x, u and the derivatives in them [4, STENCIL, 1].
    """

    wire: Any
    mesh: Any
    shift: Any
    line: Any
    ends: Any
    window: Any


@scalar
def node_of(frame, side, strike, moving, row, half):  # type: ignore[no-untyped-def]
    """(place, way, payoff) of a node."""
    x, s, z = place(frame, row, half, moving)
    return x, s, payoff(frame, side, z, strike)


@scalar
def ends_of(frame, side, strike, moving, time, x0, s0, x1, s1):  # type: ignore[no-untyped-def]
    """The values at both ends."""
    return end_values(frame, side, strike, moving, time, x0, s0, x1, s1)


@scalar
def motion_of(frame, times, index, k):  # type: ignore[no-untyped-def]
    """(r, r') of a solve."""
    return motion(resting(frame, times[index])[0], resting(frame, times[index + 1])[0], index, k)


@scalar
def motion_by_pace(frame, times, index, k):  # type: ignore[no-untyped-def]
    """The derivatives of (r, r') of a solve in the pace of the nodes."""
    here = where_above(resting(frame, times[index])[1], 0.0, 0.0 - times[index], 0.0)
    ahead = where_above(resting(frame, times[index + 1])[1], 0.0, 0.0 - times[index + 1], 0.0)
    return motion(here, ahead, index, k)


@scalar
def pulls_of(frame, moving, k, pace, r, speed_of, x, s, x_before, s_before, x_after, s_after):  # type: ignore[no-untyped-def]
    """(k lo, k up) of a node between two others, and what they are made of."""
    a, c = equation(frame, 0.0 - x, moving)
    h0, h1 = fma(r, s - s_before, x - x_before), fma(r, s_after - s, x_after - x)
    twice, speed = 2.0 * pace * a, fma(pace, c, speed_of * s)
    lo, up = pulls(k, h0, h1, twice, speed)
    return lo, up, h0, h1, twice, speed


@scalar
def push(k, h0, h1, twice, speed, lo_bar, up_bar):  # type: ignore[no-untyped-def]
    """`pulls` backwards."""
    return push_pulls(k, h0, h1, twice, speed, lo_bar, up_bar)


@scalar
def push_row(frame, bars, side, strike, moving, row, half, x_bar, s_bar, a_bar, c_bar, u_bar):  # type: ignore[no-untyped-def]
    """A node backwards, into bars."""
    _, _, z = place(frame, row, half, moving)
    z_bar = push_payoff(frame, bars, side, z, strike, u_bar)
    push_all_of_node(frame, bars, row, half, moving, z, z_bar, x_bar, s_bar, a_bar, c_bar)


@scalar
def push_ends(frame, bars, side, strike, moving, time, x0, s0, x1, s1, left_bar, right_bar):  # type: ignore[no-untyped-def]
    """The values at both ends backwards, into bars; the derivatives in x0, s0, x1 and s1."""
    return push_level(frame, bars, side, strike, moving, time, x0, s0, x1, s1, left_bar, right_bar, 0.0)


@scalar
def asked_place(frame, distance, moving):  # type: ignore[no-untyped-def]
    """Where the solution is read, and the derivative of that in distance."""
    return (distance, 1.0) if moving else (0.0 - exp(0.0 - distance), exp(0.0 - distance))


@scalar
def strike_at(frame):  # type: ignore[no-untyped-def]
    """The asset at the strike."""
    return strike_of(frame)


@scalar
def seat(row, rows):  # type: ignore[no-untyped-def]
    """Where node `row` lies in a table."""
    return (row - 1) % rows, (row - 1) // rows + 1


@scalar
def shares(index):  # type: ignore[no-untyped-def]
    """(share of the level ahead in the end values of solve `index`, weight of y in what follows it)."""
    return (1.0, 1.0) if index < STARTS else (0.5, 2.0)


@within_warp
def lay_out(problem, board, lane):  # type: ignore[no-untyped-def]
    """Fills in mesh, shift and line."""
    rows = board.mesh.shape[0]
    for row in range(lane, problem.nodes, WARP):
        i, j = seat(row, rows)
        x, s, paid = node_of(problem.frame, problem.side, problem.strike, problem.moving, row, problem.nodes // 2)
        board.mesh[i, j] = x
        board.line[i, j] = paid
        if problem.moving:
            board.shift[i, j] = s
    meet()


@within_warp
def end_places(problem, board):  # type: ignore[no-untyped-def]
    """(x, s) of the first and the last node."""
    rows = board.mesh.shape[0]
    i, j = seat(0, rows)
    m, n = seat(problem.nodes - 1, rows)
    if problem.moving:
        return board.mesh[i, j], board.shift[i, j], board.mesh[m, n], board.shift[m, n]
    return board.mesh[i, j], 0.0, board.mesh[m, n], 0.0


@within_warp
def fill_ends(problem, board, lane, first):  # type: ignore[no-untyped-def]
    """The values at the ends at levels first, ... first + WARP."""
    x0, s0, x1, s1 = end_places(problem, board)
    for level in range(first + lane, min(first + WARP + 1, problem.times.shape[0]), WARP):
        low, high = ends_of(problem.frame, problem.side, problem.strike, problem.moving, problem.times[level], x0, s0, x1, s1)
        board.ends[0, level - first] = low
        board.ends[1, level - first] = high
    meet()


@within_warp
def neighbours(problem, board, lane, row):  # type: ignore[no-untyped-def]
    """(x, s) of row `row` of a lane, of the node before it and of the one after it."""
    rows = board.mesh.shape[0]
    i, j = (row - 1, lane + 1) if row > 0 else (rows - 1, lane)
    m, n = (row + 1, lane + 1) if row + 1 < rows else (0, lane + 2)
    x = board.mesh[row, lane + 1], board.mesh[i, j], board.mesh[m, n]
    if problem.moving:
        return x[0], board.shift[row, lane + 1], x[1], board.shift[i, j], x[2], board.shift[m, n]
    return x[0], 0.0, x[1], 0.0, x[2], 0.0


@within_warp
def equations(problem, board, lane, index, lower, diagonal, upper):  # type: ignore[no-untyped-def]
    """A lane's rows of 1 - k A of solve `index`; returns (k lo of the first row, k up of the last), where they are the lane's, and else 0.

    The first and the last node, whose values are given, are no part of the system.
    """
    rows = board.mesh.shape[0]
    r, speed_of = motion_of(problem.frame, problem.times, index, problem.k) if problem.moving else (0.0, 0.0)
    pace = problem.pace[index] if problem.moving else 1.0
    first, last = 0.0, 0.0
    for row in range(rows):
        x, s, x_before, s_before, x_after, s_after = neighbours(problem, board, lane, row)
        lo, up, _, _, _, _ = pulls_of(problem.frame, problem.moving, problem.k, pace, r, speed_of, x, s, x_before, s_before, x_after, s_after)
        node = lane * rows + row + 1
        inner = node < problem.nodes - 1
        lower[row], upper[row] = lo if inner else 0.0, up if inner else 0.0
        diagonal[row] = 1.0 + lower[row] + upper[row]
        if row == 0 and lane == 0:
            first = lower[row]
        if row == (problem.nodes - 3) % rows and node == problem.nodes - 2:
            last, upper[row] = upper[row], 0.0
    return first, last


@within_warp
def read(problem, board, lane, distance):  # type: ignore[no-untyped-def]
    """(value, slope) at the spot, and the first node of the window read there, whose derivatives are left in the window."""
    point, by_distance = asked_place(problem.frame, distance, problem.moving)
    value, slope, begin = read_window(problem, board, lane, point)
    return value, slope * by_distance, begin


@within_warp
def read_window(problem, board, lane, point):  # type: ignore[no-untyped-def]
    """(value, slope) at a place of the mesh, known to lane 0, and the first node of the window."""
    rows = board.mesh.shape[0]
    low, high = 0, problem.nodes - 1
    while high - low > 1:
        middle = (low + high) // 2
        i, j = seat(middle, rows)
        if board.mesh[i, j] <= point:
            low = middle
        else:
            high = middle
    begin = min(max(low - STENCIL // 2 + 1, 0), problem.nodes - STENCIL)
    if lane < STENCIL:
        i, j = seat(begin + lane, rows)
        board.window[0, lane, 0] = board.mesh[i, j]
        board.window[1, lane, 0] = board.line[i, j]
    meet()
    value, slope = 0.0, 0.0
    if lane == 0:
        value, slope = read_at(point, 0, board.window[0], board.window[1], board.window[2], board.window[3])
    meet()
    return value, slope, begin


@within_warp
def gather(sums, bars, problem, lane):  # type: ignore[no-untyped-def]
    """Adds up what the lanes have in sums [numbers, WARP + 1]; the problem's column of bars [numbers, N]."""
    meet()
    for number in range(lane, sums.shape[0], WARP):
        total = 0.0
        for other in range(WARP):
            total += sums[number, other]
        bars[number, problem] = total
    meet()
