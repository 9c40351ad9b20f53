"""What an oracle's answers depend on besides the point: its settings and its code, for a cache that outlives the process."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pybackdoor import __version__
from pybackdoor.errors import InputError
from pybackdoor.oracles.callable import CallableOracle
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.sources import sources_hash
from pybackdoor.oracles.wrappers import CountedOracle
from pybackdoor.workers import ByRow


def identity(oracle: Oracle, version: str | None = None) -> dict[str, Any]:
    """Name, class, domain, settings (level, paths, seed ...) and code of an oracle, ready for JSON.

    version: the user's word for the state of the code, instead of a hash of it. Without one: this package's sources for oracles of its own, and the
    whole file for a function or class of the user's, but not what that file imports. Raises InputError where a version is needed: for functions
    with captured variables and callable objects, whose state is not in any file.
    """
    while isinstance(oracle, CountedOracle):
        oracle = oracle.inner
    content = {
        "package": __version__,
        "name": oracle.name,
        "class": f"{type(oracle).__module__}.{type(oracle).__qualname__}",
        "domain": oracle.domain.to_dict(),
        "settings": {key: value for key, value in sorted(_settings(oracle)) if _plain(value)},
    }
    if isinstance(oracle, CallableOracle):
        content["step"] = oracle.difference_steps
    content["code"] = f"version {version}" if version is not None else _code(oracle)
    return content


def _settings(oracle: Oracle) -> Iterator[tuple[str, Any]]:
    """The attributes, those that are records (a grid) field by field."""
    for key, value in vars(oracle).items():
        if is_dataclass(value) and not key.startswith("_"):
            yield from ((f"{key}.{field.name}", getattr(value, field.name)) for field in fields(value))
        else:
            yield key, value


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str) or (isinstance(value, tuple) and all(map(_plain, value)))


def _code(oracle: Oracle) -> list[str]:
    classes = [kind for kind in type(oracle).__mro__ if kind not in (object, ABC)]
    own = [sources_hash()] if any(kind.__module__.startswith("pybackdoor.") for kind in classes) else []
    files = {_file_hash(_file_of(kind, oracle)) for kind in classes if not kind.__module__.startswith("pybackdoor.")}
    functions = [_function(function, oracle) for function in oracle.functions] if isinstance(oracle, CallableOracle) else []
    return [*own, *sorted(files), *functions]


def _function(function: Any, oracle: Oracle) -> str:
    if isinstance(function, ByRow):
        function = function.function
    if not inspect.isfunction(function) or function.__closure__ is not None:
        raise InputError(
            f"oracle {oracle.name}: {function!r} is no plain function, and its state cannot be told from a file; give version='...' and change it "
            "whenever the answers change"
        )
    return f"{function.__qualname__} {_file_hash(_file_of(function, oracle))}"


def _file_of(what: Any, oracle: Oracle) -> Path:
    try:
        path = Path(inspect.getfile(what))
    except (TypeError, OSError):
        path = Path("")
    if not path.is_file():
        raise InputError(f"oracle {oracle.name}: {what!r} was not defined in a file; give version='...' and change it whenever the answers change")
    return path


@lru_cache(maxsize=64)
def _file_hash(path: Path) -> str:
    """Once a process: it is what was imported, as far as we know, and not what the file becomes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
