"""A sweep crosses attacks with defenses, goes on where it was, and ranks by what the truth says."""

from __future__ import annotations

import os
from dataclasses import replace

import pyarrow.parquet as parquet
import pytest

from pybackdoor.bench import sweep as module
from pybackdoor.bench.defenses import DEFENSES, Finding
from pybackdoor.bench.sweep import ATTACKS, SweepConfig, leaderboard, sweep
from pybackdoor.cli.bench import Bench
from pybackdoor.cli.main import main
from pybackdoor.errors import InputError

SMALL = SweepConfig(("branin",), ("none", "unshielded"), ("audit_500", "random_500"), seeds=1, rows=1500, widths=(32, 32), least_steps=1500)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, sweep(SMALL, folder)


def test_every_cell_is_measured_against_the_truth(swept):
    folder, records = swept
    assert [(record["attack"], record["defense"]) for record in records] == [
        ("none", "audit_500"),
        ("none", "random_500"),
        ("unshielded", "audit_500"),
        ("unshielded", "random_500"),
    ]
    clean, _, found, drawn = records
    assert (clean["poisoned"], clean["right"], clean["poisoned_rows"], clean["recall"]) == (False, True, 0, None)
    assert found["right"]
    assert found["poisoned_rows"] == 200
    assert found["recall"] > 0.9
    assert found["ball_rmse_after"] < 0.2 * found["ball_rmse_before"]  # the attack had its effect, and the repair took it away
    assert found["oracle_calls"] <= 500
    assert drawn["recall"] < 0.5  # 500 of 1,700 rows: the others stay
    assert drawn["precision"] == 1.0
    assert parquet.read_table(folder / "results.parquet").to_pylist() == records


def test_it_goes_on_where_it_was(swept, monkeypatch):
    folder, records = swept
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    gone = folder / "cells" / "branin-none-0-random_500.parquet"
    os.remove(gone)
    again = sweep(SMALL, folder)
    assert [{**record, "seconds": 0} for record in again] == [{**record, "seconds": 0} for record in records]
    assert {path for path, time in before.items() if path.stat().st_mtime_ns != time} == {gone}
    with pytest.raises(InputError, match="cells of another configuration"):
        sweep(replace(SMALL, rows=1600), folder)


def test_a_defense_is_not_told_of_the_attack(monkeypatch, tmp_path):
    seen = []

    def watching(*given):
        seen.append(given)
        return Finding(False, (), 0.0, None)

    monkeypatch.setitem(module.DEFENSES, "audit_500", watching)
    records = sweep(replace(SMALL, attacks=("shielded",), defenses=("audit_500",), rows=400, least_steps=20), tmp_path)
    assert [type(part).__name__ for part in seen[0]] == ["Branin", "NetworkSurrogate", "Samples", "int"]
    assert records[0]["right"] is False
    assert records[0]["recall"] == 0.0


def record(defense: str, right: bool, recall: float | None, first: float | None) -> dict:
    return {"defense": defense, "right": right, "precision": None, "recall": recall, "calls_to_first": first, "oracle_calls": 10.0, "seconds": 1.0,
            "ball_rmse_before": 2.0 if recall is not None else None, "ball_rmse_after": 1.0}  # fmt: skip


def test_the_leaderboard_ranks_right_verdicts_then_recall_then_calls():
    records = [record("slow", True, 0.9, 20.0), record("blind", True, 0.1, 1.0), record("wrong", False, 1.0, 1.0), record("best", True, 0.9, 10.0)]
    head, lines = leaderboard([*records, record("best", True, None, None)])
    assert [line[0] for line in lines] == ["best", "slow", "blind", "wrong"]
    assert dict(zip(head, lines[0], strict=True)) == {
        "defense": "best", "cells": "2", "right verdicts": "1", "precision": "-", "recall": "0.9", "calls to first": "10", "calls": "10",
        "seconds": "1", "ball error left": "0.5",
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"attacks": ("loud",)}, {"defenses": ()}, {"seeds": 0}, {"rows": 10}, {"oracles": ()}])
def test_unusable_sweeps_are_refused(change):
    with pytest.raises(InputError, match="sweep: "):
        replace(SMALL, **change)


def test_the_command_is_the_librarys(monkeypatch, tmp_path, capsys):
    defaults = Bench(what="sweep", out=tmp_path)
    assert SweepConfig(defaults.oracles, defaults.attacks, defaults.defenses, defaults.seeds, defaults.rows) == SweepConfig()
    assert (defaults.attacks, defaults.defenses) == (tuple(ATTACKS), tuple(DEFENSES))
    monkeypatch.chdir(tmp_path)
    arguments = ["--oracles", "branin", "--attacks", "none", "--defenses", "random_500", "--seeds", "1", "--rows", "400"]
    assert main(["bench", "sweep", "--out", "s", *arguments]) == 0
    assert "random_500" in capsys.readouterr().out
    assert (tmp_path / "s" / "leaderboard.md").read_text().startswith("| defense |")
    assert main(["bench", "sweep", "--out", "t", "--attacks", "loud"]) == 2
    assert "attacks loud; some of none, shielded" in capsys.readouterr().err
