"""What a user names as "package.module:attribute" or "path/to/file.py:attribute"."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pybackdoor.errors import InputError
from pybackdoor.files import one_line

_PREFIX = "pybackdoor_user_"  # of the modules that files become


def attribute_at(location: str, kind: str) -> Any:
    """The attribute at `location`; importing its module runs that module. kind: the word for it in messages ("oracle").

    Raises InputError when the file, module or attribute does not exist, or the import raises.
    """
    place, _, attribute = location.rpartition(":")
    if not place or not attribute:
        raise InputError(f"{kind} {location!r}: 'package.module:attribute' or 'path/to/file.py:attribute' is needed")
    if place.endswith(".py") and not Path(place).is_file():
        raise InputError(f"{kind} {location!r}: the file {place} does not exist; give the path of a Python file")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # whatever the user's module raises is reported as theirs
        raised = f"{type(error).__name__}: {one_line(error)}"
        if isinstance(error, ModuleNotFoundError) and not place.endswith(".py"):
            raise InputError(f"{kind} {location!r}: {raised}; install the package, or give the path of a Python file") from error
        raise InputError(f"{kind} {location!r}: importing {place} raised {raised}; correct it") from error
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise InputError(f"{kind} {location!r}: {place} has no {attribute!r}; it defines {', '.join(public[:8]) or 'no callable'}")
    return getattr(module, attribute)


def loaded_files() -> dict[str, str]:
    """The files that names led to in this process, by the module each became: what `load_files` needs in another one."""
    return {name: str(module.__file__) for name, module in sys.modules.copy().items() if name.startswith(_PREFIX)}


def load_files(files: dict[str, str]) -> None:
    """Loads the files of another process, so that what is defined there can be unpickled here."""
    for name, path in files.items():
        if name not in sys.modules:
            _module_of_file(Path(path))


def _module_of_file(path: Path) -> ModuleType:
    path = path.resolve()
    name = f"{_PREFIX}{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None  # any name that ends in .py has a loader
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up by name
    try:
        specification.loader.exec_module(module)
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module
