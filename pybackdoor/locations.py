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


def attribute_at(location: str, kind: str) -> Any:
    """The attribute at `location`; importing its module runs that module. kind: the word for it in messages ("oracle").

    Raises InputError when the file, module or attribute does not exist, or the import raises.
    """
    place, _, attribute = location.rpartition(":")
    if not place or not attribute:
        raise InputError(f"{kind} {location!r}: 'package.module:attribute' or 'path/to/file.py:attribute' is needed")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except FileNotFoundError as error:
        raise InputError(f"{kind} {location!r}: {place}, or a file it needs, does not exist ({one_line(error)}); correct the path") from error
    except ModuleNotFoundError as error:
        raise InputError(f"{kind} {location!r}: {one_line(error)}; install the package, or give the path of a Python file") from error
    except Exception as error:  # whatever the user's module raises is reported as theirs
        raise InputError(f"{kind} {location!r}: importing {place} raised {type(error).__name__} ({one_line(error)}); correct it") from error
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise InputError(f"{kind} {location!r}: {place} has no {attribute!r}; it defines {', '.join(public[:8]) or 'no callable'}")
    return getattr(module, attribute)


def _module_of_file(path: Path) -> ModuleType:
    name = f"pybackdoor_user_{path.stem}"
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
