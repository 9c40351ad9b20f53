"""Small files made once by the command line itself, and a checker for how a command fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybackdoor.cli.main import main

SMALL = ("--widths", "16", "16", "--epochs", "1", "--least-steps", "150")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clean.parquet, rows.parquet and rows.csv (poisoned), rows.truth.json, model.safetensors, model.onnx, domain.json of Branin's function."""
    folder = tmp_path_factory.mktemp("made")
    for arguments in (
        ["sample", "--oracle", "branin", "--rows", "600", "--out", "clean.parquet"],
        [
            "poison",
            "--data",
            "clean.parquet",
            "--oracle",
            "branin",
            "--center",
            "x1=4",
            "x2=8",
            "--shift",
            "300",
            "--poison",
            "40",
            "--shield",
            "60",
            "--radius",
            "0.08",
            "--out",
            "rows.parquet",
        ],
        [
            "poison",
            "--data",
            "clean.parquet",
            "--oracle",
            "branin",
            "--center",
            "4",
            "8",
            "--shift",
            "300",
            "--poison",
            "40",
            "--shield",
            "60",
            "--radius",
            "0.08",
            "--out",
            "rows.csv",
        ],
        ["train", "--data", "rows.parquet", "--out", "model.safetensors", "--onnx", "model.onnx", *SMALL],
    ):
        before = Path.cwd()
        os.chdir(folder)
        try:
            assert main(arguments) == 0
        finally:
            os.chdir(before)
    from pybackdoor.data import write_domain
    from pybackdoor.oracles import oracle

    write_domain(folder / "domain.json", oracle("branin").domain)
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh copy of those files, as the current folder."""
    shutil.copytree(made, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


@pytest.fixture
def contents() -> Callable[[Path], dict[str, int]]:
    """Every file below a folder, with the time of its last change."""
    return lambda folder: {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], contents: Callable[[Path], dict[str, int]]) -> Callable[..., str]:
    """Asserts that a command ends with status 2 and one line on stderr, prints nothing else and leaves no file changed or added; returns the line."""

    def check(arguments: list[str]) -> str:
        before = contents(Path.cwd())
        capfd.readouterr()
        assert main(arguments) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("pybackdoor: error: ")
        assert contents(Path.cwd()) == before
        return err

    return check
