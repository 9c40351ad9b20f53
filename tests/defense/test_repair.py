"""Repair drops or relabels exactly the suspicious rows."""

from dataclasses import replace

import pytest
import torch

from pybackdoor.data import sample
from pybackdoor.defense import repair
from pybackdoor.errors import InputError
from pybackdoor.loops import AuditConfig, audit
from pybackdoor.oracles import CountedOracle, oracle
from pybackdoor.records import AuditReport, Samples


@pytest.fixture(scope="module")
def report() -> AuditReport:
    samples = sample(oracle("branin"), 60, seed=1)
    return replace(audit(oracle("branin"), None, samples, AuditConfig(budget=30)), suspicious_rows=(3, 17))


def spoiled() -> Samples:
    samples = sample(oracle("branin"), 60, seed=1)
    samples.y[[3, 17]] += 50.0
    return samples


def test_drop_keeps_the_other_rows_in_order(report: AuditReport) -> None:
    samples = spoiled()
    kept = [row for row in range(60) if row not in (3, 17)]
    repaired = repair(samples, report)
    assert torch.equal(repaired.x, samples.x[kept])
    assert torch.equal(repaired.y, samples.y[kept])


def test_relabel_asks_once_a_suspicious_row(report: AuditReport) -> None:
    samples, counted = spoiled(), CountedOracle(oracle("branin"))
    repaired = repair(samples, report, counted, mode="relabel")
    assert counted.value_calls == 2
    torch.testing.assert_close(repaired.y, oracle("branin").values(samples.x), rtol=1e-12, atol=1e-12)
    assert float(samples.y[3] - repaired.y[3]) == pytest.approx(50.0)  # the input is not changed


@pytest.mark.parametrize(("mode", "rows", "message"), [("mend", 60, "mode 'mend'"), ("relabel", 60, "needs the oracle"), ("drop", 10, "row 17")])
def test_mistakes_are_named(report: AuditReport, mode: str, rows: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        repair(spoiled().rows(torch.arange(rows)), report, mode=mode)
