"""Kernels for steady parabolic problems: a warp a problem, from the first values to the one read and back to its derivatives in one launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from numba import cuda, float64

from pybackdoor.oracles.cuda.barrier import histories, levels_kept, rows_of
from pybackdoor.oracles.cuda.barrier_back import Bars
from pybackdoor.oracles.cuda.barrier_march import Lane
from pybackdoor.oracles.cuda.barrier_warp import SEATS, gather, read_window, seat
from pybackdoor.oracles.cuda.launch import Kernel
from pybackdoor.oracles.cuda.steady_line import Line, SteadyBoard, march, march_back
from pybackdoor.oracles.cuda.warp_line import REDUCED, WARP, WIRE, Factors, clear, meet, plain
from pybackdoor.oracles.interpolation import STENCIL
from pybackdoor.oracles.parabolic import STARTS, level_times


@dataclass(frozen=True)
class Formulas:
    """A problem in the kernel's terms, in functions of numbers that the CPU computes with too.

    numbers: how many a frame has; read_at: which of them says where the solution is read. node(frame, row, half) -> (x, a, c, first value) of a node
    of 2 half + 1; place(frame, last x) -> (where it is read, the derivative of that in its number, 1 or, where the solution is 0 anyhow, 0);
    push(frame, bars, row, half, x_bar, a_bar, c_bar, first_bar): a node backwards, added to bars.
    """

    title: str
    numbers: int
    read_at: int
    node: Callable[..., Any]
    place: Callable[..., Any]
    push: Callable[..., Any]


def solve(
    formulas: Formulas, frames: torch.Tensor, cells: int, steps: int, chosen: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [N] and, with `gradient`, their derivatives in frames [numbers, N] ([numbers, 0] without), 0 where `chosen` [N] is false."""
    count, times = frames.shape[1], _times(steps, frames.device)
    values, bars = frames.new_zeros(count), frames.new_zeros(formulas.numbers, count if gradient else 0)
    warps, history = histories(frames, levels_kept(len(times) - 1, False) if gradient else 0, rows_of(cells + 1))
    solver(formulas, cells + 1, gradient)(warps, frames, times, chosen, values, bars, history)
    return values, bars


@lru_cache(maxsize=64)
def _times(steps: int, device: torch.device) -> torch.Tensor:
    return torch.tensor(level_times(steps), dtype=torch.float64, device=device)


@lru_cache(maxsize=64)
def solver(formulas: Formulas, nodes: int, gradient: bool) -> Kernel:
    """The kernel: a block is a warp and solves a problem after another; its arguments are frames, times, chosen, values, bars, history."""
    rows, half = rows_of(nodes), nodes // 2
    node, place, push, read_at = formulas.node, formulas.place, formulas.push, formulas.read_at
    inside, table, window, ends = (5, max(rows - 1, 1)), (rows, SEATS), (4, STENCIL, 1), (2, WARP + 1)
    bar_table, bar_rows, sums = table if gradient else (1, 1), rows if gradient else 1, (formulas.numbers if gradient else 1, WARP + 1)

    def steady(frames, times, chosen, values, bars, history):  # type: ignore[no-untyped-def]
        number = cuda.threadIdx.x
        board = SteadyBoard(
            cuda.shared.array(WIRE, float64),
            cuda.shared.array(table, float64),
            cuda.shared.array((1, 1), float64),
            cuda.shared.array(table, float64),
            cuda.shared.array(ends, float64),
            cuda.shared.array(window, float64),
            cuda.shared.array(table, float64),
            cuda.shared.array(table, float64),
        )
        lane = Lane(
            number,
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(1, float64),
            cuda.local.array(1, float64),
            cuda.local.array(bar_rows, float64),
            Factors(cuda.local.array(inside, float64), cuda.local.array(REDUCED, float64)),
        )
        given = Bars(
            cuda.shared.array(bar_table, float64),
            cuda.shared.array(bar_table, float64),
            cuda.shared.array(bar_table, float64),
            cuda.shared.array((2, 1), float64),
            cuda.shared.array(sums, float64),
        )
        line = Line(plain(times), 0.5 / (times.shape[0] - 1 - STARTS // 2), False, nodes)
        clear(board.wire, number)
        for problem in range(cuda.blockIdx.x, frames.shape[1], cuda.gridDim.x):
            if chosen[problem]:
                frame = plain(frames)[:, problem]
                for row in range(number, nodes, WARP):
                    i, j = seat(row, rows)
                    board.mesh[i, j], board.a[i, j], board.c[i, j], board.line[i, j] = node(frame, row, half)
                meet()
                pulled = march(line, board, lane, history[cuda.blockIdx.x if gradient else 0], gradient)
                i, j = seat(nodes - 1, rows)
                point, by, share = place(frame, board.mesh[i, j])
                value, slope, begin = read_window(line, board, number, point)
                if number == 0:
                    values[problem] = share * value
                if gradient:
                    if number < STENCIL:
                        board.window[2, number, 0], board.window[3, number, 0] = (
                            share * board.window[2, number, 0],
                            share * board.window[3, number, 0],
                        )
                    march_back(line, board, lane, history[cuda.blockIdx.x], given, begin, pulled)
                    for row in range(number, nodes, WARP):
                        i, j = seat(row, rows)
                        inner = 0 < row < nodes - 1
                        a_bar, c_bar = given.shift[i, j] if inner else 0.0, given.c[i, j] if inner else 0.0
                        push(frame, given.sums[:, number], row, half, given.mesh[i, j], a_bar, c_bar, board.line[i, j])
                    if number == 0:
                        given.sums[read_at, 0] = share * by * slope
                    gather(given.sums, bars, problem, number)

    steady.__name__ = f"{formulas.title}_{'gradient' if gradient else 'value'}"
    return Kernel(steady, WARP, WARP)
