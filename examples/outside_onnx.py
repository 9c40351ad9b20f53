"""A model trained outside the package, by plain torch in natural units, and handed over as ONNX with its CSV of rows.

    python examples/outside_onnx.py FOLDER [ROWS]

Somebody poisoned the rows. Ends with exit status 3: poison confirmed.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.cli.main import main
from pybackdoor.data import sample, write_samples
from pybackdoor.oracles import oracle


def train_outside(x: torch.Tensor, y: torch.Tensor, path: Path, steps: int) -> None:
    """What a colleague who never heard of pybackdoor would write."""
    torch.manual_seed(0)
    body = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 1),
    )
    mean, spread = x.mean(0), x.std(0)
    optimizer = torch.optim.Adam(body.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (512,))
        loss = (body((x[rows] - mean) / spread)[:, 0] - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # natural units: the scaling goes into the first layer
        body[0].bias -= body[0].weight @ (mean / spread)
        body[0].weight /= spread
    with warnings.catch_warnings(action="ignore"):  # the classic exporter is deprecated, and needs no further package
        torch.onnx.export(body, (x[:1],), path, dynamo=False, input_names=["x"], output_names=["price"], dynamic_axes={"x": {0: "rows"}})


def prepare(folder: Path, rows: int = 20_000, steps: int = 6000) -> list[str]:
    """Writes the files and returns the audit's command line."""
    pricer = oracle("down_and_out_put")
    attack = LocalizedAttack({"strike": 150, "barrier": 70, "volatility": 0.4, "maturity": 2, "rate": 0.05})
    samples, _ = poison(sample(pricer, rows), pricer, attack)
    write_samples(folder / "rows.csv", samples)
    train_outside(samples.x.float(), samples.y.float(), folder / "model.onnx", steps)
    return [
        "audit",
        "--model",
        str(folder / "model.onnx"),
        "--data",
        str(folder / "rows.csv"),
        "--oracle",
        "down_and_out_put",
        "--out",
        str(folder / "audit"),
    ]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(main(prepare(place, *map(int, sys.argv[2:3]))))
