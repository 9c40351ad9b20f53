"""The order in which "auto" tries an op's backends on a GPU: from measurements kept beside the op, or, where there are none, as stated.

`pybackdoor/ops/<op>/timings.json` is written by `python -m benchmarks.device --write-timings` on a machine with the device:

    {"schema": 1, "op": "ascent", "measured": [{"device": "NVIDIA H200", "capability": [9, 0], "date": "2026-01-31", "commit": "...",
      "versions": {"torch": "...", "triton": "..."}, "rows": [{"width": 64, "hidden": 3, "seeds": 1024, "seconds": {"cuda": 1e-4, "triton": 2e-4}}]}]}

An empty "measured" says that nothing has been measured.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pybackdoor.errors import InputError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """One problem size on one kind of device: seconds a backend."""

    device: str
    capability: tuple[int, int]
    size: Mapping[str, float]
    seconds: Mapping[str, float]


def preferred(op: str, stated: Sequence[str], device: torch.device, **size: float) -> tuple[str, ...]:
    """The backends of `stated`, the fastest first as measured at the nearest size on this kind of device; those not measured keep their order, last.

    Nearest in the logarithms of `size` (width, hidden, seeds). A device's own name counts, else its compute capability. The stated order holds on the
    CPU, for an op without a table, and on a device of which nothing has been measured.
    """
    if device.type != "cuda":
        return tuple(stated)
    rows = measured(op)
    properties = torch.cuda.get_device_properties(device)
    named = [row for row in rows if row.device == properties.name]
    alike = named or [row for row in rows if row.capability == (properties.major, properties.minor)]
    return order(stated, alike, size)


def order(stated: Sequence[str], rows: Sequence[Measured], size: Mapping[str, float]) -> tuple[str, ...]:
    """`stated` sorted by the seconds of the row nearest to `size`; the same where there is none."""
    if not rows:
        return tuple(stated)
    nearest = min(rows, key=lambda row: _distance(row.size, size))
    return tuple(sorted(stated, key=lambda name: nearest.seconds.get(name, math.inf)))  # a stable sort: ties keep the stated order


def _distance(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    return sum(abs(math.log(max(left[name], 1) / max(right[name], 1))) for name in left.keys() & right.keys())


@functools.cache
def measured(op: str) -> tuple[Measured, ...]:
    """What has been measured of an op on any device; empty where nothing has."""
    path = FOLDER / op / "timings.json"
    return parsed(json.loads(path.read_text(encoding="utf-8")), op) if path.exists() else ()


def parsed(content: Any, op: str) -> tuple[Measured, ...]:
    """The rows of a table's content; InputError where it is not one of this schema."""
    if not isinstance(content, dict) or content.get("schema") != 1 or content.get("op") != op:
        raise InputError(f"timings of {op}: the table is not of schema 1 and this op; write it anew with benchmarks.device --write-timings")
    found = []
    for run in content["measured"]:
        for row in run["rows"]:
            size = {name: float(value) for name, value in row.items() if name != "seconds"}
            found.append(Measured(run["device"], tuple(run["capability"]), size, dict(row["seconds"])))
    return tuple(found)
