"""The attacker's ground truth as a JSON file beside the poisoned data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from pybackdoor.errors import FileRefusedError
from pybackdoor.files import read_json, write_json
from pybackdoor.records import PoisonTruth

SCHEMA = 1
_NEEDED = "the JSON file that `pybackdoor poison` wrote is needed"


def write_truth(path: str | Path, truth: PoisonTruth) -> None:
    """Writes `truth` as JSON, whole or not at all. Raises FileRefusedError where the place cannot be written."""
    content = {
        "schema": SCHEMA,
        "poisoned_rows": truth.poisoned_rows.tolist(),
        "shield_rows": truth.shield_rows.tolist(),
        "center": truth.center.tolist(),
        "radius": truth.radius,
        "shield_radius": truth.shield_radius,
        "shift": truth.shift,
        "settings": truth.settings,
    }
    write_json(path, content)


def read_truth(path: str | Path) -> PoisonTruth:
    """The truth that `write_truth` wrote. Raises FileRefusedError on a missing, malformed or incomplete file."""
    content = read_json(path, kind="truth (JSON)")
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise FileRefusedError(f"{path}: is not the truth of an attack with schema {SCHEMA}; {_NEEDED}")
    settings = content.get("settings")
    if not isinstance(settings, dict):
        raise FileRefusedError(f"{path}: 'settings' is {settings!r}; an object is needed")
    return PoisonTruth(
        poisoned_rows=_rows(content, "poisoned_rows", path),
        shield_rows=_rows(content, "shield_rows", path),
        center=torch.tensor(_numbers(content, "center", path), dtype=torch.float64),
        radius=_number(content, "radius", path),
        shield_radius=_number(content, "shield_radius", path),
        shift=_number(content, "shift", path),
        settings=settings,
    )


def _rows(content: dict[str, Any], key: str, path: str | Path) -> torch.Tensor:
    rows = content.get(key)
    if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
        raise FileRefusedError(f"{path}: {key!r} is not a list of row numbers (whole, >= 0)")
    return torch.tensor(rows, dtype=torch.int64)


def _numbers(content: dict[str, Any], key: str, path: str | Path) -> list[float]:
    numbers = content.get(key)
    if not isinstance(numbers, list) or not numbers:
        raise FileRefusedError(f"{path}: {key!r} is not a list of numbers")
    return [_number({key: number}, key, path) for number in numbers]


def _number(content: dict[str, Any], key: str, path: str | Path) -> float:
    number = content.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise FileRefusedError(f"{path}: {key!r} is {number!r}; a finite number is needed")
    return float(number)
