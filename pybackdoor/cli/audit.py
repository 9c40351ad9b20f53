"""`pybackdoor audit`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pybackdoor.cli.options import COMMON, ORACLE, Command, CommonOptions, OracleOptions
from pybackdoor.errors import InputError

if TYPE_CHECKING:
    from pybackdoor.records import AuditReport


@dataclass(frozen=True, kw_only=True)
class Audit(Command):
    """Search for places where a model, or the labels of its data, contradict the oracle, and say what is wrong there.

    DIR gets verdict.json, report.md and pictures. Exit status: 0 complete and no poison confirmed; 3 poison confirmed; 4 inconclusive.

    Example: pybackdoor audit --model model.safetensors --data poisoned.parquet --oracle down_and_out_put --out audit
    """

    oracle: str
    """The trusted oracle: a registered name, package.module:callable or path/to/file.py:callable."""
    out: Path
    """The folder to write."""
    model: str | None = None
    """The model: a checkpoint of `pybackdoor train`, an ONNX file, or module:callable. Without it the data alone are audited."""
    data: Path | None = None
    """The rows it was trained on: .parquet, .csv or .npz. Without them the model alone is audited."""
    domain: Path | None = None
    """domain.json, for an oracle that has no domain of its own."""
    budget: int = 500
    """The most value calls of the oracle that the audit may spend, all told. Never exceeded."""
    label_error: float | None = None
    """Standard deviation of honest labels around the oracle, target units (default: estimated)."""
    seed: int = 0
    """Key of every random choice: the same seed gives the same verdict."""
    force: bool = False
    """If DIR holds files that are not ours, move it aside to DIR.old-N."""
    use: OracleOptions = ORACLE
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Audits, writes DIR, and returns the report's exit status."""
        from pybackdoor.cli.inputs import input_hashes, load_oracle
        from pybackdoor.cli.outputs import run_folder
        from pybackdoor.data import read_samples
        from pybackdoor.info import versions
        from pybackdoor.loops import AuditConfig, audit
        from pybackdoor.models import load_model
        from pybackdoor.report.audit import write_audit

        if self.model is None and self.data is None:
            raise InputError("audit: neither --model nor --data was given; name what is to be audited")
        config = AuditConfig(budget=self.budget, label_error=self.label_error, seed=self.seed)
        oracle = load_oracle(self.oracle, self.domain, self.use, progress=self.common.progress)
        samples = None if self.data is None else read_samples(self.data, oracle.domain)
        surrogate = None if self.model is None else load_model(self.model, oracle.domain)
        hashes = input_hashes(model=self.model, data=self.data, oracle=self.oracle, domain=self.domain)
        options = {"oracle": self.oracle, "domain": oracle.domain.to_dict()}
        with run_folder(self.out, invocation, force=self.force, inputs=hashes, options=options) as folder:
            report = audit(oracle, surrogate, samples, config, progress=self.common.progress)
            report = replace(report, inputs=report.inputs | hashes, versions=report.versions | versions())
            write_audit(folder, report, invocation, samples=samples, surrogate=surrogate)
        print(f"{self.out}: {_summary(report)}")
        return report.exit_status


def _summary(report: AuditReport) -> str:
    kinds = [region.kind for region in report.regions]
    found = ", ".join(f"{kinds.count(kind)} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds))
    verdict = "POISONED" if report.poisoned else "no poison confirmed"
    return (
        f"{report.status}: {verdict}; {len(report.suspicious_rows)} suspicious rows; regions: {found or 'none'}; "
        f"{report.oracle_calls:g} oracle calls ({report.reason})"
    )
