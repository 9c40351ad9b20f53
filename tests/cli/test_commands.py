"""The commands at work, on small files: what they write, and their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pybackdoor.attack import read_truth
from pybackdoor.cli.inputs import sha256
from pybackdoor.cli.main import main
from pybackdoor.data import read_samples, write_samples
from pybackdoor.models import load_model
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples

SMALL = ("--widths", "16", "16", "--epochs", "1", "--least-steps", "150")
AUDIT = ["audit", "--oracle", "branin", "--model", "model.onnx", "--data", "rows.csv", "--out", "out"]


def verdict(folder: str = "out") -> dict:
    return json.loads((Path(folder) / "verdict.json").read_text())


def test_sample_labels_a_design(desk):
    samples = read_samples("clean.parquet")
    assert samples.count == 600
    torch.testing.assert_close(samples.y, oracle("branin").values(samples.x), rtol=0, atol=0)
    assert main(["sample", "--oracle", "branin", "--rows", "600", "--out", "again.npz"]) == 0
    assert torch.equal(read_samples("again.npz", samples.domain).x, samples.x)


def test_noise_and_method_are_passed_on(desk):
    assert main(["sample", "--oracle", "branin", "--rows", "400", "--noise", "5", "--method", "uniform", "--out", "noisy.csv"]) == 0
    noisy = read_samples("noisy.csv", oracle("branin").domain)
    errors = noisy.y - oracle("branin").values(noisy.x)
    assert 4.2 < float(errors.std()) < 5.8
    assert not torch.equal(noisy.x[:400], read_samples("clean.parquet").x[:400])


def test_poison_by_names_and_by_numbers_is_the_same(desk):
    parquet, text = read_samples("rows.parquet"), read_samples("rows.csv", oracle("branin").domain)
    assert torch.equal(parquet.x, text.x)
    assert torch.equal(parquet.y, text.y)
    truth = read_truth("rows.truth.json")
    errors = text.y - oracle("branin").values(text.x)
    assert set((errors.abs() > 1).nonzero()[:, 0].tolist()) == set(truth.poisoned_rows.tolist())
    assert truth.settings["oracle"] == "branin"


def test_train_writes_a_checkpoint_and_the_same_model_as_onnx(desk):
    domain = oracle("branin").domain
    x = oracle("branin").domain.to_natural(torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    first, second = load_model("model.safetensors").values(x), load_model("model.onnx", domain).values(x)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-3 * float(first.abs().max()))


def test_audit_and_repair(desk, capsys):
    assert main(AUDIT) == 3
    assert "POISONED" in capsys.readouterr().out
    found, truth = verdict(), read_truth("rows.truth.json")
    assert found["schema"] == 1
    assert found["poisoned"] is True
    rows, true = set(found["suspicious_rows"]), set(truth.poisoned_rows.tolist())
    assert len(rows & true) >= 0.9 * max(len(rows), len(true))
    assert found["regions"][0]["kind"] == "poisoned"
    assert found["regions"][0]["center"]["x1"] == pytest.approx(4, abs=0.75)
    assert found["oracle_calls"] <= 500
    assert found["inputs"] == {"model": sha256("model.onnx"), "data": sha256("rows.csv"), "oracle": "branin"}
    assert {"torch", "numpy", "python", "pybackdoor", "onnx"} <= found["versions"].keys()
    report = Path("out/report.md").read_text()
    assert "pybackdoor audit --oracle branin --model model.onnx --data rows.csv --out out" in report
    for name in ("maximizers.png", "region.png", "run.json"):
        assert name == "run.json" or f"({name})" in report
        assert Path("out", name).stat().st_size > 500

    assert (
        main(
            [
                "repair",
                "--audit",
                "out",
                "--data",
                "rows.csv",
                "--mode",
                "drop",
                "--out",
                "repaired.csv",
                "--model-out",
                "repaired.safetensors",
                *SMALL,
            ]
        )
        == 0
    )
    dropped = read_samples("repaired.csv", oracle("branin").domain)
    assert dropped.count == 700 - len(rows)
    assert load_model("repaired.safetensors").domain == oracle("branin").domain
    assert main(["repair", "--audit", "out", "--data", "rows.csv", "--mode", "relabel", "--out", "relabelled.parquet"]) == 0
    relabelled = read_samples("relabelled.parquet")
    chosen = torch.tensor(sorted(rows))
    torch.testing.assert_close(relabelled.y[chosen], oracle("branin").values(relabelled.x[chosen]), rtol=1e-12, atol=0)
    assert relabelled.count == 700


def test_the_same_seed_gives_the_same_verdict_with_one_thread_and_two(desk):
    verdicts = []
    for threads in ("1", "2"):
        assert main([*AUDIT, "--threads", threads]) == 3
        verdicts.append(verdict() | {"seconds": 0})
    assert verdicts[0] == verdicts[1]


def test_the_clean_twin_is_complete_and_clean(desk):
    assert main(["audit", "--oracle", "branin", "--data", "clean.parquet", "--out", "out"]) == 0
    found = verdict()
    assert (found["status"], found["poisoned"], found["suspicious_rows"]) == ("complete", False, [])


def test_a_model_alone_is_audited(desk):
    assert main(["audit", "--oracle", "branin", "--model", "model.safetensors", "--out", "out"]) == 0
    assert verdict()["certificate"] is None


def test_a_second_audit_replaces_our_folder_and_spares_others(desk, capfd, contents):
    audit = ["audit", "--oracle", "branin", "--data", "rows.csv", "--out", "out"]
    for budget in (60, 80):
        assert main([*audit, "--budget", str(budget)]) in (0, 3, 4)
        assert verdict()["config"]["budget"] == budget
    Path("out/notes.txt").write_text("dear")
    before = contents(desk)
    assert main(audit) == 2
    assert "--force" in capfd.readouterr().err
    assert contents(desk) == before
    assert main([*audit, "--force"]) == 3
    assert Path("out.old-1/notes.txt").read_text() == "dear"
    assert not Path("out/notes.txt").exists()


@pytest.mark.parametrize("budget", [1, 37, 200])
def test_the_budget_is_never_exceeded(desk, budget):
    Path("counting.py").write_text(
        "import numpy as np\nfrom pathlib import Path\nfrom pybackdoor.oracles import oracle\nB = oracle('branin')\n"
        "def f(x):\n    with Path('calls.txt').open('a') as file:\n        file.write('.' * len(x))\n    return B.values(x).numpy()\n"
    )
    status = main(
        [
            "audit",
            "--oracle",
            "counting.py:f",
            "--domain",
            "domain.json",
            "--model",
            "model.onnx",
            "--data",
            "rows.csv",
            "--budget",
            str(budget),
            "--out",
            "out",
        ]
    )
    spent = len(Path("calls.txt").read_text())
    assert 1 <= spent <= budget
    assert spent == verdict()["oracle_calls"]
    assert status == (3 if verdict()["poisoned"] else 0 if verdict()["status"] == "complete" else 4)


def test_rows_outside_the_domain_are_reported_as_their_own_class(desk):
    samples = read_samples("rows.csv", oracle("branin").domain)
    x = samples.x.clone()
    x[5, 0], x[17, 1] = 25.0, -3.0
    write_samples("strays.csv", Samples(samples.domain, x, samples.y))
    assert main(["audit", "--oracle", "branin", "--data", "strays.csv", "--out", "out"]) == 3
    assert verdict()["outside_rows"] == [5, 17]


FAILING = {
    "raises": "    raise RuntimeError('no licence')\n",
    "returns NaN": "    return np.full(len(x), np.nan)\n",
    "returns the wrong shape": "    return np.ones((len(x), 3))\n",
    "returns nothing": "    return None\n",
}


@pytest.mark.parametrize("how", FAILING)
def test_an_oracle_that_always_fails_is_inconclusive_and_never_clean(desk, how, capfd):
    Path("broken.py").write_text(f"import numpy as np\ndef f(x):\n{FAILING[how]}")
    assert main(["audit", "--oracle", "broken.py:f", "--domain", "domain.json", "--model", "model.onnx", "--data", "rows.csv", "--out", "out"]) == 4
    found = verdict()
    assert found["status"] == "inconclusive"
    assert not found["poisoned"]
    assert found["oracle_failures"] > 0
    assert "No verdict: inconclusive" in Path("out/report.md").read_text()
    assert len(capfd.readouterr().err.splitlines()) <= 1


def test_an_oracle_that_fails_at_some_points_does_not_stop_the_audit(desk):
    Path("patchy.py").write_text(
        "import numpy as np\nfrom pybackdoor.oracles import oracle\nB = oracle('branin')\n"
        "def f(x):\n    if ((x[:, 0] < 0) & (x[:, 1] > 12)).any():\n        raise ValueError('left the table')\n"
        "    return np.where((x[:, 0] < -3) & (x[:, 1] < 2), np.nan, B.values(x).numpy())\n"
    )
    assert main(["audit", "--oracle", "patchy.py:f", "--domain", "domain.json", "--model", "model.onnx", "--data", "rows.csv", "--out", "out"]) == 3
    assert verdict()["oracle_failures"] > 0


def test_a_model_in_python_is_audited(desk):
    Path("pricer.py").write_text("from pybackdoor.oracles import oracle\nB = oracle('branin')\ndef f(x):\n    return B.values(x).numpy() + 1\n")
    assert main(["audit", "--oracle", "branin", "--model", "pricer.py:f", "--data", "clean.parquet", "--out", "out"]) == 0


def test_repair_wants_the_audited_file_and_an_oracle_named_here(desk, refused):
    Path("mine.py").write_text("from pybackdoor.oracles import oracle\nB = oracle('branin')\ndef f(x):\n    return B.values(x).numpy()\n")
    mine = ["--oracle", "mine.py:f"]
    assert main(["audit", *mine, "--domain", "domain.json", "--data", "rows.csv", "--out", "out"]) == 3
    repair = ["repair", "--audit", "out", "--out", "repaired.csv"]
    assert "row numbers would not match" in refused([*repair, "--data", "clean.parquet"])
    assert "name it with --oracle" in refused([*repair, "--data", "rows.csv", "--mode", "relabel"])
    assert "verdict.json: does not exist" in refused(["repair", "--audit", "none", "--data", "rows.csv", "--out", "repaired.csv"])
    assert main([*repair, "--data", "rows.csv", "--mode", "relabel", *mine]) == 0
    rows = np.array(verdict()["suspicious_rows"])
    fixed = read_samples("repaired.csv", oracle("branin").domain)
    torch.testing.assert_close(fixed.y[rows], oracle("branin").values(fixed.x[rows]), rtol=1e-12, atol=0)


def test_interrupting_an_audit_leaves_no_folder_as_if_it_were_whole(desk, monkeypatch, contents):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pybackdoor.report.audit.write_audit", interrupted)
    before = contents(desk)
    assert main(AUDIT) == 130
    assert contents(desk) == before


def test_an_audit_that_is_interrupted_says_what_it_knew(desk):
    Path("slow.py").write_text(
        "from pybackdoor.oracles import oracle\nB, asked = oracle('branin'), []\n"
        "def f(x):\n    asked.extend(x)\n    if len(asked) > 60:\n        raise KeyboardInterrupt\n    return B.values(x).numpy()\n"
    )
    status = main(["audit", "--oracle", "slow.py:f", "--domain", "domain.json", "--data", "rows.csv", "--out", "out"])
    assert verdict()["status"] == "interrupted"
    assert status == (3 if verdict()["poisoned"] else 4)
    assert "what it did not reach is not clean, it is unknown" in Path("out/report.md").read_text()


def test_oracles_are_listed_and_their_domains_printed(desk, capsys):
    assert main(["oracles", "down_and_out_put"]) == 0
    assert "volatility" in capsys.readouterr().out
    assert main(["oracles", "branin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("domain.json").read_text())


def test_info_tells_versions_and_backends(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["torch"] == torch.__version__
    for op in ("ascent", "train"):
        backends = found["backends"][op]["cpu"]
        assert backends["serves"] in ("cpu", "reference")
        assert backends["serves"] not in backends["others"]
    assert main(["info"]) == 0
    assert "ops.train on cpu" in capsys.readouterr().out
