"""`pybackdoor sample`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pybackdoor.cli.options import COMMON, ORACLE, Command, CommonOptions, OracleOptions


@dataclass(frozen=True, kw_only=True)
class Sample(Command):
    """Draw points of an oracle's domain, have it label them, and write the rows.

    Example: pybackdoor sample --oracle down_and_out_put --rows 20000 --out clean.parquet
    """

    oracle: str
    """A registered name (see `pybackdoor oracles`), package.module:callable or path/to/file.py:callable."""
    out: Path
    """The file to write: .parquet, .csv or .npz."""
    rows: int = 20000
    """Rows to draw; each is one value call of the oracle."""
    method: Literal["sobol", "latin_hypercube", "uniform"] = "sobol"
    """How the points are spread over the domain."""
    noise: float = 0.0
    """Standard deviation, in target units, of Gaussian noise added to the labels."""
    domain: Path | None = None
    """domain.json with names, bounds and scales of the features, for a callable that has none."""
    seed: int = 0
    """Key of every random choice: the same seed gives the same rows."""
    use: OracleOptions = ORACLE
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Samples and writes the rows."""
        from pybackdoor.cli.inputs import load_oracle
        from pybackdoor.cli.outputs import samples_file
        from pybackdoor.data import sample, write_samples
        from pybackdoor.oracles import CountedOracle

        oracle = load_oracle(self.oracle, self.domain, self.use, progress=self.common.progress)
        counted = CountedOracle(oracle)
        with samples_file(self.out) as partial:
            write_samples(partial, sample(counted, self.rows, method=self.method, seed=self.seed, noise=self.noise, progress=self.common.progress))
        features = f"{', '.join(oracle.domain.names)}; {oracle.domain.target}"
        print(f"{self.out}: {self.rows} rows of {oracle.name} ({features}), {counted.value_calls:g} oracle calls")
        return 0
