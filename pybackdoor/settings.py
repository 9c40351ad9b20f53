"""The one place for process-wide choices: threads, the instruction set of the native kernels, and whether stages are marked for a profiler."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pybackdoor.errors import InputError

INSTRUCTION_SETS = ("avx512", "avx2", "portable")

_threads: ContextVar[int | None] = ContextVar("pybackdoor_threads", default=None)
_ranges: ContextVar[bool | None] = ContextVar("pybackdoor_ranges", default=None)


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


def ranges() -> bool:
    """Whether stages are marked for a profiler: the innermost `use_ranges`, else PYBACKDOOR_RANGES as it was when first asked for; off without."""
    chosen = _ranges.get()
    return _ranges_of_environment() if chosen is None else chosen


@contextmanager
def use_ranges(on: bool = True) -> Iterator[None]:
    """Within the block, stages are marked (see `pybackdoor.stages`), or not."""
    token = _ranges.set(bool(on))
    try:
        yield
    finally:
        _ranges.reset(token)


@functools.cache  # asked for at every call of an op
def _ranges_of_environment() -> bool:
    text = os.environ.get("PYBACKDOOR_RANGES", "0")
    if text not in ("", "0", "1"):
        raise InputError(f"PYBACKDOOR_RANGES={text!r}: 0 or 1 is needed")
    return text == "1"


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
