"""`pybackdoor bench profile` writes a trace in which every stage is, and a roofline whose figures follow from what was timed."""

from __future__ import annotations

import json

import pytest
import torch

from pybackdoor.bench.calibration import Ceilings, best_seconds, ceilings
from pybackdoor.bench.profile import profile
from pybackdoor.bench.roofline import STEPS, Achieved, works
from pybackdoor.cli.main import main
from pybackdoor.errors import UnsupportedError


def test_a_small_profile_holds_every_stage_and_op(tmp_path):
    text = profile(tmp_path, seconds=0.5, small=True)
    assert (tmp_path / "roofline.txt").read_text() == text
    names = {event.get("name", "") for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    stages = {
        "sample",
        "poison",
        "fit",
        "train",
        "audit",
        "audit.screen",
        "audit.clusters",
        "audit.model",
        "search",
        "search.thin",
        "ascent",
        "gradient",
    }
    assert {f"pybackdoor.{stage}" for stage in {*stages, "oracle", "repair"}} <= names
    figures = json.loads((tmp_path / "roofline.json").read_text())
    assert [one["name"].split()[0] for one in figures["ops"]] == ["ascent", "gradient", "gradient", "train", "thin"]
    assert all(one["seconds"] > 0 for one in figures["ops"])
    assert figures["flops"]["fp32"] > figures["flops"]["fp64"] > 1e9
    assert figures["bytes_per_second"] > 1e8


def test_operations_are_those_of_the_formula():
    found = {work.name.split(",")[0]: work for work in works(torch.device("cpu"), small=True)}
    each = 4 * (8 * 64 + 3 * 64 * 64 + 64)  # 4 (dW + (L - 1) W^2 + W) a seed and step
    assert found["ascent 64x4"].flops == each * 64 * STEPS
    assert found["gradient 64x4"].flops == each * 64
    for work in found.values():
        work.run()


@pytest.mark.parametrize(("flops", "moved", "bound"), [(5e9, 1e6, "arithmetic"), (1e6, 5e8, "memory"), (1e6, 1e6, "neither")])
def test_a_line_says_what_bounds_an_op(flops, moved, bound):
    line = Achieved("op", 1.0, flops, moved, "fp32").line(Ceilings("x", 1e9, {"fp32": 1e10}))
    assert line.endswith(bound)
    assert f"{100 * flops / 1e10:.1f} % of fp32" in line
    assert f"{100 * moved / 1e9:.1f} % of copy" in line


def test_the_better_of_two_calibrations_counts():
    low, high = Ceilings("x", 1.0, {"fp32": 5.0}), Ceilings("x", 2.0, {"fp32": 4.0})
    assert low.better(high) == high.better(low) == Ceilings("x", 2.0, {"fp32": 5.0})
    assert ceilings(seconds=0.2, small=True).flops.keys() == {"fp32", "fp64"}
    calls = []
    assert best_seconds(lambda: calls.append(1), torch.device("cpu"), 0.0) < 1
    assert len(calls) == 4  # one to warm up, three timed


def test_the_command_writes_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pybackdoor.bench.profile.works", lambda device, small: works(device, small=True))
    assert main(["bench", "profile", "--out", "p", "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "ceilings: copy" in said
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"run.json", "trace.json", "roofline.txt", "roofline.json"}
    assert main(["bench", "profile", "--out", "q", "--seconds", "0.5"]) == 2
    assert "--seconds 0.5" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(UnsupportedError, match="--device cpu profiles the CPU"):
        profile(tmp_path, "cuda")
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "profile", "--out", "p", "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
