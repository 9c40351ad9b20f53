"""Named, lazily imported entries: oracles, attacks, backends."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from typing import Any

from pybackdoor.errors import InputError, UnknownNameError


class Registry:
    """A read-mostly table from a name to `module:attribute`, imported when first asked for.

    `kind` is the word used in messages ("oracle"). Entries are added once; adding a name again is an error.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._locations: dict[str, str] = {}
        self._found: dict[str, Any] = {}
        for name, location in entries.items():
            self.add(name, location)

    def add(self, name: str, location: str) -> None:
        """Adds `name`, found at `location` = "package.module:attribute"."""
        module, separator, attribute = location.partition(":")
        if not (module and separator and attribute):
            raise InputError(f"{self.kind} {name!r}: location {location!r} is not of the form 'package.module:attribute'")
        if name in self._locations:
            raise InputError(f"{self.kind} {name!r} is registered already, as {self._locations[name]}")
        self._locations[name] = location

    def __getitem__(self, name: str) -> Any:
        found = self._found.get(name)
        if found is not None:
            return found
        if name not in self._locations:
            nearest = difflib.get_close_matches(name, self._locations, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(nearest)}?" if nearest else f"known: {', '.join(self)}"
            raise UnknownNameError(f"unknown {self.kind} {name!r}; {hint}")
        module, _, attribute = self._locations[name].partition(":")
        self._found[name] = getattr(importlib.import_module(module), attribute)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._locations

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._locations))

    def __len__(self) -> int:
        return len(self._locations)
