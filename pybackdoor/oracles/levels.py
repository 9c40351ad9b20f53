"""Accuracy levels of numerical oracles: "fast", "standard" and "high"."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

from pybackdoor.errors import InputError
from pybackdoor.oracles.oracle import Oracle

LEVELS = ("fast", "standard", "high")


def check_level(name: str, level: Any, levels: Mapping[str, Any]) -> str:
    """`level` if it is a key of `levels`; InputError naming the oracle and the choices otherwise."""
    if not isinstance(level, str) or level not in levels:
        raise InputError(f"oracle {name}: level is {level!r}; one of {', '.join(levels)} is needed")
    return level


def lower_level(level: str) -> str | None:
    """The level below; None at the lowest.

    >>> lower_level("standard")
    'fast'
    """
    place = LEVELS.index(level)
    return LEVELS[place - 1] if place else None


def neighbour_level(level: str) -> str:
    """The level below, and at the lowest the one above: what an error is estimated against."""
    return lower_level(level) or LEVELS[1]


class Levelled(Oracle):
    """Subclasses set `accuracies`, what to say of each level; what else a level fixes they set in `_use`.

    level: "fast", "standard" or "high". Raises InputError on another.
    """

    accuracies: Mapping[str, str]

    def __init__(self, level: str = "standard") -> None:
        self._use(check_level(self.name, level, self.accuracies))

    def _use(self, level: str) -> None:
        self.level, self.accuracy = level, self.accuracies[level]

    def coarser(self) -> Self | None:
        """The level below; None at the lowest."""
        below = lower_level(self.level)
        return None if below is None else self._at(below)

    def _compared(self) -> Self:
        return self._at(neighbour_level(self.level))

    def _at(self, level: str) -> Self:
        """The same oracle at another level."""
        other = copy(self)
        other._use(level)
        return other
