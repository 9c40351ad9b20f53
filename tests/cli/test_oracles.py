"""`pybackdoor oracles`, and how the commands run an oracle: worker processes and a file of answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pybackdoor.cli.main import main
from pybackdoor.data import read_samples
from pybackdoor.oracles import ORACLES, oracle
from pybackdoor.oracles.families import FAMILIES

BRANIN = """
import os, time
import numpy as np
from pathlib import Path

def f(x):
    with open("asked.txt", "a") as file:
        file.write(f"{os.getpid()} {len(x)}\\n")
    b, c, t = 5.1 / (4 * np.pi**2), 5 / np.pi, 1 / (8 * np.pi)
    return (x[:, 1] - b * x[:, 0] ** 2 + c * x[:, 0] - 6) ** 2 + 10 * (1 - t) * np.cos(x[:, 0]) + 10

def hangs_once(x):
    if not Path("hung").exists():
        Path("hung").write_text("")
        time.sleep(1000)
    return f(x)

def hangs(x):
    Path("begun").write_text(str(os.getpid()))
    time.sleep(1000)
"""
OWN = ["--oracle", "mine.py:f", "--domain", "domain.json"]


@pytest.fixture
def mine(desk: Path) -> Path:
    (desk / "mine.py").write_text(BRANIN)
    return desk


def asked() -> list[tuple[int, int]]:
    """(process, rows) of every call of the function so far; forgets them."""
    path = Path("asked.txt")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [(int(process), int(rows)) for process, rows in map(str.split, lines)]


def test_the_list_has_every_oracle_with_domain_method_cost_and_error(capsys, monkeypatch):
    for columns in ("60", "100"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["oracles"]) == 0
        text = capsys.readouterr().out
        names = re.findall(r"[a-z0-9_]+", text)
        assert set(ORACLES) <= set(names)
        assert all(len(line) <= int(columns) for line in text.splitlines()[:-1])
    assert [line for line in text.splitlines() if line in FAMILIES] == [family for family in FAMILIES if family in text]
    entry = text[text.index("heston_call, heston_put") :]
    facts = (r"method +semi-closed.*", r"error +1e-12", r"cost +1 call a value, 1\.\d+ .*", r"devices +cpu, cuda", r"domain +spot 50 \.\. 200")
    assert re.match(r"heston_call, heston_put\n +" + r"\n +".join(facts), entry)


def test_the_list_as_json(capsys):
    assert main(["oracles", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert list(records) == list(ORACLES)
    for name in ("heston_put", "branin"):
        made = oracle(name)
        assert records[name]["domain"] == made.domain.to_dict()
        assert records[name]["accuracy"] == made.accuracy
        assert records[name]["gradient_cost"] == made.gradient_cost
    assert records["heston_put"]["level"] == "standard"


def test_one_oracle_is_shown_whole(capsys):
    assert main(["oracles", "heston_put"]) == 0
    text = capsys.readouterr().out
    for part in ("trapezoidal rule", "reversion", "error     1e-12", "others: fast, high", "correlation strictly between", "Known price: F. Fang"):
        assert part in text


def test_a_function_is_sampled_in_worker_processes(mine, capsys):
    assert main(["sample", *OWN, "--rows", "40", "--out", "here.parquet"]) == 0
    assert {process for process, _ in asked()} == {os.getpid()}
    assert main(["sample", *OWN, "--rows", "40", "--out", "beside.parquet", "--oracle-workers", "2", "--oracle-timeout", "60"]) == 0
    calls = asked()
    assert [rows for _, rows in calls] == [1] * 40
    assert 1 <= len({process for process, _ in calls}) <= 2
    assert os.getpid() not in {process for process, _ in calls}
    here, beside = read_samples("here.parquet"), read_samples("beside.parquet")
    assert torch.equal(here.x, beside.x)
    assert here.y.tolist() == pytest.approx(beside.y.tolist(), rel=1e-14)
    assert "40 oracle calls" in capsys.readouterr().out


def test_a_hung_row_is_stopped_and_tried_again_or_refused(mine, capsys):
    limits = ["--rows", "4", "--oracle-workers", "1", "--oracle-timeout", "2"]
    arguments = ["sample", "--oracle", "mine.py:hangs_once", "--domain", "domain.json", *limits]
    assert main([*arguments, "--out", "rows.csv.new.csv"]) == 2
    assert "took longer than its timeout" in capsys.readouterr().err
    assert not Path("rows.csv.new.csv").exists()
    Path("hung").unlink()
    assert main([*arguments, "--out", "again.csv", "--oracle-retries", "1"]) == 0


def test_answers_are_kept_between_commands(mine, capsys):
    cache = ["--oracle-cache", "answers.db"]
    assert main(["sample", *OWN, "--rows", "64", "--out", "first.parquet", *cache]) == 0
    assert "64 oracle calls" in capsys.readouterr().out
    assert sum(rows for _, rows in asked()) == 64
    assert main(["sample", *OWN, "--rows", "64", "--out", "second.parquet", *cache, "--oracle-workers", "1"]) == 0
    assert "0 oracle calls" in capsys.readouterr().out
    assert asked() == []
    assert torch.equal(read_samples("first.parquet").y, read_samples("second.parquet").y)
    Path("mine.py").write_text(BRANIN + "\n# changed\n")
    code = "import sys; from pybackdoor.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "sample", *OWN, "--rows", "64", "--out", "third.parquet", *cache]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "64 oracle calls" in done.stdout


def test_an_audit_again_costs_fewer_calls_and_says_the_same(mine):
    audit = ["audit", *OWN, "--model", "model.onnx", "--data", "rows.csv", "--budget", "200", "--oracle-cache", "answers.db"]
    assert main([*audit, "--out", "one"]) == 3
    first = json.loads(Path("one/verdict.json").read_text())
    assert 0 < first["oracle_calls"] <= 200
    asked()
    assert main([*audit, "--out", "two"]) == 3
    second = json.loads(Path("two/verdict.json").read_text())
    assert second["suspicious_rows"] == first["suspicious_rows"]
    assert second["oracle_calls"] < first["oracle_calls"]


def test_ctrl_c_stops_a_hung_oracle_and_leaves_nothing(mine):
    arguments = ["--oracle", "mine.py:hangs", "--domain", "domain.json", "--rows", "8", "--out", "out.csv", "--oracle-workers", "2"]
    command = [sys.executable, "-m", "pybackdoor", "sample", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not Path("begun").exists() or not Path("begun").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = int(Path("begun").read_text())
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "pybackdoor: interrupted; nothing was left half-written"
    assert not Path("out.csv").exists()
    assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--oracle", "branin", "--oracle-workers", "2"], "'branin' is no plain Python function and takes no worker processes"),
        ([*OWN, "--oracle-timeout", "5"], "--oracle-timeout is for worker processes; give --oracle-workers as well"),
        ([*OWN, "--oracle-retries", "1"], "--oracle-retries is for worker processes"),
        ([*OWN, "--oracle-workers", "-1"], "workers is -1"),
        ([*OWN, "--oracle-workers", "1", "--oracle-timeout", "0"], "timeout is 0"),
        ([*OWN, "--oracle-version", "2"], "--oracle-version goes with --oracle-cache"),
        ([*OWN, "--oracle-cache", "rows.csv"], "rows.csv: it is not a cache of oracle answers; delete it, or name another file"),
        ([*OWN, "--oracle-cache", "nowhere/answers.db"], "its folder does not exist"),
        (["--oracle", "numpy:sum", "--domain", "domain.json", "--oracle-cache", "model.onnx"], "give version="),
    ],
)
def test_what_cannot_be_is_refused(mine, refused, arguments, message):
    assert message in refused(["sample", *arguments, "--rows", "8", "--out", "out.parquet"])
