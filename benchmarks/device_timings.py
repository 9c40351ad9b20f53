"""Writes the measured order of an op's backends (`pybackdoor/ops/<op>/timings.json`) from the results of `benchmarks.device`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from benchmarks.device_table import Record, groups
from pybackdoor.files import write_json
from pybackdoor.ops.timings import FOLDER, parsed

SIZES = ("width", "hidden", "seeds", "networks")


def write(records: list[Record], *, dry: bool, folder: Path = FOLDER) -> str:
    """Puts this run in place of an older one of the same device, keeps those of others, and says what was done. A dry run writes nothing."""
    if dry:
        return "timings: a dry run measures nothing; the tables stay as they are"
    import torch

    properties = torch.cuda.get_device_properties(0)
    environment = next(record for record in records if "environment" in record)
    said = []
    for op, rows in measured_rows(records).items():
        run = {"device": properties.name, "capability": [properties.major, properties.minor], "commit": environment["commit"],
               "date": datetime.date.today().isoformat(), "versions": environment["environment"]["versions"], "rows": rows}  # fmt: skip
        said.append(f"timings: {len(rows)} sizes in {merged(folder / op / 'timings.json', op, run)}")
    return "\n".join(said) or "timings: no group measured two backends of ours; the tables stay as they are"


def measured_rows(records: list[Record]) -> dict[str, list[dict[str, Any]]]:
    """For each op the sizes at which backends of ours were timed: {"width", "hidden", "seeds", "seconds": {backend: median}}."""
    found: dict[str, list[dict[str, Any]]] = {}
    for subjects in groups(records).values():
        about = subjects[0]["about"]
        seconds = {
            record["subject"].split()[1]: record["seconds"]["median"]
            for record in subjects
            if "seconds" in record and record["subject"].startswith("ours ") and not record["subject"].endswith("graphed")
        }
        if len(seconds) >= 2 and "op" in about:
            found.setdefault(about["op"], []).append({name: about[name] for name in SIZES if name in about} | {"seconds": seconds})
    return found


def merged(path: Path, op: str, run: dict[str, Any]) -> Path:
    """The table at `path` with `run` in it."""
    runs = json.loads(path.read_text(encoding="utf-8"))["measured"] if path.exists() else []
    content = {"schema": 1, "op": op, "measured": [*(old for old in runs if old["device"] != run["device"]), run]}
    parsed(content, op)
    write_json(path, content)
    return path
