"""`pybackdoor demo` at a reduced size: the table, the report and the pictures of the whole story."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybackdoor.cli.main import main


@pytest.mark.slow
def test_the_demo_tells_the_whole_story(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--rows", "4000"]) == 0
    text = capsys.readouterr().out
    for part in ("clean", "poisoned, no shield", "repaired", "test RMSE", "in-ball", "calls to first", "disagreement", "random", "1 seed"):
        assert part in text
    folder = Path("pybackdoor-demo")
    for name in (
        "test_errors.png",
        "slice.png",
        "learning.png",
        "report.md",
        "run.json",
        "audit-clean/verdict.json",
        "audit-poisoned/maximizers.png",
    ):
        assert (folder / name).stat().st_size > 300
    poisoned, clean = (json.loads((folder / f"audit-{name}" / "verdict.json").read_text()) for name in ("poisoned", "clean"))
    assert poisoned["poisoned"]
    assert 190 <= len(poisoned["suspicious_rows"]) <= 210
    assert clean["suspicious_rows"] == []
    assert "pybackdoor demo --rows 4000" in (folder / "report.md").read_text()


def test_no_seeds_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seeds", "0"]) == 2
    assert "--seeds 0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
