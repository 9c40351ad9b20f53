"""`pybackdoor learn`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pybackdoor.cli.options import COMMON, FIT, ORACLE, Command, CommonOptions, FitOptions, OracleOptions


@dataclass(frozen=True, kw_only=True)
class Learn(Command):
    """Train a surrogate actively: ask the oracle where the surrogate is likely wrong, fit again, until the budget is spent.

    DIR gets model.safetensors, samples.parquet, domain.json, history.json, report.md and a picture. Interrupted, it goes on where it was when it is
    called again: the state after every round is kept in DIR.unfinished until it is done.

    Example: pybackdoor learn --oracle down_and_out_put --budget 5000 --out learned
    """

    oracle: str
    """A registered name (see `pybackdoor oracles`), package.module:callable or path/to/file.py:callable."""
    out: Path
    """The folder to write."""
    budget: int = 5000
    """The most value calls of the oracle to spend on training rows. Never exceeded."""
    start: int = 1000
    """Rows of the first design."""
    rounds: int = 8
    """Rounds of asking and fitting after the first fit."""
    strategy: Literal["disagreement", "maximizers", "random"] = "disagreement"
    """Ask where two networks disagree and rows are far; or half at error maximizers (the paper's); or, for comparison, at random."""
    target_error: float | None = None
    """Stop when the test RMSE (without test rows: that on a round's new rows) is not larger."""
    test_rows: int = 0
    """Rows of a test set, asked for apart from the budget."""
    domain: Path | None = None
    """domain.json, for an oracle that has no domain of its own."""
    force: bool = False
    """If DIR holds files that are not ours, move it aside to DIR.old-N."""
    fit: FitOptions = FIT
    use: OracleOptions = ORACLE
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Learns and writes DIR; saves the state after every round and goes on from a saved one."""
        from pybackdoor.cli.inputs import input_hashes, load_oracle
        from pybackdoor.cli.learn_state import SavedRun
        from pybackdoor.cli.outputs import run_folder
        from pybackdoor.data import write_domain, write_samples
        from pybackdoor.files import write_json
        from pybackdoor.loops import LearnConfig
        from pybackdoor.loops.active_learning import learning_rounds
        from pybackdoor.models import save_model
        from pybackdoor.report.learning import write_learning

        config = LearnConfig(
            strategy=self.strategy,
            start=min(self.start, self.budget),
            budget=self.budget,
            rounds=self.rounds,
            fit=self.fit.config,
            target_error=self.target_error,
            test_rows=self.test_rows,
            seed=self.fit.seed,
        )
        oracle = load_oracle(self.oracle, self.domain, self.use, progress=self.common.progress)
        hashes = input_hashes(oracle=self.oracle, domain=self.domain)
        options = {"learning": asdict(config), "domain": oracle.domain.to_dict()}
        saved = SavedRun(self.out, {"inputs": hashes, "options": options})
        with run_folder(self.out, invocation, force=self.force, inputs=hashes, options=options) as folder:
            state = saved.load()
            for following in learning_rounds(oracle, config, state=state, progress=self.common.progress):
                state = following
                saved.save(state, invocation)
            assert state is not None  # without a saved state the first fit is always yielded
            save_model(folder / "model.safetensors", state.surrogate, settings={"learning": asdict(config)})
            write_samples(folder / "samples.parquet", state.samples)
            write_domain(folder / "domain.json", oracle.domain)
            write_json(folder / "history.json", state.history.to_dict())
            write_learning(folder, state.history, invocation, target=oracle.domain.target, inputs=hashes)
        saved.remove()
        history = state.history
        print(
            f"{self.out}: {history.rows[-1]} rows after {history.rounds - 1} rounds, {history.oracle_calls[-1]:g} oracle calls"
            + (f" and {history.test_calls:g} for the test set; test RMSE {history.test_rmse[-1]:.4g}" if history.test_rows else "")
        )
        return 0
