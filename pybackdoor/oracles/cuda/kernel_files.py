"""Compiled kernels on disk, for later processes: in the folder of this state of the sources, beside the CPU's (compiled.py), a file a kernel.

Numba-cuda's own cache knows a kernel that is made by a function by the pickle of what that closed over, which differs from process to process where
that is another compiled function. Here a kernel is known by its name and by the names of those functions; what they say is in the folder's name.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import pickle
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numba

from pybackdoor.errors import FileRefusedError
from pybackdoor.files import replacing
from pybackdoor.oracles.compiled import cache_folder

_log = logging.getLogger(__name__)
_HASHED = "pybackdoor.oracles."  # the package that the folder's name is made of
_COMPILERS = ("numba", "numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvrtc")


class KernelFiles:
    """What numba-cuda's dispatcher of one kernel asks for compiled code before it compiles, and gives it to after."""

    def __init__(self, identity: Any, folder: Path) -> None:
        self.identity, self.folder = identity, folder
        self.cache_path = str(folder)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The kernel for these types and the current device's architecture, or None."""
        target.refresh()
        path = self._path(signature, target.codegen())
        try:
            states = pickle.loads(path.read_bytes())
            return _kernel_class()._rebuild(**states)
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged file fails in as many ways as there are bytes
            _log.warning("kernel file %s cannot be read (%r): compiled anew", path, error)
            return None

    def save_overload(self, signature: Any, kernel: Any) -> None:
        """Keeps a compiled kernel: whole or not at all, whoever else does."""
        path = self._path(signature, kernel.codegen)
        try:
            with replacing(path) as part:
                part.write_bytes(pickle.dumps(kernel._reduce_states()))
        except FileRefusedError as error:
            _log.warning("kernel file %s cannot be written (%s): the kernel will be compiled anew", path, error)

    def enable(self) -> None:
        """Always is."""

    def disable(self) -> None:
        """Nothing asks for it."""

    def flush(self) -> None:
        """Nothing is held back."""

    def _path(self, signature: Any, codegen: Any) -> Path:
        named = repr((self.identity, str(signature), codegen.magic_tuple(), *map(_version, _COMPILERS), sys.version_info[:2]))
        return self.folder / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.kernel"


def keep(dispatcher: Any) -> Any:
    """The dispatcher, its kernels kept on disk; as it was if there is no folder, or if not all that it is made of is in the folder's name."""
    folder = cache_folder()
    if folder is not None and (identity := identity_of(dispatcher.py_func)) is not None:
        dispatcher._cache = KernelFiles(identity, folder)
    return dispatcher


def identity_of(function: Callable[..., Any]) -> tuple[Any, ...] | None:
    """A function's module and name and what it closed over; None unless that is numbers, words and functions of this package alone."""
    cells = function.__closure__ or ()
    try:
        closed = tuple(_identity(cell.cell_contents) for cell in cells)
    except TypeError:
        return None
    return (function.__module__, function.__qualname__, *closed) if function.__module__.startswith(_HASHED) else None


def _identity(value: Any) -> Any:
    value = getattr(value, "py_func", value)
    if isinstance(value, tuple):
        return tuple(map(_identity, value))
    if value is None or isinstance(value, bool | int | float | str | numba.types.Type):
        return type(value).__name__, repr(value)
    if hasattr(value, "__closure__") and (found := identity_of(value)) is not None:
        return found
    raise TypeError(f"{value!r} says nothing about itself that stays")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _kernel_class() -> Any:
    return importlib.import_module("numba.cuda.dispatcher")._Kernel
