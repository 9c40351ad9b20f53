"""The core's own arithmetic peak, measured beside what is benchmarked: shares of it compare across machines, and across a crowded one's moods."""

from __future__ import annotations

import time

from pybackdoor import _native
from pybackdoor.settings import instruction_set

WINDOW = 2e-4  # seconds; short enough to fall between interruptions


def peak(seconds: float = 0.2, *, precision: str = "float32") -> float:
    """Floating-point operations a second of one core in fused multiply-adds held in registers: the best of many short windows."""
    single, name = precision == "float32", instruction_set() or ""
    begin = time.perf_counter()
    operations = _native.peak_operations(20_000, single, name)
    rounds = max(int(20_000 * WINDOW / (time.perf_counter() - begin)), 100)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        operations = _native.peak_operations(rounds, single, name)
        best = max(best, operations / (time.perf_counter() - begin))
    return best
