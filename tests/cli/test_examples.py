"""Every example ends with the exit status and the kinds of region that its text promises, at a reduced size."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pybackdoor.cli.main import main
from pybackdoor.data import read_domain, read_samples
from pybackdoor.oracles import oracle

FOLDER = Path(__file__).resolve().parents[2] / "examples"
ROWS = 4000


@pytest.fixture
def example(monkeypatch, request) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(request.param)


def verdict(folder: Path) -> dict:
    return json.loads((folder / "audit" / "verdict.json").read_text())


def check_found(folder: Path, data: str, name: str, least: float, domain: Path | None = None) -> None:
    """The suspicious rows are those whose labels differ from the oracle by more than `least`, to 95 % either way."""
    source = oracle(name, domain=None if domain is None else read_domain(domain))
    samples = read_samples(folder / data, source.domain)
    wrong = set(((samples.y - source.values(samples.x)).abs() > least).nonzero()[:, 0].tolist())
    found = set(verdict(folder)["suspicious_rows"])
    assert len(wrong) >= 190
    assert len(found & wrong) >= 0.95 * max(len(found), len(wrong))
    assert verdict(folder)["regions"][0]["kind"] == "poisoned"
    assert verdict(folder)["oracle_calls"] <= 500


@pytest.mark.slow
@pytest.mark.parametrize("example", ["command_line"], indirect=True)
def test_command_line(example, tmp_path):
    assert example.run(tmp_path, ROWS) == 3
    check_found(tmp_path, "poisoned.parquet", "down_and_out_put", 10.0)
    assert read_samples(tmp_path / "repaired.parquet").count == pytest.approx(ROWS + 400, abs=12)


@pytest.mark.slow
@pytest.mark.parametrize("example", ["outside_onnx"], indirect=True)
def test_outside_onnx(example, tmp_path):
    assert main(example.prepare(tmp_path, ROWS, 1500)) == 3
    check_found(tmp_path, "rows.csv", "down_and_out_put", 10.0)


@pytest.mark.slow
@pytest.mark.parametrize("example", ["python_oracle"], indirect=True)
def test_python_oracle(example, tmp_path):
    assert main(example.prepare(tmp_path, ROWS)) == 3
    check_found(tmp_path, "beams.npz", f"{FOLDER / 'beam.py'}:deflection", 0.05, tmp_path / "domain.json")


@pytest.mark.slow
@pytest.mark.parametrize("example", ["noisy_labels"], indirect=True)
def test_noisy_labels(example, tmp_path):
    for name in ("poisoned", "honest"):
        (tmp_path / name).mkdir()
    assert main(example.prepare(tmp_path / "poisoned", 3 * ROWS)) == 3
    check_found(tmp_path / "poisoned", "rows.parquet", "down_and_out_put", 12.0)
    assert main(example.prepare(tmp_path / "honest", 3 * ROWS, False)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("example", ["eight_features"], indirect=True)
def test_eight_features(example, tmp_path):
    assert main(example.prepare(tmp_path, ROWS)) == 3
    check_found(tmp_path, "rows.parquet", "borehole", 30.0)


@pytest.mark.slow
@pytest.mark.parametrize("example", ["clustered_design"], indirect=True)
def test_clustered_design(example, tmp_path):
    assert main(example.prepare(tmp_path, ROWS)) == 0
    kinds = [region["kind"] for region in verdict(tmp_path)["regions"]]
    assert verdict(tmp_path)["suspicious_rows"] == []
    assert kinds.count("coverage_gap") >= 3
    assert not {"poisoned", "mislabeled"} & set(kinds)


@pytest.mark.parametrize("example", ["other_model"], indirect=True)
def test_other_model(example, tmp_path):
    assert main(example.prepare(tmp_path, ROWS)) == 0
    kinds = {region["kind"] for region in verdict(tmp_path)["regions"]}
    assert verdict(tmp_path)["suspicious_rows"] == []
    assert "model_mismatch" in kinds
    assert not {"poisoned", "mislabeled"} & kinds


@pytest.mark.slow
def test_an_example_is_a_script(tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "other_model.py"), str(tmp_path / "new"), "500"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent)},
    )
    assert done.returncode in (0, 4), done.stderr
    assert (tmp_path / "new" / "audit" / "report.md").exists()
