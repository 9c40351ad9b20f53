"""`pybackdoor learn`: what it writes, its budget, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pybackdoor.cli.main import main
from pybackdoor.data import read_domain, read_samples
from pybackdoor.models import load_model
from pybackdoor.oracles import oracle

LEARN = [
    "learn",
    "--start",
    "60",
    "--budget",
    "160",
    "--rounds",
    "3",
    "--out",
    "learned",
    "--widths",
    "16",
    "16",
    "--epochs",
    "1",
    "--least-steps",
    "200",
]
BRANIN = [*LEARN, "--oracle", "branin"]
COUNTING = (
    "from pathlib import Path\nfrom pybackdoor.oracles import oracle\nB = oracle('branin')\n"
    "def f(x):\n    with Path('calls.txt').open('a') as file:\n        file.write('.' * len(x))\n"
    "    if len(Path('calls.txt').read_text()) > LIMIT:\n        raise KeyboardInterrupt\n    return B.values(x).numpy()\n"
)


def test_it_writes_the_surrogate_the_rows_and_the_history(desk, capsys):
    assert main([*BRANIN, "--test-rows", "200"]) == 0
    assert "160 oracle calls and 200 for the test set; test RMSE" in capsys.readouterr().out
    samples = read_samples("learned/samples.parquet")
    assert samples.count == 160
    torch.testing.assert_close(samples.y, oracle("branin").values(samples.x), rtol=1e-12, atol=0)
    assert read_domain("learned/domain.json") == samples.domain
    history = json.loads(Path("learned/history.json").read_text())
    assert history["oracle_calls"] == [60.0, 93.0, 126.0, 160.0]
    assert history["test_rmse"][-1] < history["test_rmse"][0]
    residuals = load_model("learned/model.safetensors").values(samples.x) - samples.y
    assert float(residuals.square().mean().sqrt()) < 0.6 * float(samples.y.std())
    report = Path("learned/report.md").read_text()
    assert "pybackdoor learn --start 60" in report
    assert "| 3 | 160 | 160 | 0 |" in report
    assert Path("learned/learning.png").stat().st_size > 5000
    assert not Path("learned.unfinished").exists()


@pytest.mark.parametrize("strategy", ["disagreement", "maximizers", "random"])
def test_the_budget_is_never_exceeded(desk, strategy):
    Path("counting.py").write_text(COUNTING.replace("LIMIT", "10**9"))
    assert main([*LEARN, "--oracle", "counting.py:f", "--domain", "domain.json", "--strategy", strategy]) == 0
    assert len(Path("calls.txt").read_text()) == json.loads(Path("learned/history.json").read_text())["oracle_calls"][-1] <= 160


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(desk, capfd):
    assert main([*BRANIN, "--out", "whole"]) == 0
    counting = [*LEARN, "--oracle", "counting.py:f", "--domain", "domain.json"]
    Path("counting.py").write_text(COUNTING.replace("LIMIT", "100 and not Path('go').exists()"))
    assert main(counting) == 130
    assert not Path("learned").exists()
    assert (Path("learned.unfinished") / "run.json").exists()
    Path("go").touch()
    assert main(counting) == 0
    assert not Path("learned.unfinished").exists()
    first, second = read_samples("whole/samples.parquet"), read_samples("learned/samples.parquet")
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.y, second.y)
    x = first.x[:50]
    assert torch.equal(load_model("whole/model.safetensors").values(x), load_model("learned/model.safetensors").values(x))
    assert main([*counting, "--force"]) == 0


def test_another_runs_saved_state_is_refused(desk, refused):
    Path("counting.py").write_text(COUNTING.replace("LIMIT", "100"))
    counting = [*LEARN, "--oracle", "counting.py:f", "--domain", "domain.json"]
    assert main(counting) == 130
    assert "other inputs or options" in refused([*counting, "--seed", "1"])
    (Path("learned.unfinished") / "samples.parquet").write_bytes(b"PAR1")
    assert "samples.parquet" in refused(counting)
    (Path("learned.unfinished") / "run.json").write_text("{}")
    assert "remove it to begin anew" in refused(counting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--budget", "0"], "budget 0"),
        (["--start", "1"], "start 1"),
        (["--rounds", "-1"], "rounds -1"),
        (["--target-error", "0"], "target_error 0"),
        (["--strategy", "luck"], "luck"),
        (["--out", "none/learned"], "cannot be written"),
        (["--widths", "0"], "widths"),
    ],
)
def test_bad_options(desk, refused, change, message):
    assert message in refused([*BRANIN, *change])


def test_an_oracle_without_values_is_refused(desk, refused):
    Path("broken.py").write_text("import numpy as np\ndef f(x):\n    return np.full(len(x), np.nan)\n")
    assert "at least two are needed" in refused([*LEARN, "--oracle", "broken.py:f", "--domain", "domain.json"])
