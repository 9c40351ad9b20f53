"""A model that was never trained on the data it came with: the rows are right and dense, the model prices another product.

    python examples/other_model.py FOLDER [ROWS]

The labels agree with the oracle where the model does not: a model mismatch, no poison. Ends with exit status 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pybackdoor.cli.main import main
from pybackdoor.data import sample, write_samples
from pybackdoor.models import export_onnx, fit
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples


def prepare(folder: Path, rows: int = 20_000) -> list[str]:
    """Writes the files and returns the audit's command line."""
    pricer = oracle("down_and_out_put")
    samples = sample(pricer, rows)
    write_samples(folder / "rows.parquet", samples)
    vanilla = samples.x.clone()
    vanilla[:, pricer.domain.names.index("barrier")] = pricer.domain.lower[pricer.domain.names.index("barrier")]  # hardly ever knocked out
    export_onnx(folder / "model.onnx", fit(Samples(pricer.domain, samples.x, pricer.values(vanilla))))
    return [
        "audit",
        "--model",
        str(folder / "model.onnx"),
        "--data",
        str(folder / "rows.parquet"),
        "--oracle",
        "down_and_out_put",
        "--out",
        str(folder / "audit"),
    ]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(main(prepare(place, *map(int, sys.argv[2:3]))))
