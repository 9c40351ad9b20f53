"""pybackdoor finds, plants and removes localized backdoors in deep regression surrogates, and trains surrogates actively.

Names are imported when first used, so that `import pybackdoor` stays light. `pybackdoor info` tells what is available here.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LOCATIONS = {
    "Domain": "pybackdoor.domain",
    "Network": "pybackdoor.records",
    "Samples": "pybackdoor.records",
    "oracle": "pybackdoor.oracles",
    "sample": "pybackdoor.data",
    "poison": "pybackdoor.attack",
    "fit": "pybackdoor.models",
    "audit": "pybackdoor.loops",
    "repair": "pybackdoor.defense",
    "learn": "pybackdoor.loops",
}

__all__ = ["__version__", *_LOCATIONS]


def __getattr__(name: str) -> Any:
    if name not in _LOCATIONS:
        raise AttributeError(f"module 'pybackdoor' has no attribute {name!r}")
    return getattr(importlib.import_module(_LOCATIONS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
