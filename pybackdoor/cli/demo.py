"""`pybackdoor demo`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pybackdoor.cli.options import COMMON, Command, CommonOptions
from pybackdoor.errors import InputError

MOST_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Run the paper's experiment end to end on the built-in down-and-out put: sample, poison, audit, repair, learn actively.

    Prints one table; DIR gets report.md and the pictures.

    Example: pybackdoor demo
    """

    out: Path = Path("pybackdoor-demo")
    """The folder to write."""
    seeds: int = 1
    """Repetitions with different seeds; with 5 the table has intervals."""
    seed: int = 0
    """The first seed."""
    rows: int = 20_000
    """Training rows before the attack; each is one value call of the oracle."""
    force: bool = False
    """If DIR holds files that are not ours, move it aside to DIR.old-N."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Runs the experiment, prints the table, writes DIR."""
        import time

        from tqdm import tqdm

        from pybackdoor.cli.outputs import run_folder
        from pybackdoor.loops import ExperimentConfig, LearnConfig, run_trial, slice_through
        from pybackdoor.loops.comparison import compare_strategies
        from pybackdoor.oracles import oracle
        from pybackdoor.report.experiment import experiment_text, write_experiment

        if not 1 <= self.seeds <= MOST_SEEDS:
            raise InputError(f"--seeds {self.seeds}: a whole number from 1 to {MOST_SEEDS} is needed")
        config = ExperimentConfig(rows=self.rows, seeds=tuple(range(self.seed, self.seed + self.seeds)))
        learning_config = LearnConfig()
        start, progress = time.perf_counter(), self.common.progress
        options = {"experiment": asdict(config), "learning": asdict(learning_config)}
        with run_folder(self.out, invocation, force=self.force, inputs={}, options=options) as folder:
            source = oracle(config.oracle)
            seeds = tqdm(config.seeds, desc="seeds", leave=False, disable=not progress or self.seeds == 1)
            trials = [run_trial(config, seed, progress=progress) for seed in seeds]
            learning = compare_strategies(source, learning_config, seeds=config.seeds, progress=progress)
            seconds = time.perf_counter() - start
            write_experiment(folder, trials, learning, slice_through(trials[0], source), config, invocation, seconds)
        print(experiment_text(trials, learning, seconds))
        print(f"pictures and the report: {self.out / 'report.md'}")
        return 0
