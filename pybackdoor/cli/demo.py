"""`pybackdoor demo`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pybackdoor.cli.options import COMMON, Command, CommonOptions
from pybackdoor.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Run the paper's experiment end to end on the built-in down-and-out put: sample, poison, audit, repair, learn actively.

    Prints one table; DIR gets report.md and the pictures.

    Example: pybackdoor demo
    """

    out: Path = Path("pybackdoor-demo")
    """The folder to write."""
    seeds: int = 1
    """Repetitions with different seeds; with 5 the table has 95 % intervals."""
    seed: int = 0
    """The first seed."""
    force: bool = False
    """If DIR holds files that are not ours, move it aside to DIR.old-N."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Runs the experiment, prints the table, writes DIR."""
        import time

        from pybackdoor.cli.outputs import run_folder
        from pybackdoor.loops import ExperimentConfig, run_trial, slice_through
        from pybackdoor.oracles import oracle
        from pybackdoor.report.experiment import experiment_text, write_experiment

        if self.seeds < 1:
            raise InputError(f"demo: {self.seeds} seeds; at least 1 is needed")
        start = time.perf_counter()
        config = ExperimentConfig(seeds=tuple(range(self.seed, self.seed + self.seeds)))
        with run_folder(self.out, invocation, force=self.force, inputs={}, options={"experiment": asdict(config)}) as folder:
            trials = [run_trial(config, seed, progress=self.common.progress) for seed in config.seeds]
            learning = None
            seconds = time.perf_counter() - start
            write_experiment(folder, trials, learning, slice_through(trials[0], oracle(config.oracle)), config, invocation, seconds)
        print(experiment_text(trials, learning, seconds))
        print(f"report and pictures: {self.out / 'report.md'}")
        return 0
