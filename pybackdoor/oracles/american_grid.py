"""One grid of the American put's finite-difference solver: the premium marched to today, read at the spot, and the European put added.

The equation and its solution are in front.py, whose PROBLEM names the numbers of a point.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.front import DISTANCE, FAR, HOLDING, PROBLEM, VARIANCE, WAITING, march, pull_back, put
from pybackdoor.oracles.interpolation import read_at
from pybackdoor.oracles.lanes import LANES, aligned, broadcast, fma, load, store


class Memory(NamedTuple):
    """What a block of problems needs, see `front.march` and `front.pull_back`.

    nodal [2, nodes, LANES]: the nodes and a work space; slopes [PROBLEM, LANES]: the derivatives.
    """

    problem: np.ndarray
    levels: np.ndarray
    fronts: np.ndarray
    known: np.ndarray
    work: np.ndarray
    bar: np.ndarray
    slopes: np.ndarray
    nodal: np.ndarray


def memory(nodes: int, steps: int, *, adjoint: bool) -> Memory:
    """Memory for one block of problems."""
    return Memory(
        aligned(len(PROBLEM)),
        aligned(steps + 1 if adjoint else 3, nodes),
        aligned(steps + 1),
        aligned(nodes),
        aligned(2, nodes),
        aligned(2, nodes),
        aligned(len(PROBLEM)),
        aligned(2, nodes),
    )


@kernel
def solve_grid(frames, mesh, memory, values, bars):  # type: ignore[no-untyped-def]
    """Prices over the strike [blocks, LANES] and, unless bars is empty, their derivatives in the frames, bars [PROBLEM, blocks, LANES].

    A spot at or below the boundary is worth the payoff, with its derivatives; beyond the last node the premium is 0.
    """
    blocks, nodes, steps, slots = frames.shape[1], mesh.shape[1], memory.fronts.shape[0] - 1, memory.levels.shape[0]
    problem, nodal = memory.problem, memory.nodal
    for block in range(blocks):
        for number in range(len(PROBLEM)):
            store(problem, number, load(frames, number * blocks + block))
            store(memory.slopes, number, broadcast(0.0))
        march(problem, mesh, memory.levels, memory.fronts, memory.known, memory.work)
        front = load(memory.fronts, steps)
        for row in range(nodes):
            store(nodal[0], row, fma(1.0 - mesh[0, row], load(problem, FAR) - front, front))
        held = put(load(problem, DISTANCE), 1.0, load(problem, VARIANCE), load(problem, WAITING), load(problem, HOLDING))
        store(values, block, held[0])
        store(memory.slopes, DISTANCE, held[1])
        store(memory.slopes, VARIANCE, held[3])
        store(memory.slopes, WAITING, held[4])
        store(memory.slopes, HOLDING, held[5])
        for lane in range(LANES):
            _read(memory, memory.levels[steps % slots], values, block, lane)
        if bars.shape[1] > 0:
            pull_back(problem, mesh, memory.levels, memory.fronts, memory.bar, memory.slopes, memory.work)
            for number in range(len(PROBLEM)):
                store(bars, number * blocks + block, load(memory.slopes, number))


@scalar
def _read(memory, premium, values, block, lane):  # type: ignore[no-untyped-def]
    """Completes the European put's value and slopes in a lane; the premium's derivatives in its nodes into bar[0]."""
    front, distance = memory.fronts[memory.fronts.shape[0] - 1, lane], memory.problem[DISTANCE, lane]
    value, slope = read_at(distance, lane, memory.nodal[0], premium, memory.bar[0], memory.nodal[1])
    if distance <= front:
        values[block, lane] = -math.expm1(distance)
        for number in range(len(PROBLEM)):
            memory.slopes[number, lane] = 0.0
        memory.slopes[DISTANCE, lane] = -math.exp(distance)
    elif distance < memory.problem[FAR, lane]:
        values[block, lane] += value
        memory.slopes[DISTANCE, lane] += slope
    if distance <= front or distance >= memory.problem[FAR, lane]:
        for row in range(premium.shape[0]):
            memory.bar[0, row, lane] = 0.0
