"""Marks what the program is doing for a profiler: ranges `pybackdoor.<stage>` on the timeline of Nsight Systems and of torch's profiler.

Off unless PYBACKDOOR_RANGES=1 or within `settings.use_ranges()`; a call of a marked function then costs one look at a variable more than before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from pybackdoor.settings import ranges

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """The block is the stage `name`: one range "pybackdoor.<name>", an NVTX range where torch has CUDA, and an event of torch's profiler.

    >>> from pybackdoor.stages import stage
    >>> with stage("audit.screen"):
    ...     pass
    """
    if not ranges():
        yield
        return
    import torch

    label = f"pybackdoor.{name}"
    device = torch.cuda.is_available()
    if device:
        torch.cuda.nvtx.range_push(label)
    try:
        with torch.profiler.record_function(label):
            yield
    finally:
        if device:
            torch.cuda.nvtx.range_pop()


def staged(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes every call of a function the stage `name`."""

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def marked(*arguments: P.args, **named: P.kwargs) -> T:
            if not ranges():
                return function(*arguments, **named)
            with stage(name):
                return function(*arguments, **named)

        return marked

    return mark
