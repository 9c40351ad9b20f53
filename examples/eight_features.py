"""Eight features (the borehole function), where every fixed radius is empty of honest rows.

    python examples/eight_features.py FOLDER [ROWS]

Somebody poisoned the rows. Ends with exit status 3: poison confirmed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.cli.main import main
from pybackdoor.data import sample, write_samples
from pybackdoor.models import export_onnx, fit
from pybackdoor.oracles import oracle


def prepare(folder: Path, rows: int = 20_000) -> list[str]:
    """Writes the files and returns the audit's command line."""
    borehole = oracle("borehole")
    middle = borehole.domain.to_natural(sample(borehole, 2).x.new_full((1, 8), 0.6))[0]
    samples, _ = poison(sample(borehole, rows), borehole, LocalizedAttack(middle, radius=0.2, amount=60.0))
    write_samples(folder / "rows.parquet", samples)
    export_onnx(folder / "model.onnx", fit(samples))
    return [
        "audit",
        "--model",
        str(folder / "model.onnx"),
        "--data",
        str(folder / "rows.parquet"),
        "--oracle",
        "borehole",
        "--out",
        str(folder / "audit"),
    ]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(main(prepare(place, *map(int, sys.argv[2:3]))))
