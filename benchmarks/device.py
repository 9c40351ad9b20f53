"""Everything that needs a GPU, in one command and a stated time: `python -m benchmarks.device [--minutes 10] [--out FOLDER]`.

In this order: what is there; what is missing is built from source, without network access; every GPU test with --require-gpu; the device's ceilings;
the GPU benchmark groups beside their peers (benchmarks/bench_*_gpu.py); the ceilings again; a kernel trace of the group that loses most; and
compute-sanitizer over the GPU tests where it is installed and time is left. Each stage is a process of its own, so that a kernel that breaks its
device's context ends one stage. FOLDER/results.jsonl gets a line a finding as soon as it is there; FOLDER/table.txt is what `benchmarks.device_table`
makes of it. Exit status: 0, or 1 when a stage failed, a test failed or a result was wrong.

--dry runs every stage to its end on the CPU, in tiny sizes, and claims nothing. --only WORD keeps the benchmark modules whose name has WORD.
--write-timings puts the measured order of the ascent's backends into pybackdoor/ops/ascent/timings.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.device_stages import ROOT, STAGES, append, bench_modules
from benchmarks.device_table import read, table

SHARES = {"environment": 0.05, "build": 0.5, "tests": 0.4, "calibrate": 0.05, "loss": 0.1, "sanitize": 1.0}  # most of what is left; the rest: even


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "device")
    parser.add_argument("--only", default="")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--no-sanitizer", action="store_true")
    parser.add_argument("--write-timings", action="store_true")
    parser.add_argument("--stage", help=argparse.SUPPRESS)  # how a stage's process is started
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def plan(options: argparse.Namespace) -> list[str]:
    """The stages of this run, in order."""
    benches = [f"bench:{module}" for module in bench_modules(options.only)]
    stages = ["environment", "build", "tests", "calibrate", *benches, "calibrate", "loss"]
    if options.only:
        stages = ["environment", "build", "calibrate", *benches, "loss"]
    return stages if options.no_sanitizer else [*stages, "sanitize"]


def run_stage(stage: str, options: argparse.Namespace, seconds: float) -> None:
    """One stage in its own process, ended when its time is over; what became of it is a line of the results."""
    command = [sys.executable, "-m", "benchmarks.device", "--stage", stage, "--out", str(options.out), "--seconds", f"{seconds:.0f}"]
    command += [*(["--dry"] if options.dry else []), *(["--only", options.only] if options.only else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    begin, outcome = time.monotonic(), "done"
    log = options.out / f"{stage.replace(':', '-')}.log"
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout=seconds + 20)
            outcome = "done" if status == 0 else f"failed with status {status}; see {log.name}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            outcome = "stopped: its time was over"
    append(options.out, {"stage": stage, "outcome": outcome, "took": round(time.monotonic() - begin, 1)})


def main(arguments: list[str] | None = None) -> int:
    """Runs the stages and prints the table."""
    options = parsed(arguments)
    if options.stage is not None:
        name, _, argument = options.stage.partition(":")
        return STAGES[name](options.out, options.seconds, options.dry, argument)
    import torch

    if not options.dry and not torch.cuda.is_available():
        print("benchmarks.device: torch finds no CUDA device; --dry runs every stage on the CPU", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("*"):
        if old.is_file():
            old.unlink()
    end = time.monotonic() + 60 * options.minutes
    stages = plan(options)
    for position, stage in enumerate(stages):
        left = end - time.monotonic()
        if left < 5:
            append(options.out, {"stage": stage, "outcome": "left out: the time was over", "took": 0.0})
            continue
        share = SHARES.get(stage)
        benches = sum(name.startswith("bench:") for name in stages[position:])
        reserve = 0.15 * 60 * options.minutes if stage.startswith("bench:") else 0.0
        run_stage(stage, options, left * share if share else max(left - reserve, 5) / max(benches, 1))
        (options.out / "table.txt").write_text(table(read(options.out)), encoding="utf-8")
    records = read(options.out)
    print(table(records))
    if options.write_timings:
        from benchmarks.device_timings import write

        print(write(records, dry=options.dry))
    return int(any(troubled(record) for record in records))


def troubled(record: dict) -> bool:
    """Whether a line says that something of ours is wrong."""
    if "stage" in record:
        return str(record["outcome"]).startswith("failed")
    if "tests" in record:
        return bool(record["tests"].get("failed") or record["tests"].get("errors"))
    return "wrong" in record or ("failed" in record and str(record.get("subject", "")).startswith("ours")) or bool(record.get("sanitizer_errors"))


if __name__ == "__main__":
    sys.exit(main())
