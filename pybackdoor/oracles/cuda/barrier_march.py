"""The single barriers' solver on a warp, forward in time: what is solved is in parabolic.py, where it lies in barrier_warp.py."""

from __future__ import annotations

from typing import Any, NamedTuple

from pybackdoor.oracles.cuda.barrier_warp import equations, fill_ends, seat, shares
from pybackdoor.oracles.cuda.warp_line import WARP, factor, meet, solve_line, within_warp


class Lane(NamedTuple):
    """What a lane has in registers: its number; lo, d and up, u and y [rows]; for the adjoint those of lo and up, and y found again; the factors."""

    number: int
    lower: Any
    diagonal: Any
    upper: Any
    u: Any
    y: Any
    lo_bar: Any
    up_bar: Any
    again: Any
    factors: Any


@within_warp
def stride(moving):  # type: ignore[no-untyped-def]
    """Every how manieth u is kept."""
    return 1 if moving else 2


@within_warp
def march(problem, board, lane, history, keep):  # type: ignore[no-untyped-def]
    """From the payoff in the board's line to u at t = 1 there.

    With `keep`, u before every solve or every second one, and the last, is kept in history [levels kept, rows, WARP]. Returns what `equations` does
    of the last solve, whose factors are left behind.
    """
    rows, solves, number = board.mesh.shape[0], problem.times.shape[0] - 1, lane.number
    for row in range(rows):
        lane.u[row] = board.line[row, number + 1] if number * rows + row + 1 < problem.nodes - 1 else 0.0
    first, last = 0.0, 0.0
    if not problem.moving:
        first, last = equations(problem, board, number, 0, lane.lower, lane.diagonal, lane.upper)
        factor(lane.lower, lane.diagonal, lane.upper, lane.factors, board.wire, number)
    for begin in range(0, solves, WARP):
        fill_ends(problem, board, number, begin)
        for index in range(begin, min(begin + WARP, solves)):
            if problem.moving:
                first, last = equations(problem, board, number, index, lane.lower, lane.diagonal, lane.upper)
                factor(lane.lower, lane.diagonal, lane.upper, lane.factors, board.wire, number)
            if keep and index % stride(problem.moving) == 0:
                keep_state(lane, history, index // stride(problem.moving))
            _, weight = shares(index)
            solve(problem, board, lane, lane.u, lane.y, index, first, last)
            for row in range(rows):
                lane.u[row] = weight * lane.y[row] + (1.0 - weight) * lane.u[row]
    if keep:
        keep_state(lane, history, history.shape[0] - 1)
    for row in range(rows):
        if number * rows + row + 1 < problem.nodes - 1:
            board.line[row, number + 1] = lane.u[row]
    if number < 2:
        i, j = seat(number * (problem.nodes - 1), rows)
        board.line[i, j] = board.ends[number, (solves - 1) % WARP + 1]
    meet()
    return first, last


@within_warp
def keep_state(lane, history, place):  # type: ignore[no-untyped-def]
    """Puts a lane's u into history [levels kept, rows, WARP]."""
    for row in range(lane.u.shape[0]):
        history[place, row, lane.number] = lane.u[row]


@within_warp
def end_value(board, index, side):  # type: ignore[no-untyped-def]
    """The value at an end in solve `index`."""
    share, _ = shares(index)
    return share * board.ends[side, index % WARP + 1] + (1.0 - share) * board.ends[side, index % WARP]


@within_warp
def solve(problem, board, lane, u, y, index, first, last):  # type: ignore[no-untyped-def]
    """One solve, from u to y, with k lo of the first row and k up of the last."""
    rows = board.mesh.shape[0]
    for row in range(rows):
        y[row] = u[row]
    y[0] += first * end_value(board, index, 0)
    y[(problem.nodes - 3) % rows] += last * end_value(board, index, 1)
    solve_line(lane.factors, y, board.wire, lane.number)
