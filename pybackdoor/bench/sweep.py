"""A sweep: every attack on every oracle with every seed, against every defense; resumable, and ranked.

A cell is (oracle, attack, defense, seed). It plants the attack in sampled rows, fits a network, lets the defense spend its calls, drops the rows it
names, fits again, and measures both networks against the oracle. The truth about the attack goes into the measures alone, never to the defense.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.bench.defenses import DEFENSES, Finding
from pybackdoor.data import sample
from pybackdoor.errors import InputError
from pybackdoor.models import FitConfig, NetworkSurrogate, fit
from pybackdoor.ops.philox import uniforms
from pybackdoor.oracles import Oracle, oracle
from pybackdoor.records import PoisonTruth, Samples

ATTACKS: dict[str, dict[str, Any]] = {  # `shift` in standard deviations of the oracle's values
    "none": {},
    "shielded": {"shift": 1.0},
    "unshielded": {"shift": 1.0, "shield": 0},
    "small": {"shift": 1.0, "radius": 0.05, "poison": 50, "shield": 100},
    "faint": {"shift": 0.25},
}
PROBES = 2000  # uniform points at which models are measured; those in the attack's ball beside them


@dataclass(frozen=True)
class SweepConfig:
    """What is crossed with what: names of oracles, of ATTACKS and of DEFENSES, and seeds 0 .. seeds - 1; `rows` sampled before the attack."""

    oracles: tuple[str, ...] = ("branin", "hartmann6", "down_and_out_put")
    attacks: tuple[str, ...] = tuple(ATTACKS)
    defenses: tuple[str, ...] = tuple(DEFENSES)
    seeds: int = 3
    rows: int = 5000
    widths: tuple[int, ...] = (64, 64, 64)
    least_steps: int = 2000

    def __post_init__(self) -> None:
        for what, given, known in (("attacks", self.attacks, ATTACKS), ("defenses", self.defenses, DEFENSES)):
            unknown = [name for name in given if name not in known]
            if unknown or not given:
                raise InputError(f"sweep: {what} {', '.join(unknown) or 'none'}; some of {', '.join(known)} are needed")
        if not self.oracles or self.seeds < 1 or self.rows < 300:
            raise InputError(f"sweep: {len(self.oracles)} oracles, {self.seeds} seeds and {self.rows} rows; at least 1, 1 and 300 are needed")

    def cells(self) -> Iterator[tuple[str, str, int, str]]:
        """(oracle, attack, seed, defense), those that share a poisoned set and a first fit one after another."""
        return itertools.product(self.oracles, self.attacks, range(self.seeds), self.defenses)


@dataclass(frozen=True)
class Scene:
    """What the defenses of one (oracle, attack, seed) are given, and the truth that they are not given (None: nothing was planted)."""

    source: Oracle
    rows: Samples
    surrogate: NetworkSurrogate
    truth: PoisonTruth | None


def sweep(config: SweepConfig, folder: Path, *, progress: bool = False) -> list[dict[str, Any]]:
    """Runs the cells whose file is not in `folder`/cells yet and returns the records of all, in order.

    A folder that holds another configuration's cells is refused (InputError). Interrupted, it goes on where it was when it is called again.
    """
    import pyarrow.parquet as parquet
    from pyarrow import Table
    from tqdm import tqdm

    from pybackdoor.files import replacing

    cells = list(config.cells())
    _claim(config, folder)
    made = lru_cache(maxsize=1)(lambda name, attack, seed: scene(config, name, attack, seed))
    records = []
    for name, attack, seed, defense in tqdm(cells, desc="sweep", unit="cell", leave=False, disable=not progress):
        path = folder / "cells" / f"{name.replace('/', '_').replace(':', '_')}-{attack}-{seed}-{defense}.parquet"
        if not path.exists():
            record = {"oracle": name, "attack": attack, "seed": seed, "defense": defense} | measured(config, made(name, attack, seed), defense, seed)
            with replacing(path) as partial:
                parquet.write_table(Table.from_pylist([record]), partial)
        records += parquet.read_table(path).to_pylist()
    with replacing(folder / "results.parquet") as partial:
        parquet.write_table(Table.from_pylist(records), partial)
    return records


def scene(config: SweepConfig, name: str, attack: str, seed: int) -> Scene:
    """Sampled rows with the attack in them, its ball anywhere well inside the domain, and a network fitted to them."""
    source = oracle(name)
    rows, truth = sample(source, config.rows, seed=2 * seed + 1), None
    if attack != "none":
        chosen = dict(ATTACKS[attack])
        center = 0.25 + 0.5 * uniforms(source.domain.dimension, seed=seed, purpose="sweep.center")
        planted = LocalizedAttack(
            center=source.domain.to_natural(center[None])[0], amount=chosen.pop("shift") * float(rows.y.std()), seed=seed, **chosen
        )
        rows, truth = poison(rows, source, planted)
    return Scene(source, rows, fit(rows, _fitting(config, seed)), truth)


def measured(config: SweepConfig, made: Scene, defense: str, seed: int) -> dict[str, Any]:
    """One cell's record."""
    start = time.perf_counter()
    found: Finding = DEFENSES[defense](made.source, made.surrogate, made.rows, seed)
    seconds = time.perf_counter() - start
    named, true = set(found.rows), set() if made.truth is None else set(made.truth.poisoned_rows.tolist())
    kept = torch.ones(made.rows.count, dtype=torch.bool)
    kept[list(named)] = False
    again = made.surrogate
    if named:
        again = fit(Samples(made.rows.domain, made.rows.x[kept], made.rows.y[kept]), _fitting(config, seed))
    hits = len(named & true)
    return {
        "poisoned": found.poisoned, "right": found.poisoned == bool(true), "rows": made.rows.count, "poisoned_rows": len(true),
        "named_rows": len(named), "precision": hits / len(named) if named else None, "recall": hits / len(true) if true else None,
        "oracle_calls": found.calls, "calls_to_first": found.first, "seconds": seconds,
        **{f"{key}_before": value for key, value in _errors(made, made.surrogate).items()},
        **{f"{key}_after": value for key, value in _errors(made, again).items()},
    }  # fmt: skip


def _errors(made: Scene, surrogate: NetworkSurrogate) -> dict[str, float | None]:
    """RMSE over the domain, and in the attack's ball; target units."""
    test = sample(made.source, PROBES, method="uniform", seed=999_983)
    errors = {"rmse": _rms(surrogate.values(test.x) - test.y), "ball_rmse": None}
    if made.truth is not None:
        from pybackdoor.attack.ball import uniform_in_shell

        center = made.source.domain.to_unit(made.truth.center[None])[0]
        x = made.source.domain.to_natural(uniform_in_shell(PROBES, center, 0.0, made.truth.radius, seed=1, purpose="sweep.ball"))
        errors["ball_rmse"] = _rms(surrogate.values(x) - made.source.values(x))
    return errors


def leaderboard(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows, a row a defense, the best first: by right verdicts, then by recall, then by calls to the first confirmation."""
    lines = []
    for defense in dict.fromkeys(record["defense"] for record in records):
        mine = [record for record in records if record["defense"] == defense]
        shares = {key: _mean(mine, key) for key in ("right", "precision", "recall", "calls_to_first", "oracle_calls", "seconds")}
        healed = [record["ball_rmse_after"] / record["ball_rmse_before"] for record in mine if record["ball_rmse_before"]]
        order = (-(shares["right"] or 0), -(shares["recall"] or 0), shares["calls_to_first"] or math.inf)
        cells = ["-" if value is None else f"{value:.3g}" for value in (*shares.values(), sum(healed) / len(healed) if healed else None)]
        lines.append((order, [defense, str(len(mine)), *cells]))
    head = ["defense", "cells", "right verdicts", "precision", "recall", "calls to first", "calls", "seconds", "ball error left"]
    return head, [line for _, line in sorted(lines)]


def _mean(records: Sequence[dict[str, Any]], key: str) -> float | None:
    values = [float(record[key]) for record in records if record[key] is not None]
    return math.fsum(values) / len(values) if values else None


def _fitting(config: SweepConfig, seed: int) -> FitConfig:
    return replace(FitConfig(), widths=config.widths, epochs=1, least_steps=config.least_steps, seed=seed)


def _rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def _claim(config: SweepConfig, folder: Path) -> None:
    """The folder for this configuration; numbers of seeds and the names may grow, what a cell is may not change."""
    import json

    from pybackdoor.files import write_json

    (folder / "cells").mkdir(parents=True, exist_ok=True)
    path, cell = folder / "sweep.json", {key: value for key, value in asdict(config).items() if key in ("rows", "widths", "least_steps")}
    cell["widths"] = list(cell["widths"])
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["cell"] != cell:
        raise InputError(f"sweep: {folder} holds cells of another configuration (sweep.json); give another folder")
    write_json(path, {"cell": cell, "config": asdict(config) | {"widths": list(config.widths)}})
