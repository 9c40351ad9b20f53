"""Which implementation of an op serves a call: one that was named, or the fastest that can."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import torch

from pybackdoor.errors import UnsupportedError
from pybackdoor.registry import Registry

_log = logging.getLogger(__name__)


def choose(operation: str, entries: Registry, order: Sequence[str], name: str, device: torch.device, **call: Any) -> Any:
    """The backend `name`, or with "auto" the first of `order` (fastest first) that can serve the call.

    An entry of `entries` is an object with `unsupported(device, **call) -> str | None`: why it cannot, or None. A backend that was named never
    falls back: UnsupportedError gives the reason and those that could run. "auto" logs, once a choice, which backend serves and why not the others.
    """
    if name != "auto":
        entry = entries[name]
        reason = entry.unsupported(device, **call)
        if reason is not None:
            able = [other for other in order if entries[other].unsupported(device, **call) is None]
            raise UnsupportedError(f"{operation}: backend {name!r} cannot serve this call: {reason}; these can: {', '.join(able) or 'none'}")
        return entry
    reasons: list[str] = []
    for candidate in order:
        entry = entries[candidate]
        reason = entry.unsupported(device, **call)
        if reason is None:
            _report(operation, candidate, "; ".join(reasons))
            return entry
        reasons.append(f"{candidate}: {reason}")
    raise UnsupportedError(f"{operation}: no backend can serve this call: {'; '.join(reasons)}")


def availability(entries: Registry, device: torch.device, **call: Any) -> dict[str, str | None]:
    """Each backend's reason for not serving such a call, None where it can."""
    return {name: entries[name].unsupported(device, **call) for name in entries}


@functools.cache
def _report(operation: str, name: str, reasons: str) -> None:
    _log.info("%s is served by backend %s%s", operation, name, f" ({reasons})" if reasons else "")
