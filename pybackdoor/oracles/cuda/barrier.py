"""The single barriers' solver on a GPU: a warp a problem, from the payoff to the price and back to its derivatives in one launch."""

from __future__ import annotations

from functools import lru_cache

import torch
from numba import cuda, float64

from pybackdoor.oracles.barrier_formulas import PAYOFF
from pybackdoor.oracles.barrier_frame import COLUMNS, DISTANCE
from pybackdoor.oracles.cuda.barrier_back import Bars, march_back
from pybackdoor.oracles.cuda.barrier_march import Lane, march
from pybackdoor.oracles.cuda.barrier_warp import SEATS, Board, Problem, gather, lay_out, read, strike_at
from pybackdoor.oracles.cuda.launch import Kernel
from pybackdoor.oracles.cuda.warp_line import REDUCED, WARP, WIRE, Factors, clear, plain
from pybackdoor.oracles.interpolation import STENCIL
from pybackdoor.oracles.parabolic import STARTS

NUMBERS = len(COLUMNS) + len(PAYOFF)
MOST_NODES = 24 * WARP + 2  # of which shared memory has room for all tables
_ON_A_MULTIPROCESSOR = 16  # warps that there may be, more than registers allow; each has a place for its problem's history
_HISTORY = 2**27  # numbers of all histories at most, 1 GiB, unless a single one takes more


def solve(
    frames: torch.Tensor, side: float, times: torch.Tensor, pace: torch.Tensor, nodes: int, moving: bool, chosen: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [N] and, with `gradient`, their derivatives in the frames, [NUMBERS, N] ([NUMBERS, 0] without), 0 where `chosen` [N] is false.

    frames [NUMBERS, N]: see barrier_formulas.py; times [solves + 1], pace [solves]: see barrier_grid.solve_grid.
    """
    count = frames.shape[1]
    values, bars = frames.new_zeros(count), frames.new_zeros(NUMBERS, count if gradient else 0)
    warps, history = histories(frames, levels_kept(len(pace), moving) if gradient else 0, rows_of(nodes))
    solver(nodes, moving, gradient)(warps, frames, side, times, pace, chosen, values, bars, history)
    return values, bars


def histories(frames: torch.Tensor, levels: int, rows: int) -> tuple[int, torch.Tensor]:
    """How many warps to launch for the problems frames [numbers, N], and their memory [warps, levels kept, rows, WARP]; levels 0: values alone."""
    count = frames.shape[1]
    if levels == 0:
        return count, frames.new_empty(1, 0, rows, WARP)
    multiprocessors = torch.cuda.get_device_properties(frames.device).multi_processor_count if frames.is_cuda else 1
    warps = min(count, max(min(multiprocessors * _ON_A_MULTIPROCESSOR, _HISTORY // (levels * rows * WARP)), 1))
    return warps, frames.new_empty(warps, levels, rows, WARP)


def rows_of(nodes: int) -> int:
    """Inner nodes of a lane."""
    return -(-(nodes - 2) // WARP)


def levels_kept(solves: int, moving: bool) -> int:
    """How many u a gradient keeps: see barrier_back.py."""
    return -(-solves // (1 if moving else 2)) + 1


@lru_cache(maxsize=64)
def solver(nodes: int, moving: bool, gradient: bool) -> Kernel:
    """The kernel: a block is a warp and solves a problem after another.

    Its arguments are those of `solve` but for the counts, what that gives, and history [warps, levels kept, rows, WARP], with 0 levels for values.
    """
    rows = rows_of(nodes)
    inside, table, sums = (5, max(rows - 1, 1)), (rows, SEATS), (NUMBERS if gradient else 1, WARP + 1)
    shift, bar_table, c_table = table if moving else (1, 1), table if gradient else (1, 1), table if gradient and not moving else (1, 1)
    bar_rows, ends, window = rows if gradient else 1, (2, WARP + 1), (4, STENCIL, 1)

    def barrier(frames, side, times, pace, chosen, values, bars, history):  # type: ignore[no-untyped-def]
        number = cuda.threadIdx.x
        board = Board(
            cuda.shared.array(WIRE, float64),
            cuda.shared.array(table, float64),
            cuda.shared.array(shift, float64),
            cuda.shared.array(table, float64),
            cuda.shared.array(ends, float64),
            cuda.shared.array(window, float64),
        )
        lane = Lane(
            number,
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(rows, float64),
            cuda.local.array(bar_rows, float64),
            cuda.local.array(bar_rows, float64),
            cuda.local.array(bar_rows, float64),
            Factors(cuda.local.array(inside, float64), cuda.local.array(REDUCED, float64)),
        )
        given = Bars(
            cuda.shared.array(bar_table, float64),
            cuda.shared.array(bar_table, float64),
            cuda.shared.array(c_table, float64),
            cuda.shared.array(ends, float64),
            cuda.shared.array(sums, float64),
        )
        k = 0.5 / (times.shape[0] - 1 - STARTS // 2)
        clear(board.wire, number)
        for row in range(cuda.blockIdx.x, frames.shape[1], cuda.gridDim.x):
            if chosen[row]:
                frame = plain(frames)[:, row]
                problem = Problem(frame, side, strike_at(frame), plain(times), plain(pace), k, moving, nodes)
                lay_out(problem, board, number)
                pulled = march(problem, board, lane, history[cuda.blockIdx.x if gradient else 0], gradient)
                value, slope, begin = read(problem, board, number, frame[DISTANCE])
                if number == 0:
                    values[row] = value
                if gradient:
                    march_back(problem, board, lane, history[cuda.blockIdx.x], given, begin, pulled)
                    if number == 0:
                        given.sums[DISTANCE, 0] = slope
                    gather(given.sums, bars, row, number)

    barrier.__name__ = f"{'moving' if moving else 'resting'}_{'gradient' if gradient else 'value'}"
    return Kernel(barrier, WARP, WARP)
