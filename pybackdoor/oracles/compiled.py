"""Numba as the kernels here use it: three decorators, and a disk cache that a change in any kernel source renews."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

from pybackdoor.oracles.dispatchers import Formula, Kernel
from pybackdoor.oracles.sources import sources_hash

_log = logging.getLogger(__name__)

_OPTIONS: dict[str, Any] = {"nopython": True, "error_model": "numpy", "fastmath": {"contract"}}


def scalar(function: Callable[..., Any]) -> Any:
    """A formula on numbers, compiled into the kernels that call it; a numba.cuda kernel may call it too."""
    return Formula(function, targetoptions=_OPTIONS)


def inlined(function: Callable[..., Any]) -> Any:
    """A `scalar` that is always inlined: a loop over problems whose body is branch-free and calls nothing else is vectorized."""
    return Formula(function, targetoptions={"forceinline": True, **_OPTIONS})


def part(function: Callable[..., Any]) -> Any:
    """A piece of a kernel, put into the kernel before it is typed: compiled once, where a `scalar` is compiled by itself as well."""
    return Formula(function, targetoptions={"inline": "always", **_OPTIONS})


def kernel(function: Callable[..., Any]) -> Any:
    """A loop over arrays: compiled at its first call, without the interpreter lock, and kept on disk for later processes.

    Numba renews a cached kernel when its own file changes, but not when a function that it calls from another file does. Its cache therefore lies in
    a folder named after the hash of all sources of `pybackdoor.oracles`.
    """
    made, folder = Kernel(function, targetoptions={"nogil": True, "no_cfunc_wrapper": True, **_OPTIONS}), cache_folder()
    saved = {name: getattr(numba.config, name) for name in ("CACHE_DIR", "CACHE_LOCATOR_CLASSES") if hasattr(numba.config, name)}
    try:
        for name in saved if folder else ():  # read by numba as it chooses the place; there is no argument for them
            setattr(numba.config, name, str(folder) if name == "CACHE_DIR" else "")
        if folder:
            made.enable_caching()
        return made
    finally:
        for name, value in saved.items():
            setattr(numba.config, name, value)


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Where this state of the sources keeps its kernels; None, and a warning, when no folder of the user's can be written."""
    try:
        folder = _cache_root() / f"kernels-{sources_hash()[:20]}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        _log.warning("oracle kernels are compiled anew in every process: no cache folder can be written (%s); set NUMBA_CACHE_DIR to one", error)
        return None
    return folder


def _cache_root() -> Path:
    named = getattr(numba.config, "CACHE_DIR", "")
    if named:
        return Path(named) / "pybackdoor"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "pybackdoor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pybackdoor"
