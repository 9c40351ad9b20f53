"""Numba's CUDA simulator without its threads: it starts one of Python for every thread of a grid and polls them, a millisecond each.

Here the threads of a block are greenlets that take turns at its barriers; kernels, memory and index arithmetic stay numba's.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from greenlet import greenlet


def run(manager: Any, grid_point: tuple[int, ...], *arguments: Any) -> None:
    """In place of `BlockManager.run`: runs one block."""
    from numba.cuda.simulator.kernelapi import Dim3

    here: Any = threading.current_thread()  # where the simulator's `cuda` looks for indices and the barrier
    hub = greenlet.getcurrent()
    here.blockIdx, here.syncthreads = Dim3(*grid_point), lambda: hub.switch()
    waiting = [(Dim3(*place), greenlet(manager._f)) for place in np.ndindex(*manager._block_dim)]
    inputs = arguments
    while waiting:
        for place, thread in waiting:
            here.threadIdx = place
            thread.switch(*inputs)
        waiting, inputs = [(place, thread) for place, thread in waiting if not thread.dead], ()


@pytest.fixture
def quick_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels run as above, where the simulator is on."""
    numba = pytest.importorskip("numba")
    if numba.config.ENABLE_CUDASIM:
        from numba.cuda.simulator import kernel

        monkeypatch.setattr(kernel.BlockManager, "run", run)
