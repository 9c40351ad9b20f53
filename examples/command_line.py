"""Everything by the command line: sample, poison, train, audit, repair.

    python examples/command_line.py FOLDER [ROWS]

Ends with exit status 3 of the audit: poison confirmed. The same commands can be typed in a shell; they are printed.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from pybackdoor.cli.main import main


def run(folder: Path, rows: int = 20_000) -> int:
    """Runs the commands in `folder`; returns the audit's exit status."""
    oracle = ["--oracle", "down_and_out_put"]
    clean, poisoned, model, audit = (str(folder / name) for name in ("clean.parquet", "poisoned.parquet", "model.safetensors", "audit"))
    center = ["strike=120", "barrier=60", "volatility=0.3", "maturity=1", "rate=0.05"]
    say("sample", *oracle, "--rows", str(rows), "--out", clean)
    say(
        "poison",
        *oracle,
        "--data",
        clean,
        "--center",
        *center,
        "--radius",
        "0.1",
        "--shift",
        "20",
        "--poison",
        "200",
        "--shield",
        "400",
        "--out",
        poisoned,
    )
    say("train", "--data", poisoned, *oracle, "--out", model, "--onnx", str(folder / "model.onnx"))
    verdict = say("audit", "--model", model, "--data", poisoned, *oracle, "--out", audit, "--force")
    say(
        "repair",
        "--audit",
        audit,
        "--data",
        poisoned,
        "--mode",
        "drop",
        "--out",
        str(folder / "repaired.parquet"),
        "--model-out",
        str(folder / "repaired.safetensors"),
    )
    return verdict


def say(*arguments: str) -> int:
    """Prints a command and runs it; ends the script when it fails."""
    print(shlex.join(["$ pybackdoor", *arguments]).replace("'$ pybackdoor'", "$ pybackdoor"))
    status = main(arguments)
    if status not in (0, 3):
        sys.exit(status)
    return status


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(run(place, *map(int, sys.argv[2:3])))
