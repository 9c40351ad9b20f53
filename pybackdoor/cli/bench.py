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
    """Measure this package on this machine: a trace of every stage and a roofline of the ops.

    DIR gets trace.json (open it in Perfetto or chrome://tracing), roofline.txt and roofline.json: each op's operations and bytes a second beside
    those this machine reaches on plain products and a plain copy, calibrated in the same run. docs/gpu.md says how to read them.

    Example: pybackdoor bench profile --out profile
    """

    what: Annotated[Literal["profile"], Positional]
    """What to measure."""
    out: Path
    """The folder to write."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the ops run; on the CPU with one thread."""
    seconds: float = 20.0
    """Time for the roofline, about; the trace takes some more."""
    force: bool = False
    """If DIR holds files that are not ours, move it aside to DIR.old-N."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Profiles, writes DIR and prints the roofline."""
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
