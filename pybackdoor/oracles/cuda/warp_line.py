"""A tridiagonal system solved by a warp: d y_i = r_i + lo y_{i-1} + up y_{i+1}, its rows in registers.

A lane owns `rows` neighbouring rows, the last of which joins its others to the next lane's. The others are eliminated by themselves: factored once,
a right side costs them a forward and a backward sweep. What remains is a tridiagonal system of 32 unknowns, a lane each, which is solved by parallel
cyclic reduction in five steps (R. Hockney; for the joining of the two see E. Laszlo, M. Giles, J. Appleyard, ACM Transactions on Mathematical
Software 42 (2016), article 31). The same factors solve the transposed system. A right side costs 6 multiply-adds a row and 7 exchanges, and no memory
but a few words of shared memory; factors are 5 numbers a row and 13 a lane. Without pivoting, as everywhere else: it is stable where no row's lo + up
is far above its d.

Rows before the first lane's and after the last one's are 0, and those that a line is padded with have lo = up = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import cuda

from pybackdoor.oracles.cuda.launch import SIMULATED

WARP = 32
DEPTH = 5  # 2^DEPTH = WARP
MARGIN = WARP // 2  # the farthest that an exchange reaches
WIRE = (2, 3, WARP + 2 * MARGIN)  # shared memory that lanes talk through, in turns, so that one wait an exchange is enough; zeros to begin with
REDUCED = 2 * DEPTH + 3


def within_warp(function: Callable[..., Any]) -> Any:
    """A function of a warp's lanes, always inlined: arrays that are local to a lane must not leave the registers."""
    options: dict[str, Any] = {"device": True} if SIMULATED else {"device": True, "forceinline": True}
    return cuda.jit(**options)(function)


def _numpy(array: Any) -> Any:
    return array._item._ary


@within_warp
def _same(array):  # type: ignore[no-untyped-def]
    return array


plain = _numpy if SIMULATED else _same  # a kernel's argument as scalar functions take it: the simulator wraps it


class Factors(NamedTuple):
    """Of a lane: inside [5, rows - 1], joins [REDUCED].

    inside: lo over the pivot, 1 over it, up over it, what a row takes from the join before and from its lane's own. joins: lo and up, two for each
    step of the reduction, 1 over the last pivot.
    """

    inside: Any
    joins: Any


@within_warp
def meet():  # type: ignore[no-untyped-def]
    """Every lane sees what the others have stored."""
    if SIMULATED:
        cuda.syncthreads()
    else:
        cuda.syncwarp()


@within_warp
def factor(lower, diagonal, upper, factors, wire, lane):  # type: ignore[no-untyped-def]
    """From a lane's lo, d and up, each [rows], to its factors."""
    inside, joins = factors
    last = diagonal.shape[0] - 1
    ahead, before = 0.0, 1.0
    for row in range(last):
        inverse = 1.0 / (diagonal[row] - lower[row] * ahead)
        ahead = upper[row] * inverse
        inside[0, row], inside[1, row], inside[2, row] = lower[row] * inverse, inverse, ahead
        before = before * inside[0, row]
        inside[3, row] = before
    before, own = 0.0, 1.0
    for row in range(last - 1, -1, -1):
        before, own = inside[3, row] + inside[2, row] * before, own * inside[2, row]
        inside[3, row], inside[4, row] = before, own
    d, lo, up = diagonal[last], lower[last], upper[last]
    joins[0], joins[1] = lo, up
    if last > 0:
        wire[0, 0, MARGIN + lane] = inside[3, 0]
        wire[0, 1, MARGIN + lane] = inside[4, 0]
        meet()
        d = d - lo * inside[4, last - 1] - up * wire[0, 0, MARGIN + lane + 1]
        lo, up = lo * inside[3, last - 1], up * wire[0, 1, MARGIN + lane + 1]
    for step in range(DEPTH):
        turn, back, forth = (step + 1) % 2, MARGIN + lane - (1 << step), MARGIN + lane + (1 << step)
        wire[turn, 0, MARGIN + lane] = 1.0 / d
        wire[turn, 1, MARGIN + lane] = lo
        wire[turn, 2, MARGIN + lane] = up
        meet()
        lo, up = lo * wire[turn, 0, back], up * wire[turn, 0, forth]
        joins[2 + 2 * step], joins[3 + 2 * step] = lo, up
        d = d - lo * wire[turn, 2, back] - up * wire[turn, 1, forth]
        lo, up = lo * wire[turn, 1, back], up * wire[turn, 2, forth]
    joins[REDUCED - 1] = 1.0 / d
    meet()


@within_warp
def solve_line(factors, x, wire, lane):  # type: ignore[no-untyped-def]
    """From a lane's right sides x [rows] to its unknowns; returns the unknown before the lane's first."""
    inside, joins = factors
    last = x.shape[0] - 1
    value = x[0]
    if last > 0:
        value = x[0] = inside[1, 0] * value
    for row in range(1, last):
        value = inside[1, row] * x[row] + inside[0, row] * value
        x[row] = value
    for row in range(last - 2, -1, -1):
        value = x[row] + inside[2, row] * value
        x[row] = value
    total = x[last]
    if last > 0:
        wire[0, 0, MARGIN + lane] = value
        meet()
        total += joins[0] * x[last - 1] + joins[1] * wire[0, 0, MARGIN + lane + 1]
    for step in range(DEPTH):
        turn = (step + 1) % 2
        wire[turn, 0, MARGIN + lane] = total
        meet()
        total += joins[2 + 2 * step] * wire[turn, 0, MARGIN + lane - (1 << step)]
        total += joins[3 + 2 * step] * wire[turn, 0, MARGIN + lane + (1 << step)]
    total *= joins[REDUCED - 1]
    wire[0, 0, MARGIN + lane] = total
    meet()
    before = wire[0, 0, MARGIN + lane - 1]
    for row in range(last):
        x[row] += inside[3, row] * before + inside[4, row] * total
    x[last] = total
    meet()
    return before


@within_warp
def solve_transposed(factors, x, wire, lane, first, last_of):  # type: ignore[no-untyped-def]
    """As `solve_line` with the transposed matrix, from the same factors: its operations backwards, in the opposite order.

    Besides, hands each neighbour one of the lane's numbers: returns `last_of` of the lane before and `first` of the one after, 0 where there is none.
    """
    inside, joins = factors
    last = x.shape[0] - 1
    wire[0, 2, MARGIN + lane], wire[1, 2, MARGIN + lane] = first, last_of
    before, own = 0.0, x[last]
    for row in range(last):
        before += inside[3, row] * x[row]
        own += inside[4, row] * x[row]
    wire[0, 0, MARGIN + lane] = before
    meet()
    total = joins[REDUCED - 1] * (own + wire[0, 0, MARGIN + lane + 1])
    for turned in range(DEPTH):
        step = DEPTH - 1 - turned
        turn = (turned + 1) % 2
        wire[turn, 0, MARGIN + lane], wire[turn, 1, MARGIN + lane] = joins[2 + 2 * step] * total, joins[3 + 2 * step] * total
        meet()
        total += wire[turn, 0, MARGIN + lane + (1 << step)] + wire[turn, 1, MARGIN + lane - (1 << step)]
    x[last] = total
    if last > 0:
        wire[0, 0, MARGIN + lane] = joins[1] * total
        meet()
        x[0] += wire[0, 0, MARGIN + lane - 1]
        x[last - 1] += joins[0] * total
    for row in range(1, last):
        x[row] += inside[2, row - 1] * x[row - 1]
    scaled = 0.0
    for row in range(last - 1, -1, -1):
        scaled = x[row] + (inside[0, row + 1] * scaled if row + 1 < last else 0.0)
        x[row] = inside[1, row] * scaled
    from_before, from_after = wire[1, 2, MARGIN + lane - 1], wire[0, 2, MARGIN + lane + 1]
    meet()
    return from_before, from_after


@within_warp
def clear(wire, lane):  # type: ignore[no-untyped-def]
    """Zeros on the wire."""
    for turn in range(2):
        for channel in range(3):
            wire[turn, channel, lane] = 0.0
            wire[turn, channel, WARP + lane] = 0.0
    meet()
