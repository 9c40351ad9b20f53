"""The way back of barrier_march.py: from the derivatives in the solution to those in the numbers of the frame.

It needs the y of every solve. Where nodes rest only every second u is kept, to halve what goes through memory: from u before a solve its y is found
again, and with it u after it, of which and the next u kept the next y is made. It is solved for rather than multiplied for, which would multiply
rounding errors by k / h^2. Where nodes move, a solve costs a factorization, and every u is kept. The transposed systems are solved by the factors of
the way there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pybackdoor.oracles.barrier_frame import PACE
from pybackdoor.oracles.cuda.barrier_march import end_value, solve, stride
from pybackdoor.oracles.cuda.barrier_warp import (
    end_places,
    equations,
    fill_ends,
    motion_by_pace,
    motion_of,
    neighbours,
    pulls_of,
    push,
    push_ends,
    push_row,
    seat,
    shares,
)
from pybackdoor.oracles.cuda.warp_line import MARGIN, WARP, factor, meet, solve_transposed, within_warp
from pybackdoor.oracles.interpolation import STENCIL


class Bars(NamedTuple):
    """Of the adjoint, in shared memory: derivatives.

    Tables of those in places, in ways (or, where nodes rest, in a) and in c [rows, SEATS]; those in the values at the ends of WARP + 1 solves
    [2, WARP + 1]; and a column of each lane's own sums for the numbers of the frame [numbers, WARP + 1].
    """

    mesh: Any
    shift: Any
    c: Any
    ends: Any
    sums: Any


@within_warp
def start_back(problem, board, lane, bars, begin):  # type: ignore[no-untyped-def]
    """u_bar at t = 1 into the lane's u, and zeros or what the reading gives into the tables; returns u_bar at the first and the last node."""
    rows, number = board.mesh.shape[0], lane.number
    for row in range(number, problem.nodes, WARP):
        i, j = seat(row, rows)
        board.line[i, j], bars.mesh[i, j], bars.shift[i, j] = 0.0, 0.0, 0.0
        if not problem.moving:
            bars.c[i, j] = 0.0
    for column in range(bars.sums.shape[0]):
        bars.sums[column, number] = 0.0
    meet()
    if number < STENCIL:
        i, j = seat(begin + number, rows)
        board.line[i, j], bars.mesh[i, j] = board.window[2, number, 0], board.window[3, number, 0]
    if number < 2:
        bars.ends[number, 0] = 0.0
    meet()
    for row in range(rows):
        lane.u[row] = board.line[row, number + 1] if number * rows + row + 1 < problem.nodes - 1 else 0.0
    i, j = seat(0, rows)
    m, n = seat(problem.nodes - 1, rows)
    return board.line[i, j], board.line[m, n]


@within_warp
def find_again(problem, board, lane, history, index, first, last):  # type: ignore[no-untyped-def]
    """The y of a solve, going backwards, for `_found`: where nodes rest, two solves at a time, the earlier one's waiting in the board's line."""
    rows, number, place = board.mesh.shape[0], lane.number, index // stride(problem.moving)
    share, weight = shares(index)  # the share is 1 over the weight
    if problem.moving:
        for row in range(rows):
            board.line[row, number + 1] = share * (history[place + 1, row, number] + (weight - 1.0) * history[place, row, number])
    elif index % 2 == 1 or index == problem.times.shape[0] - 2:
        for row in range(rows):
            lane.again[row] = history[place, row, number]
        if index % 2 == 1:
            _, weight_before = shares(index - 1)
            solve(problem, board, lane, lane.again, lane.y, index - 1, first, last)
            for row in range(rows):
                board.line[row, number + 1] = lane.y[row]
                lane.again[row] = weight_before * lane.y[row] + (1.0 - weight_before) * lane.again[row]
        for row in range(rows):
            lane.again[row] = share * (history[place + 1, row, number] + (weight - 1.0) * lane.again[row])
    else:
        for row in range(rows):
            lane.again[row] = board.line[row, number + 1]


@within_warp
def _found(problem, board, lane, row):  # type: ignore[no-untyped-def]
    """What `find_again` left of a row: where nodes move, in the board's line, as registers are short."""
    return board.line[row, lane.number + 1] if problem.moving else lane.again[row]


@within_warp
def pull_back(problem, board, lane, bars, index):  # type: ignore[no-untyped-def]
    """One solve backwards: u_bar, kept as the lane's u, from after it to before it; its y is `_found`.

    Leaves in y what goes to the right side, and adds to lo_bar and up_bar (where the matrix varies: sets them). Where nodes rest, those lie in the
    tables of a and c for the time being, as registers are short.
    """
    rows, number = board.mesh.shape[0], lane.number
    _, weight = shares(index)
    for row in range(rows):
        lane.y[row] = weight * lane.u[row]
    before, beyond = solve_transposed(
        lane.factors, lane.y, board.wire, number, _found(problem, board, lane, 0), _found(problem, board, lane, rows - 1)
    )
    right = end_value(board, index, 1)
    if number == 0:
        before = end_value(board, index, 0)
    here = _found(problem, board, lane, 0)
    for row in range(rows):
        after = _found(problem, board, lane, row + 1) if row + 1 < rows else beyond
        ahead = right if row == (problem.nodes - 3) % rows and number * rows + row + 1 == problem.nodes - 2 else after
        mu = lane.y[row]
        lane.u[row] = (1.0 - weight) * lane.u[row] + mu
        if problem.moving:
            lane.lo_bar[row], lane.up_bar[row] = mu * (before - here), mu * (ahead - here)
        else:
            bars.shift[row, number + 1] += mu * (before - here)
            bars.c[row, number + 1] += mu * (ahead - here)
        before, here = here, after


@within_warp
def _collect(problem, board, lane, bars, index):  # type: ignore[no-untyped-def]
    """Carries lo_bar and up_bar of solve `index` on to places, ways, a and c (tables); returns the lane's sums in a, c, r and r' if nodes move."""
    rows, number, moving = board.mesh.shape[0], lane.number, problem.moving
    r, speed_of = motion_of(problem.frame, problem.times, index, problem.k) if moving else (0.0, 0.0)
    pace = problem.pace[index] if moving else 1.0
    a_bar, c_bar, r_bar, speed_of_bar = 0.0, 0.0, 0.0, 0.0
    to_before, from_before, x_bar, s_bar = 0.0, 0.0, 0.0, 0.0
    for row in range(rows):
        x, s, x_before, s_before, x_after, s_after = neighbours(problem, board, number, row)
        _, _, h0, h1, twice, speed = pulls_of(problem.frame, moving, problem.k, pace, r, speed_of, x, s, x_before, s_before, x_after, s_after)
        h0_bar, h1_bar, twice_bar, speed_bar = push(problem.k, h0, h1, twice, speed, lane.lo_bar[row], lane.up_bar[row])
        if number * rows + row + 1 >= problem.nodes - 1:
            h0_bar, h1_bar, twice_bar, speed_bar = 0.0, 0.0, 0.0, 0.0
        elif moving:
            a_bar += 2.0 * pace * twice_bar
            c_bar += pace * speed_bar
            r_bar += h1_bar * (s_after - s) + h0_bar * (s - s_before)
            speed_of_bar += speed_bar * s
        if row == 0:
            to_before = 0.0 - h0_bar
        else:
            bars.mesh[row - 1, number + 1] += x_bar - h0_bar
            if moving:
                bars.shift[row - 1, number + 1] += s_bar - r * h0_bar
        x_bar = from_before + h0_bar - h1_bar
        s_bar = r * x_bar + speed_of * speed_bar
        from_before = h1_bar
        if not moving:
            bars.shift[row, number + 1] = 2.0 * twice_bar
            bars.c[row, number + 1] = speed_bar
    hand_over(board, bars, number, moving, r, to_before, from_before, x_bar, s_bar)
    return a_bar, c_bar, r_bar, speed_of_bar


@within_warp
def hand_over(board, bars, number, moving, r, to_before, to_after, x_bar, s_bar):  # type: ignore[no-untyped-def]
    """What a lane's cells give to the nodes beside it goes there, what is given to its last node as well."""
    last = board.mesh.shape[0] - 1
    board.wire[0, 0, MARGIN + number], board.wire[0, 1, MARGIN + number] = to_before, to_after
    meet()
    back, forth = board.wire[0, 0, MARGIN + number + 1], board.wire[0, 1, MARGIN + number - 1]
    meet()
    bars.mesh[last, number + 1] += x_bar + back
    bars.mesh[0, number + 1] += forth
    if moving:
        bars.shift[last, number + 1] += s_bar + r * back
        bars.shift[0, number + 1] += r * forth
    if number == 0:
        bars.mesh[last, 0] += to_before
        if moving:
            bars.shift[last, 0] += r * to_before
    if number == WARP - 1:
        bars.mesh[0, WARP + 1] += to_after
        if moving:
            bars.shift[0, WARP + 1] += r * to_after


@within_warp
def _push_levels(problem, board, lane, bars, first, final):  # type: ignore[no-untyped-def]
    """The values at the ends backwards, a lane a level from `first` + 1 on; returns the derivatives in the ends' places and ways.

    final: those in u at the ends at t = 1.
    """
    solves, level = problem.times.shape[0] - 1, first + 1 + lane.number
    if level > solves:
        return 0.0, 0.0, 0.0, 0.0
    share, _ = shares(level - 1)
    left, right = share * bars.ends[0, lane.number], share * bars.ends[1, lane.number]
    if level < solves:
        share, _ = shares(level)
        left += (1.0 - share) * bars.ends[0, lane.number + 1]
        right += (1.0 - share) * bars.ends[1, lane.number + 1]
    else:
        left, right = left + final[0], right + final[1]
    x0, s0, x1, s1 = end_places(problem, board)
    sums = bars.sums[:, lane.number]
    return push_ends(problem.frame, sums, problem.side, problem.strike, problem.moving, problem.times[level], x0, s0, x1, s1, left, right)


@within_warp
def march_back(problem, board, lane, history, bars, begin, ends):  # type: ignore[no-untyped-def]
    """From the window read at the spot back to the numbers of the frame: leaves the lanes' parts in the sums. ends: what `march` gave."""
    solves, number, rows = problem.times.shape[0] - 1, lane.number, board.mesh.shape[0]
    final = start_back(problem, board, lane, bars, begin)
    x0_bar, s0_bar, x1_bar, s1_bar = 0.0, 0.0, 0.0, 0.0
    a_bar, c_bar, pace_bar = 0.0, 0.0, 0.0
    first, last = ends
    for begin in range((solves - 1) // WARP * WARP, -1, -WARP):
        fill_ends(problem, board, number, begin)
        if number < 2:
            bars.ends[number, WARP] = bars.ends[number, 0]
        for index in range(min(begin + WARP, solves) - 1, begin - 1, -1):
            if problem.moving:
                first, last = equations(problem, board, number, index, lane.lower, lane.diagonal, lane.upper)
                factor(lane.lower, lane.diagonal, lane.upper, lane.factors, board.wire, number)
            find_again(problem, board, lane, history, index, first, last)
            pull_back(problem, board, lane, bars, index)
            if number == 0:
                bars.ends[0, index - begin] = first * lane.y[0]
            if number == (problem.nodes - 3) // rows:
                bars.ends[1, index - begin] = last * lane.y[(problem.nodes - 3) % rows]
            if problem.moving:
                to_a, to_c, r_bar, speed_of_bar = _collect(problem, board, lane, bars, index)
                by_r, by_speed = motion_by_pace(problem.frame, problem.times, index, problem.k)
                a_bar, c_bar, pace_bar = a_bar + to_a, c_bar + to_c, pace_bar + by_r * r_bar + by_speed * speed_of_bar
        meet()
        to_x0, to_s0, to_x1, to_s1 = _push_levels(problem, board, lane, bars, begin, final)
        x0_bar, s0_bar, x1_bar, s1_bar = x0_bar + to_x0, s0_bar + to_s0, x1_bar + to_x1, s1_bar + to_s1
        meet()
    if not problem.moving:
        for row in range(rows):
            lane.lo_bar[row], lane.up_bar[row] = bars.shift[row, number + 1], bars.c[row, number + 1]
        _collect(problem, board, lane, bars, 0)
    if problem.moving:
        bars.sums[PACE, number] += pace_bar
    _push_nodes(problem, board, lane, bars, (x0_bar, s0_bar, x1_bar, s1_bar), a_bar, c_bar)


@within_warp
def _push_nodes(problem, board, lane, bars, ends, a_bar, c_bar):  # type: ignore[no-untyped-def]
    """The nodes backwards, into the sums; ends: the lane's part of what the ends give to the first and the last; a_bar, c_bar: its part of all."""
    number, rows = lane.number, board.mesh.shape[0]
    sums = bars.sums[:, number]
    for row in range(rows):
        board.line[row, number + 1] = lane.u[row]
    meet()
    for row in range(number, problem.nodes, WARP):
        i, j = seat(row, rows)
        u_bar = board.line[i, j] if 0 < row < problem.nodes - 1 else 0.0
        x_bar, s_bar = bars.mesh[i, j], 0.0
        if problem.moving:
            s_bar = bars.shift[i, j]
            to_a, to_c = (a_bar, c_bar) if row == number else (0.0, 0.0)
        else:
            inner = 0 < row < problem.nodes - 1
            to_a, to_c = bars.shift[i, j] if inner else 0.0, bars.c[i, j] if inner else 0.0
        push_row(problem.frame, sums, problem.side, problem.strike, problem.moving, row, problem.nodes // 2, x_bar, s_bar, to_a, to_c, u_bar)
    for end in range(2):
        row = end * (problem.nodes - 1)
        x_bar, s_bar = (ends[2], ends[3]) if end == 1 else (ends[0], ends[1])
        push_row(problem.frame, sums, problem.side, problem.strike, problem.moving, row, problem.nodes // 2, x_bar, s_bar, 0.0, 0.0, 0.0)
