"""The single barriers' solver on a GPU: a warp a problem, from the payoff to the price and back to its derivatives in one launch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numba import cuda, float64

from pybackdoor.oracles.barrier_formulas import PAYOFF
from pybackdoor.oracles.barrier_frame import COLUMNS, DISTANCE
from pybackdoor.oracles.cuda.barrier_march import Bars, Lane, march, march_back
from pybackdoor.oracles.cuda.barrier_warp import SEATS, Board, Problem, gather, lay_out, read, strike_at
from pybackdoor.oracles.cuda.launch import SIMULATED, Kernel
from pybackdoor.oracles.cuda.warp_line import REDUCED, WARP, WIRE, Factors, clear, plain
from pybackdoor.oracles.interpolation import STENCIL
from pybackdoor.oracles.parabolic import STARTS

NUMBERS = len(COLUMNS) + len(PAYOFF)
MOST_NODES = 16 * WARP + 2  # more rows a lane do not fit its registers


@lru_cache(maxsize=64)
def solver(nodes: int, moving: bool, gradient: bool) -> Kernel:
    """The kernel (frames [NUMBERS, N], side, times, pace, values [N], bars [NUMBERS, N or 0], history [warps, solves, rows, WARP] or with 0 solves)."""
    rows = -(-(nodes - 2) // WARP)
    inside, table, sums = (5, max(rows - 1, 1)), (rows, SEATS), (NUMBERS if gradient else 1, WARP + 1)
    shift, bar_table, c_table = table if moving else (1, 1), table if gradient else (1, 1), table if gradient and not moving else (1, 1)
    bar_rows, ends, window = rows if gradient else 1, (2, WARP + 1), (4, STENCIL, 1)

    def barrier(frames, side, times, pace, values, bars, history):  # type: ignore[no-untyped-def]
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
            frame = plain(frames)[:, row]
            problem = Problem(frame, side, strike_at(frame), plain(times), plain(pace), k, moving, nodes)
            lay_out(problem, board, number)
            march(problem, board, lane, history[cuda.blockIdx.x])
            value, slope, begin = read(problem, board, number, frame[DISTANCE])
            if number == 0:
                values[row] = value
            if gradient:
                march_back(problem, board, lane, history[cuda.blockIdx.x], given, begin)
                if number == 0:
                    given.sums[DISTANCE, 0] = slope
                gather(given.sums, bars, row, number)

    return Kernel(barrier, WARP, WARP)
