"""Accuracy levels of numerical oracles: "fast", "standard" and "high"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pybackdoor.errors import InputError

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
