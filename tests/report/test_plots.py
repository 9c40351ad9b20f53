"""The pictures are written, hold what was drawn, and touch no global state of matplotlib. That they read well was looked at by eye."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pybackdoor.report.plots import Boundary, plot_learning, plot_maximizers, plot_region, plot_slice, plot_test_errors
from pybackdoor.report.tables import aligned, markdown, with_interval

LINE = np.linspace(1.0, 2.0, 50)


def pixels(path):
    from matplotlib.image import imread

    return imread(path)


def shows(path, color: str) -> bool:
    """Whether some pixels have this color."""
    wanted = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return bool((np.abs(pixels(path)[..., :3] - wanted).max(axis=-1) < 0.02).sum() > 20)


def test_test_errors(tmp_path):
    plot_test_errors(tmp_path / "e.png", {"clean": np.r_[LINE, 0.0], "poisoned": 10 * LINE}, "price")
    assert shows(tmp_path / "e.png", "#0072b2")
    assert shows(tmp_path / "e.png", "#d55e00")
    assert not shows(tmp_path / "e.png", "#009e73")


def test_slice(tmp_path):
    plot_slice(
        tmp_path / "s.png",
        LINE,
        {"oracle": LINE, "clean": LINE + 1, "repaired": LINE - 1},
        feature="strike",
        target="price",
        ball=(1.2, 1.4),
        shell=(1.1, 1.5),
        log=True,
    )
    assert shows(tmp_path / "s.png", "#009e73")


def test_region(tmp_path):
    plot_region(
        tmp_path / "r.png",
        LINE,
        LINE,
        rows={"rows near": (LINE, LINE), "rejected rows": (LINE, LINE + 3)},
        feature="strike",
        target="price",
        ball=(1.2, 1.4),
        title="poisoned",
    )
    assert shows(tmp_path / "r.png", "#d55e00")


@pytest.mark.parametrize("boundary", [None, Boundary(1.0, 2.0)])
def test_maximizers(tmp_path, boundary):
    plot_maximizers(
        tmp_path / "m.png",
        np.array([-19.0, 3.0, 0.0]),
        np.array([9.0, 0.1, 0.0]),
        ["poisoned", "coverage_gap", ""],
        boundary=boundary,
        target="price",
    )
    assert shows(tmp_path / "m.png", "#d55e00")
    assert shows(tmp_path / "m.png", "#0072b2")


@pytest.mark.parametrize("seeds", [1, 3])
def test_learning(tmp_path, seeds):
    errors = np.outer(np.arange(1.0, seeds + 1), 1 / LINE)
    plot_learning(tmp_path / "l.png", {"disagreement": (LINE, errors), "random": (LINE, 2 * errors)}, "price")
    assert shows(tmp_path / "l.png", "#0072b2")
    assert shows(tmp_path / "l.png", "#999999")


def test_pyplot_is_never_loaded(tmp_path):
    script = (
        "import sys, numpy as np; from pathlib import Path; from pybackdoor.report.plots import plot_learning; "
        f"plot_learning(Path({str(tmp_path / 'l.png')!r}), {{'random': (np.arange(3.), np.ones((1, 3)))}}, 'y'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_intervals_are_students():
    assert with_interval([0.5]) == "0.5"
    assert with_interval([1.0, 2.0, 3.0]) == "2 ± 2.5"  # 4.303 * 1 / sqrt(3)


def test_tables_align_and_render():
    text = aligned((["errors", "a"], [["clean", "1"], ["poisoned", "10"]]), (["audit", "calls", "s"], [["x", "5", "6"]]))
    rule = "-" * 18
    assert text.splitlines() == [
        rule,
        "errors        a",
        "clean         1",
        "poisoned     10",
        rule,
        "audit     calls  s",
        "x             5  6",
        rule,
    ]
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
