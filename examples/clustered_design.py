"""An honest data set whose rows crowd around a few operating points and leave much of the domain empty.

    python examples/clustered_design.py FOLDER [ROWS]

Large errors lie where rows are few, and crowded rows have right labels: coverage gaps, no poison. Ends with exit status 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from pybackdoor.cli.main import main
from pybackdoor.data import design, write_samples
from pybackdoor.models import fit, save_model
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples


def prepare(folder: Path, rows: int = 20_000) -> list[str]:
    """Writes the files and returns the audit's command line."""
    pricer = oracle("down_and_out_put")
    generator = torch.Generator().manual_seed(0)
    centers = 0.15 + 0.7 * torch.rand(12, 5, dtype=torch.float64, generator=generator)
    crowd = centers[torch.arange(rows) % 12] + 0.06 * torch.randn(rows, 5, dtype=torch.float64, generator=generator)
    inside = crowd[((crowd >= 0) & (crowd <= 1)).all(dim=1)]
    x = torch.cat([pricer.domain.to_natural(inside), design(pricer.domain, rows // 20)])
    samples = Samples(pricer.domain, x, pricer.values(x))
    write_samples(folder / "rows.parquet", samples)
    save_model(folder / "model.safetensors", fit(samples))
    return [
        "audit",
        "--model",
        str(folder / "model.safetensors"),
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
