"""The demo's table and report, from trials made by hand."""

from __future__ import annotations

import pytest
import torch

from pybackdoor.domain import Domain
from pybackdoor.loops.comparison import LearningCurves
from pybackdoor.loops.experiment import CLEAN, POISONED, REPAIRED, UNSHIELDED, Detection, ExperimentConfig, ModelErrors, Slice, Trial
from pybackdoor.models import NetworkSurrogate
from pybackdoor.records import AuditReport, AuditStatus, Network, PoisonTruth
from pybackdoor.report.experiment import experiment_text, write_experiment

DOMAIN = Domain(("strike", "rate"), (50.0, 0.0), (200.0, 0.1), target="price")
NAMES = (CLEAN, UNSHIELDED, POISONED, REPAIRED)
CURVES = LearningCurves(
    torch.tensor([500.0, 1000.0]), {"disagreement": torch.tensor([[2.0, 1.0], [3.0, 1.5]]), "random": torch.tensor([[2.0, 1.8], [3.0, 2.5]])}
)


def surrogate() -> NetworkSurrogate:
    ones = torch.ones(2, dtype=torch.float64)
    return NetworkSurrogate(Network((ones[None],), (ones[:1],), "relu", 0 * ones, ones, 0 * ones), DOMAIN, name="plane")


def audit(poisoned: bool, rows: int) -> AuditReport:
    first = 11.0 if poisoned else None
    return AuditReport(AuditStatus.COMPLETE, "done", poisoned, tuple(range(rows)), (), (), None, None, 300.0, first, 0, {}, {}, 2.0, {}, {}, {})


def trial(seed: int) -> Trial:
    errors = {name: ModelErrors(0.5 + seed, 20.0, 19.0 if name == POISONED else 0.1, 19.5, (2.0, 0.5)) for name in NAMES}
    truth = PoisonTruth(torch.arange(200), torch.arange(0), torch.tensor([120.0, 0.05]), 0.1, 0.15, 20.0, {"center": {"strike": 120.0, "rate": 0.05}})
    detections = {POISONED: Detection(audit(True, 199), 1.0, 0.995), CLEAN: Detection(audit(False, 0), 1.0, 1.0)}
    return Trial(
        seed,
        dict.fromkeys(NAMES, surrogate()),
        errors,
        {name: torch.linspace(-1, 1, 50) for name in NAMES},
        detections,
        truth,
        {"data": 1.0, "audits": 2.0},
    )


def test_the_table_of_one_seed_has_every_number():
    text = experiment_text([trial(0)], CURVES, 12.3)
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["poisoned, no shield"][3:] == ["0.5", "20", "0.1", "19.5", "2", "0.5"]
    assert rows["poisoned"][1:] == ["yes", "199", "1", "0.995", "300", "11", "2"]
    assert rows["clean"][1:] == ["no", "0", "-", "-", "300", "-", "2"]
    assert rows["random"][1:] == ["2.5", "±", "6.4", "2.15", "±", "4.4"]
    assert text.endswith("1 seed, 12 seconds in all")


def test_several_seeds_have_intervals():
    text = experiment_text([trial(0), trial(1)], CURVES, 12.3)
    assert "1 ± 6.4" in text  # 0.5 and 1.5: 12.706 * 0.7071 / sqrt(2)
    assert "2 of 2" in text
    assert "0 of 2" in text


@pytest.mark.parametrize("count", [1, 2])
def test_the_report_has_tables_pictures_settings_and_the_command(tmp_path, count):
    positions = torch.linspace(50, 200, 20)
    curves = {"oracle": positions} | {name: positions + 1 for name in (CLEAN, POISONED, REPAIRED)}
    view = Slice("strike", positions, curves, (110.0, 130.0), (105.0, 135.0), False)
    write_experiment(tmp_path, [trial(seed) for seed in range(count)], CURVES, view, ExperimentConfig(), "pybackdoor demo --seeds 2", 12.3)
    text = (tmp_path / "report.md").read_text()
    for part in ("| poisoned |", "| random |", "```\npybackdoor demo --seeds 2\n```", "every number are ours", "20000 rows"):
        assert part in text
    for picture in ("test_errors.png", "slice.png", "learning.png"):
        assert f"({picture})" in text
        assert (tmp_path / picture).stat().st_size > 5000
    for name in (POISONED, CLEAN):
        assert (tmp_path / f"audit-{name}" / "verdict.json").exists()
