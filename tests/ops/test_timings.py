"""The order of backends on a GPU follows the measured table, and says so where nothing has been measured."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from benchmarks.device_timings import measured_rows, merged
from pybackdoor.errors import InputError
from pybackdoor.ops import timings
from pybackdoor.ops.ascent import ORDER
from pybackdoor.ops.timings import FOLDER, order, parsed, preferred

STATED = ("cuda", "cpu", "triton", "reference")
ROWS = [
    {"width": 64, "hidden": 3, "seeds": 1024, "seconds": {"cuda": 1e-4, "triton": 3e-4}},
    {"width": 256, "hidden": 3, "seeds": 1024, "seconds": {"cuda": 5e-3, "triton": 2e-3, "reference": 3e-3}},
]
RUN = {"device": "NVIDIA H200", "capability": [9, 0], "date": "2026-01-31", "commit": "0", "versions": {}, "rows": ROWS}


@pytest.mark.parametrize("op", sorted(path.parent.name for path in FOLDER.glob("*/timings.json")))
def test_the_tables_in_the_repository_can_be_read(op):
    content = json.loads((FOLDER / op / "timings.json").read_text(encoding="utf-8"))
    rows = parsed(content, op)
    assert bool(rows) == bool(content["measured"])
    if not rows:
        assert "Nothing has been measured" in content["note"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"width": 48, "hidden": 3, "seeds": 900}, ("cuda", "triton", "cpu", "reference")),
        ({"width": 300, "hidden": 2, "seeds": 5000}, ("triton", "reference", "cuda", "cpu")),
    ],
)
def test_the_nearest_size_decides(size, expected):
    rows = parsed({"schema": 1, "op": "ascent", "measured": [RUN]}, "ascent")
    assert order(STATED, rows, size) == expected


def test_the_stated_order_holds_without_a_measurement():
    assert order(STATED, (), {"width": 64}) == STATED
    assert preferred("ascent", ORDER, torch.device("cpu"), width=64, hidden=3, seeds=10) == ORDER


@pytest.mark.parametrize(
    ("name", "capability", "first"),
    [("NVIDIA H200", (9, 0), "triton"), ("NVIDIA H100", (9, 0), "triton"), ("NVIDIA A100", (8, 0), "cuda")],
)
def test_a_device_is_known_by_name_or_capability(monkeypatch, name, capability, first):
    rows = parsed({"schema": 1, "op": "ascent", "measured": [RUN]}, "ascent")
    monkeypatch.setattr(timings, "measured", lambda op: rows)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name=name, major=capability[0], minor=capability[1]))
    assert preferred("ascent", STATED, torch.device("cuda"), width=256, hidden=3, seeds=1024)[0] == first


def test_another_schema_is_refused():
    with pytest.raises(InputError, match="schema 1"):
        parsed({"schema": 2, "op": "ascent", "measured": []}, "ascent")
    with pytest.raises(InputError, match="this op"):
        parsed({"schema": 1, "op": "train", "measured": []}, "ascent")


def test_a_run_becomes_a_table_and_replaces_its_older_self(tmp_path):
    about = {"op": "ascent", "width": 64, "hidden": 3, "dimension": 8, "seeds": 1024, "bar": 6.0}
    records = [
        {"group": "g", "subject": subject, "about": about, "seconds": {"median": seconds}}
        for subject, seconds in (("ours cuda", 1e-4), ("ours triton", 2e-4), ("ours cuda graphed", 5e-5), ("jax", 1e-3))
    ]
    rows = measured_rows([*records, {"group": "alone", "subject": "ours cpu", "about": about, "seconds": {"median": 1.0}}])
    assert rows == {"ascent": [{"width": 64, "hidden": 3, "seeds": 1024, "seconds": {"cuda": 1e-4, "triton": 2e-4}}]}
    path = tmp_path / "timings.json"
    merged(path, "ascent", RUN)
    merged(path, "ascent", {**RUN, "device": "NVIDIA A100", "capability": [8, 0]})
    merged(path, "ascent", {**RUN, "rows": rows["ascent"]})
    kept = parsed(json.loads(path.read_text(encoding="utf-8")), "ascent")
    assert sorted(row.device for row in kept) == ["NVIDIA A100", "NVIDIA A100", "NVIDIA H200"]
