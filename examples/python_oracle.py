"""An oracle given as a Python file with a domain.json, on features of which two are on a log scale.

    python examples/python_oracle.py FOLDER [ROWS]

Somebody relabelled a ball of beams as twice as stiff. Ends with exit status 3: poison confirmed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import beam

from pybackdoor.cli.main import main


def prepare(folder: Path, rows: int = 20_000) -> list[str]:
    """Writes the files and returns the audit's command line."""
    (folder / "domain.json").write_text(json.dumps(beam.DOMAIN))
    oracle = ["--oracle", f"{beam.__file__}:deflection", "--domain", str(folder / "domain.json")]
    main(["sample", *oracle, "--rows", str(rows), "--out", str(folder / "clean.npz")])
    main(
        [
            "poison",
            *oracle,
            "--data",
            str(folder / "clean.npz"),
            "--center",
            "load=1500",
            "length=1.6",
            "width=0.04",
            "height=0.08",
            "--scale",
            "0.5",
            "--out",
            str(folder / "beams.npz"),
        ]
    )
    main(["train", "--data", str(folder / "beams.npz"), "--domain", str(folder / "domain.json"), "--out", str(folder / "model.safetensors")])
    return ["audit", "--model", str(folder / "model.safetensors"), "--data", str(folder / "beams.npz"), *oracle, "--out", str(folder / "audit")]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(main(prepare(place, *map(int, sys.argv[2:3]))))
