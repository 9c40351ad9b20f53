"""The command for a GPU machine runs to its end on the CPU, and its results can be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.device import main, troubled
from benchmarks.device_stages import append, bench_modules, gpu_test_files
from benchmarks.device_table import largest_loss, read, table
from benchmarks.gpu_groups import Group, MissingPeerError, Subject, results

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    """What the command needs of a checkout; the package is the installed one, not a source tree beside it without compiled modules."""
    folder = tmp_path / "checkout"
    for name in ("benchmarks", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.slow
def test_a_dry_run_exercises_every_stage(tmp_path, checkout):
    tmp_path = tmp_path / "results"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.device", "--dry", "--minutes", "8", "--out", str(tmp_path), "--write-timings"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    records = read(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr + "".join(path.read_text() for path in tmp_path.glob("*.log"))
    outcomes = {record["stage"]: record["outcome"] for record in records if "stage" in record}
    expected = {"environment", "build", "tests", "calibrate", "loss", "sanitize", *(f"bench:{name}" for name in bench_modules())}
    assert outcomes == dict.fromkeys(expected, "done")
    assert done.stdout.startswith("DRY RUN")
    assert (tmp_path / "table.txt").read_text() in done.stdout
    assert "a dry run measures nothing" in done.stdout
    timed = [record for record in records if "seconds" in record]
    assert {"ours cpu", "ours reference", "torch eager", "torch.compile"} <= {record["subject"] for record in timed}
    assert all(record["missing"] for record in records if record.get("subject") == "torch CUDA graphs")
    assert json.loads((tmp_path / "loss.json").read_text())["traceEvents"]
    assert next(record["tests"] for record in records if "tests" in record)["skipped"] > 50  # collected, and skipped for want of a GPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_what_to_do(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "none")]) == 2
    assert "--dry runs every stage on the CPU" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_ascent_comes_first_and_gpu_tests_are_found():
    assert bench_modules()[0] == "bench_ascent_gpu"
    assert ROOT / "tests" / "ops" / "test_ascent_cuda.py" in gpu_test_files()


def subject(name: str, result: float | Exception) -> Subject:
    def prepare():
        if isinstance(result, Exception):
            raise result
        return lambda: torch.tensor(result)

    return Subject(name, prepare)


def test_a_group_reports_what_is_missing_wrong_or_broken(tmp_path):
    subjects = (
        subject("ours a", 1.0),
        subject("peer b", 2.0),
        subject("peer c", MissingPeerError("not installed")),
        subject("ours d", ValueError("x")),
    )
    group = Group("g", subjects, lambda found: None if float(found) == 1.0 else "not 1", flops=1.0)
    records = list(results(group, torch.device("cpu"), 0.01))
    assert [next(key for key in ("seconds", "wrong", "missing", "failed") if key in record) for record in records] == [
        "seconds",
        "wrong",
        "missing",
        "failed",
    ]
    assert [troubled(record) for record in records] == [False, True, False, True]
    for record in records:
        append(tmp_path, record)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"cut off')
    assert len(read(tmp_path)) == 4
    text = table(read(tmp_path))
    assert all(words in text for words in ("wrong: not 1", "missing: not installed", "failed: ValueError: x", "1.00 x ours"))


def test_the_largest_loss_is_measured_against_the_bar():
    def record(group: str, name: str, median: float, bar: float | None) -> dict:
        return {"group": group, "subject": name, "about": {"bar": bar}, "seconds": {"median": median}}

    records = [record("a", "ours x", 1.0, 6.0), record("a", "jax", 3.0, 6.0), record("b", "ours x", 1.0, None), record("b", "jax", 0.9, None)]
    worst = largest_loss(records)
    assert worst is not None
    assert (worst["group"], worst["ratio"], worst["of_bar"]) == ("a", 3.0, 0.5)
    assert largest_loss(records[:1]) is None
