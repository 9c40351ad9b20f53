from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pybackdoor.errors import FileRefusedError
from pybackdoor.records import AuditReport, AuditStatus, Certificate, LabelTolerance, Region, RegionKind
from pybackdoor.report.markdown import audit_markdown
from pybackdoor.report.verdict import read_verdict, write_verdict

REPORT = AuditReport(
    status=AuditStatus.COMPLETE,
    reason="385 of 500 value calls spent",
    poisoned=True,
    suspicious_rows=(3, 8, 18),
    outside_rows=(4,),
    regions=(
        Region(RegionKind.POISONED, {"strike": 120.0, "rate": 0.05}, 0.1, 19.5, 34.0, 14.5, 190, (3, 8, 9), (3, 8), {"inferred_rows": [18]}),
        Region(RegionKind.COVERAGE_GAP, {"strike": 60.0, "rate": 0.01}, 0.3, None, None, None, 2),
    ),
    label_tolerance=LabelTolerance(0.03, "estimated"),
    certificate=Certificate(0.95, 0.031, 100, 0),
    oracle_calls=385.0,
    oracle_calls_to_first_confirmation=18.0,
    oracle_failures=2,
    rule={"base_rate": 0.05, "outside_rows": {"count": 1}},
    maximizers={"error": [1.0]},
    seconds=2.5,
    config={"budget": 500},
    versions={"pybackdoor": "0.1.0"},
    inputs={"data": "sha256:00"},
)


def test_a_verdict_survives_the_file(tmp_path):
    write_verdict(tmp_path / "verdict.json", REPORT)
    assert read_verdict(tmp_path / "verdict.json") == REPORT


def test_the_schema_is_the_documented_one(tmp_path):
    write_verdict(tmp_path / "verdict.json", REPORT)
    content = json.loads((tmp_path / "verdict.json").read_text())
    assert content["schema"] == 1
    assert {
        "status",
        "reason",
        "poisoned",
        "suspicious_rows",
        "regions",
        "label_tolerance",
        "certificate",
        "oracle_calls",
        "oracle_calls_to_first_confirmation",
        "seconds",
        "config",
        "versions",
        "inputs",
    } <= content.keys()
    region = {"kind", "center", "radius", "peak_error", "model", "oracle", "rows_near", "checked_rows", "confirmed_rows"}
    assert region <= content["regions"][0].keys()
    assert content["certificate"].keys() == {"confidence", "max_bad_label_fraction", "random_calls", "bad_found"}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"status": "fine"},
        {"poisoned": 1},
        {"suspicious_rows": [-1]},
        {"suspicious_rows": [True]},
        {"suspicious_rows": "all"},
        {"regions": [{}]},
        {"regions": 3},
        {"oracle_calls": "many"},
        {"certificate": {"confidence": 0.95}},
        {"inputs": {"data": 3}},
        {"rule": None},
        {"reason": None},
    ],
)
def test_a_malformed_verdict_is_refused(tmp_path, change):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(REPORT.to_dict() | change))
    with pytest.raises(FileRefusedError, match=r"verdict\.json"):
        read_verdict(path)


@pytest.mark.parametrize("key", sorted(REPORT.to_dict().keys()))
def test_an_incomplete_verdict_is_refused(tmp_path, key):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({name: value for name, value in REPORT.to_dict().items() if name != key}))
    with pytest.raises(FileRefusedError, match=r"verdict\.json"):
        read_verdict(path)


def test_the_report_says_what_was_found_and_what_was_not_proven():
    text = audit_markdown(REPORT, "pybackdoor audit --data rows.csv", [("region.png", "The worst region")])
    for part in (
        "**Poison confirmed.** 3 rows",
        "| poisoned | 120 | 0.05 | 0.1 | 34 | 14.5 | 19.5 | 190 | 3 | 2 |",
        "3 (3, 8, 18)",
        "with confidence 95% at most 3.100% of all rows",
        "1 rows lie outside the domain",
        "At 2 points the oracle gave no usable value",
        "`sha256:00`",
        "pybackdoor audit --data rows.csv",
        "![The worst region](region.png)",
        "- outside rows: count: 1",
    ):
        assert part in text


@pytest.mark.parametrize("status", [AuditStatus.INCONCLUSIVE, AuditStatus.INTERRUPTED])
def test_no_verdict_is_never_called_clean(status):
    report = replace(REPORT, status=status, poisoned=False, suspicious_rows=(), regions=(), certificate=None, label_tolerance=None)
    text = audit_markdown(report, "pybackdoor audit")
    assert f"**No verdict: {status}.** This is not a finding that the data are clean." in text
    assert "Nothing is certified" in text
    assert "No poison confirmed" not in text
