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
_instruction_set: str | None = None  # of the innermost use_instruction_set, which holds for all threads


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
    """The instruction set of the innermost `use_instruction_set`, else PYBACKDOOR_ISA as first found, else None: the widest there is."""
    return _instruction_set or _instruction_set_of_environment()


@contextmanager
def use_instruction_set(name: str) -> Iterator[None]:
    """Within the block native kernels use this instruction set, in all threads of the process: one of INSTRUCTION_SETS that the processor has."""
    global _instruction_set
    outer, _instruction_set = _instruction_set, _checked_instruction_set(name, "use_instruction_set")
    try:
        yield
    finally:
        _instruction_set = outer


@functools.cache  # asked for at every call of an op
def _instruction_set_of_environment() -> str | None:
    name = os.environ.get("PYBACKDOOR_ISA")
    return None if name is None else _checked_instruction_set(name, "PYBACKDOOR_ISA")


def _checked_instruction_set(name: str, source: str) -> str:
    if name not in INSTRUCTION_SETS:
        raise InputError(f"{source}={name!r} is not one of {', '.join(INSTRUCTION_SETS)}; leave it out to use the widest available")
    return name


def _checked_threads(value: int | str, source: str) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= 1024:
        raise InputError(f"{source}: {value!r} is not a thread count; give a whole number from 1 to 1024")
    return count
