"""`pybackdoor repair`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pybackdoor.cli.options import COMMON, FIT, ORACLE, Command, CommonOptions, FitOptions, OracleOptions
from pybackdoor.errors import InputError

if TYPE_CHECKING:
    from pybackdoor.domain import Domain
    from pybackdoor.oracles import CountedOracle


@dataclass(frozen=True, kw_only=True)
class Repair(Command):
    """Drop or relabel the rows an audit rejects, and with --model-out fit a network to what remains.

    Example: pybackdoor repair --audit audit --data poisoned.parquet --mode drop --out repaired.parquet --model-out repaired.safetensors
    """

    audit: Path
    """The folder that `pybackdoor audit` wrote."""
    data: Path
    """The data that was audited; it must be the same file, unchanged."""
    out: Path
    """The repaired rows: .parquet, .csv or .npz."""
    mode: Literal["drop", "relabel"] = "drop"
    """Leave the suspicious rows out, or have the oracle label them anew (one value call each)."""
    model_out: Path | None = None
    """Fit a network to the repaired rows and write it here (.safetensors)."""
    oracle: str | None = None
    """For relabelling: the oracle, unless the audit used a registered one."""
    use: OracleOptions = ORACLE
    fit: FitOptions = FIT
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Repairs, and refits where asked."""
        from pybackdoor.cli.inputs import sha256
        from pybackdoor.cli.outputs import model_files, samples_file
        from pybackdoor.cli.train import fit_summary
        from pybackdoor.data import read_samples, write_samples
        from pybackdoor.defense import repair
        from pybackdoor.domain import Domain
        from pybackdoor.models import fit, save_model
        from pybackdoor.report.verdict import read_verdict

        config = self.fit.config
        report = read_verdict(self.audit / "verdict.json")
        options = self._audit_options()
        domain = Domain.from_dict(options.get("domain"), str(self.audit / "run.json"))
        audited, given = report.inputs.get("data"), sha256(self.data)
        if audited != given:
            raise InputError(
                f"--data {self.data}: is {given}, the audit in {self.audit} was of {audited or 'a model without data'}; "
                "row numbers would not match: give the file that was audited"
            )
        samples = read_samples(self.data, domain)
        oracle = self._oracle(options, domain) if self.mode == "relabel" and report.suspicious_rows else None
        with samples_file(self.out) as partial, model_files(self.model_out) as (checkpoint, _):
            repaired = repair(samples, report, oracle, mode=self.mode)
            write_samples(partial, repaired)
            if checkpoint is not None:
                surrogate = fit(repaired, config, progress=self.common.progress)
                save_model(checkpoint, surrogate, settings={"fit": asdict(config), "repaired": given, "mode": self.mode})
        changed, calls = len(report.suspicious_rows), 0.0 if oracle is None else oracle.value_calls
        print(f"{self.out}: {repaired.count} rows; {changed} {'dropped' if self.mode == 'drop' else f'relabelled, {calls:g} oracle calls'}")
        if checkpoint is not None:
            print(f"{self.model_out}: {fit_summary(surrogate, repaired)}")
        return 0

    def _audit_options(self) -> dict[str, Any]:
        from pybackdoor.files import read_json

        content = read_json(self.audit / "run.json", kind="run record (JSON)")
        options = content.get("options") if isinstance(content, dict) else None
        if not isinstance(options, dict):
            raise InputError(f"{self.audit / 'run.json'}: has no 'options'; the folder that `pybackdoor audit` wrote is needed")
        return options

    def _oracle(self, options: dict[str, Any], domain: Domain) -> CountedOracle:
        from pybackdoor.cli.inputs import load_oracle
        from pybackdoor.oracles import ORACLES, CountedOracle

        recorded = options.get("oracle")
        if self.oracle is None and recorded not in ORACLES:  # a file or module named in a folder is not run without being named here
            raise InputError(f"repair: the audit's oracle {recorded!r} is not a registered one; name it with --oracle to have it run")
        return CountedOracle(load_oracle(self.oracle or str(recorded), domain, self.use, progress=self.common.progress))
