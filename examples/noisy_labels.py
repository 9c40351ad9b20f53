"""Labels with Monte Carlo noise: each row was priced by its own small simulation, and the audit is told nothing about the error.

    python examples/noisy_labels.py FOLDER [ROWS]

Somebody poisoned the rows. The audit estimates the honest labels' error from a random share of its calls, and finds the poison all the same:
exit status 3. The same rows without the poison give 0.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.cli.main import main
from pybackdoor.data import design, write_samples
from pybackdoor.models import fit, save_model
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples

PATHS, STEPS, SPOT = 500, 16, 100.0


def simulate(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Prices of down-and-out puts [N] by PATHS paths each, the barrier watched between the dates by the Brownian bridge."""
    strike, barrier, volatility, maturity, rate = (column[:, None] for column in x.T)
    step = maturity / STEPS
    log, alive = torch.full((len(x), PATHS), math.log(SPOT), dtype=torch.float64), torch.ones(len(x), PATHS, dtype=torch.float64)
    for _ in range(STEPS):
        moved = log + (rate - volatility**2 / 2) * step + volatility * step.sqrt() * torch.randn(log.shape, dtype=torch.float64, generator=generator)
        above, above_then = (log - barrier.log()).clamp(min=0), (moved - barrier.log()).clamp(min=0)
        alive, log = alive * -torch.expm1(-2 * above * above_then / (volatility**2 * step)), moved
    return ((-rate * maturity).exp() * alive * (strike - log.exp()).clamp(min=0)).mean(dim=1)


def prepare(folder: Path, rows: int = 20_000, attack: bool = True) -> list[str]:
    """Writes the files and returns the audit's command line."""
    pricer = oracle("down_and_out_put")
    x = design(pricer.domain, rows)
    generator = torch.Generator().manual_seed(0)
    samples = Samples(pricer.domain, x, torch.cat([simulate(part, generator) for part in x.split(1000)]))
    if attack:
        samples, _ = poison(samples, pricer, LocalizedAttack({"strike": 120, "barrier": 60, "volatility": 0.3, "maturity": 1, "rate": 0.05}))
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
