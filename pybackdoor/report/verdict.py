"""`verdict.json`, schema 1: written whole, read with suspicion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pybackdoor.errors import FileRefusedError
from pybackdoor.files import read_json, write_json
from pybackdoor.records import AuditReport, AuditStatus, Certificate, LabelTolerance, Region, RegionKind
from pybackdoor.records.audit import SCHEMA


def write_verdict(path: str | Path, report: AuditReport) -> None:
    """Writes `report` as `verdict.json`, whole or not at all."""
    write_json(path, report.to_dict())


def read_verdict(path: str | Path) -> AuditReport:
    """The report that `write_verdict` wrote. Raises FileRefusedError when the file is missing, malformed, or of another schema."""
    content = read_json(path, kind="verdict (JSON)")
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise FileRefusedError(f"{path}: is not a verdict with schema {SCHEMA}; the verdict.json that `pybackdoor audit` wrote is needed")
    try:
        return AuditReport(
            status=AuditStatus(content["status"]),
            reason=_text(content["reason"]),
            poisoned=_truth(content["poisoned"]),
            suspicious_rows=_rows(content["suspicious_rows"]),
            outside_rows=_rows(content["outside_rows"]),
            regions=tuple(_region(region) for region in content["regions"]),
            label_tolerance=_tolerance(content["label_tolerance"]),
            certificate=_certificate(content["certificate"]),
            oracle_calls=_number(content["oracle_calls"]),
            oracle_calls_to_first_confirmation=_optional(content["oracle_calls_to_first_confirmation"]),
            oracle_failures=_row(content["oracle_failures"]),
            rule=_object(content["rule"]),
            maximizers=_object(content["maximizers"]),
            seconds=_number(content["seconds"]),
            config=_object(content["config"]),
            versions=_texts(content["versions"]),
            inputs=_texts(content["inputs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FileRefusedError(f"{path}: is not a whole verdict ({reason}); audit again") from error


def _region(content: dict[str, Any]) -> Region:
    return Region(
        RegionKind(content["kind"]),
        {_text(name): _number(value) for name, value in _object(content["center"]).items()},
        _number(content["radius"]),
        _optional(content["peak_error"]),
        _optional(content["model"]),
        _optional(content["oracle"]),
        _row(content["rows_near"]),
        _rows(content["checked_rows"]),
        _rows(content["confirmed_rows"]),
        _object(content["evidence"]),
    )


def _tolerance(content: dict[str, Any] | None) -> LabelTolerance | None:
    return None if content is None else LabelTolerance(_number(content["value"]), _text(content["how"]))


def _certificate(content: dict[str, Any] | None) -> Certificate | None:
    return (
        None
        if content is None
        else Certificate(
            _number(content["confidence"]), _optional(content["max_bad_label_fraction"]), _row(content["random_calls"]), _row(content["bad_found"])
        )
    )


def _rows(content: Any) -> tuple[int, ...]:
    if not isinstance(content, list):
        raise TypeError(f"{content!r:.40} is not a list of row numbers")
    return tuple(_row(row) for row in content)


def _row(content: Any) -> int:
    if type(content) is not int or content < 0:
        raise TypeError(f"{content!r:.40} is not a whole number >= 0")
    return content


def _number(content: Any) -> float:
    if type(content) not in (int, float) or not math.isfinite(content):
        raise TypeError(f"{content!r:.40} is not a finite number")
    return float(content)


def _optional(content: Any) -> float | None:
    return None if content is None else _number(content)


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise TypeError(f"{content!r:.40} is not a text")
    return content


def _truth(content: Any) -> bool:
    if not isinstance(content, bool):
        raise TypeError(f"{content!r:.40} is not true or false")
    return content


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"{content!r:.40} is not an object")
    return content


def _texts(content: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in _object(content).items()}
