"""Numba's dispatchers with less to compile: no entry from Python for formulas, no garbage collection, and no kernel in two processes at a time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

WAIT = 120.0  # seconds for another process's kernel; after that it is compiled here as well
_NO_ENTRY = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_log = logging.getLogger(__name__)


class Formula(CPUDispatcher):
    """A function that kernels call. What Python would enter it by, a third of the compilation of a short one, is compiled if Python ever calls it."""

    def __init__(self, py_func: Callable[..., Any], locals: Any = None, targetoptions: dict[str, Any] | None = None, **more: Any) -> None:
        super().__init__(py_func, locals, {**(targetoptions or {}), **_NO_ENTRY}, **more)

    def _insert(self, *entry: Any) -> None:
        """Called with a new overload's entry from Python, of which there is none."""

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        """Called by a call from Python, which then calls what this returns."""
        return self._for_python

    @cached_property
    def _for_python(self) -> Any:
        return CPUDispatcher(self.py_func, targetoptions={name: value for name, value in self.targetoptions.items() if name not in _NO_ENTRY})


class Kernel(CPUDispatcher):
    """A function that Python calls, kept on disk where `enable_caching` has been called."""

    def enable_caching(self) -> None:
        """Numba's, by a cache that processes share."""
        self._cache = _SharedCache(self.py_func)

    def compile(self, sig: Any) -> Any:
        """Numba's, with Python's garbage collector resting: it finds nothing in the millions of objects that are alive."""
        with global_compiler_lock, ExitStack() as ends:
            if gc.isenabled():
                gc.disable()
                ends.callback(gc.enable)
            if isinstance(self._cache, _SharedCache):
                ends.callback(self._cache.others_may_compile)
            return super().compile(sig)


class _SharedCache(FunctionCache):
    """Numba's, and what it has not, one process at a time compiles: the others wait for the file. Used under the compiler lock."""

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        self._held = ExitStack()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is not None:
            return found
        self._held.enter_context(_alone(Path(self.cache_path) / f"{self._impl.filename_base}.lock"))
        return super().load_overload(sig, target_context)

    def others_may_compile(self) -> None:
        """Until the next call of `load_overload`."""
        self._held.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the file's lock, which ends with the process that holds it, or goes on without after WAIT seconds or where locks do not work."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=WAIT)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError) as error:
        _log.info("compiling without waiting for other processes: %s", error)
    try:
        yield
    finally:
        lock.release()
