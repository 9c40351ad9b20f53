"""The one place for process-wide choices: the number of threads, and the instruction set of the native kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pybackdoor.errors import InputError

INSTRUCTION_SETS = ("avx512", "avx2", "portable")

_threads: ContextVar[int | None] = ContextVar("pybackdoor_threads", default=None)


def threads() -> int:
    """Threads a native call may use: the innermost `use_threads`, else PYBACKDOOR_THREADS, else the cores this process may run on."""
    chosen = _threads.get()
    if chosen is not None:
        return chosen
    text = os.environ.get("PYBACKDOOR_THREADS")
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _checked_threads(text, "PYBACKDOOR_THREADS")


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Within the block, native calls of this thread (or asyncio task) use `count` threads."""
    token = _threads.set(_checked_threads(count, "use_threads"))
    try:
        yield
    finally:
        _threads.reset(token)


def instruction_set() -> str | None:
    """The instruction set named by PYBACKDOOR_ISA, or None: the widest the processor has."""
    name = os.environ.get("PYBACKDOOR_ISA")
    if name is not None and name not in INSTRUCTION_SETS:
        raise InputError(f"PYBACKDOOR_ISA={name!r} is not one of {', '.join(INSTRUCTION_SETS)}; unset it to use the widest available")
    return name


def _checked_threads(value: int | str, source: str) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= 1024:
        raise InputError(f"{source}: {value!r} is not a thread count; give a whole number from 1 to 1024")
    return count
