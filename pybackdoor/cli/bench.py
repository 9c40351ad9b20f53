"""`pybackdoor bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from pybackdoor.cli.options import COMMON, Command, CommonOptions
from pybackdoor.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Bench(Command):
    """Measure this package: its speed on this machine (profile), or attacks against defenses over oracles and seeds (sweep).

    profile: DIR gets trace.json (open it in Perfetto or chrome://tracing), roofline.txt and roofline.json: each op's operations and bytes a second
    beside those this machine reaches on plain products and a plain copy, calibrated in the same run. docs/gpu.md says how to read them.

    sweep: DIR gets a Parquet file a cell, results.parquet with all of them and leaderboard.md. Interrupted, or with more seeds or names, it goes on
    where it was when it is called again.

    Example: pybackdoor bench profile --out profile
    """

    what: Annotated[Literal["profile", "sweep"], Positional]
    """What to measure."""
    out: Path
    """The folder to write."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Of a profile: where the ops run; on the CPU with one thread."""
    seconds: float = 20.0
    """Of a profile: time for the roofline, about; the trace takes some more."""
    force: bool = False
    """Of a profile: if DIR holds files that are not ours, move it aside to DIR.old-N."""
    oracles: tuple[str, ...] = ("branin", "hartmann6", "down_and_out_put")
    """Of a sweep: registered names (see `pybackdoor oracles`), or module:callable."""
    attacks: tuple[str, ...] = ("none", "shielded", "unshielded", "small", "faint")
    """Of a sweep: what is planted; "none" is the clean twin."""
    defenses: tuple[str, ...] = ("audit_500", "audit_250", "random_500")
    """Of a sweep: the audit with that many value calls, or as many rows compared at random."""
    seeds: int = 3
    """Of a sweep: repetitions with other data, places and networks."""
    rows: int = 5000
    """Of a sweep: rows before the attack."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Measures, writes DIR and prints the table."""
        return self._profile(invocation) if self.what == "profile" else self._sweep()

    def _profile(self, invocation: str) -> int:
        from pybackdoor.bench.profile import profile
        from pybackdoor.cli.outputs import run_folder

        if not 1.0 <= self.seconds <= 3600.0:
            raise InputError(f"--seconds {self.seconds:g}: a number from 1 to 3600 is needed")
        options = {"device": self.device, "seconds": self.seconds}
        with run_folder(self.out, invocation, force=self.force, inputs={}, options=options) as folder:
            text = profile(folder, self.device, seconds=self.seconds)
        print(text, end="")
        print(f"the trace: {self.out / 'trace.json'}")
        return 0

    def _sweep(self) -> int:
        from pybackdoor.bench.sweep import SweepConfig, leaderboard, sweep
        from pybackdoor.files import replacing
        from pybackdoor.report.tables import aligned, markdown

        config = SweepConfig(self.oracles, self.attacks, self.defenses, self.seeds, self.rows)
        head, lines = leaderboard(sweep(config, self.out, progress=self.common.progress))
        with replacing(self.out / "leaderboard.md") as partial:
            partial.write_text(markdown(head, lines) + "\n", encoding="utf-8")
        print(aligned((head, lines)))
        print(f"all cells: {self.out / 'results.parquet'}")
        return 0
