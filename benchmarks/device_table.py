"""What `benchmarks.device` found, in a form to read: `python -m benchmarks.device_table FOLDER`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(folder: Path) -> list[Record]:
    """The lines of FOLDER/results.jsonl; one that was cut off is left out."""
    path = folder / "results.jsonl"
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def table(records: list[Record]) -> str:
    """Everything, one paragraph a kind."""
    return "\n".join([*_head(records), *_stages(records), *_ceilings(records), *_groups(records), *_tail(records)]) + "\n"


def groups(records: list[Record]) -> dict[str, list[Record]]:
    """The subjects of each group, in their order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if "group" in record:
            found.setdefault(record["group"], []).append(record)
    return found


def best(subjects: list[Record], ours: bool) -> Record | None:
    """The fastest of ours, or of the peers."""
    timed = [record for record in subjects if "seconds" in record and ours == ("ours" in record["subject"])]
    return min(timed, key=lambda record: record["seconds"]["median"]) if timed else None


def largest_loss(records: list[Record]) -> dict[str, Any] | None:
    """The group in which the strongest peer leaves ours the smallest ratio, compared with the group's bar where it has one."""
    worst: dict[str, Any] | None = None
    for name, subjects in groups(records).items():
        ours, peer = best(subjects, True), best(subjects, False)
        if ours is None or peer is None:
            continue
        ratio, bar = peer["seconds"]["median"] / ours["seconds"]["median"], ours["about"].get("bar")
        entry = {"group": name, "ours": ours["subject"], "peer": peer["subject"], "ratio": ratio, "bar": bar, "of_bar": ratio / (bar or 1.0)}
        if worst is None or entry["of_bar"] < worst["of_bar"]:
            worst = entry
    return worst


def rates(records: list[Record]) -> dict[str, float]:
    """The better of the calibrations: operations a second by precision, and "bytes"."""
    found: dict[str, float] = {}
    for record in records:
        if "ceilings" in record:
            ceilings = record["ceilings"]
            for name, rate in {**ceilings["flops"], "bytes": ceilings["bytes_per_second"]}.items():
                found[name] = max(found.get(name, 0.0), rate)
    return found


def _head(records: list[Record]) -> Iterator[str]:
    for record in records:
        if "environment" in record:
            there = record["environment"]
            if record["dry"]:
                yield "DRY RUN on the CPU: every stage was exercised in tiny sizes; no figure below means anything."
            yield f"device: {there['gpu'] if isinstance(there['gpu'], str) else '; '.join(map(str, there['gpu']))}; commit {record['commit'][:9]}"
            yield "versions: " + ", ".join(f"{name} {version}" for name, version in there["versions"].items())
            yield "peers: " + ", ".join(f"{name} {version}" for name, version in record["peers"].items())
            yield "tools: " + ", ".join(f"{name} {'there' if path else 'missing'}" for name, path in record["tools"].items())
        if "build" in record:
            yield f"build: {record['build']}"
        if "tests" in record:
            counts = record["tests"]
            yield "tests: " + ", ".join(f"{name} {count}" for name, count in counts.items() if name not in ("which",))
            yield from (f"  failed: {name}" for name in counts.get("which", ()))


def _stages(records: list[Record]) -> Iterator[str]:
    yield ""
    yield from (f"stage {record['stage']:28} {record['took']:7.1f} s  {record['outcome']}" for record in records if "stage" in record)


def _ceilings(records: list[Record]) -> Iterator[str]:
    found = rates(records)
    if found:
        yield ""
        yield "ceilings: " + ", ".join(
            f"copy {rate / 1e9:.0f} GB/s" if name == "bytes" else f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in found.items()
        )


def _groups(records: list[Record]) -> Iterator[str]:
    found = rates(records)
    for name, subjects in groups(records).items():
        ours = best(subjects, True)
        yield f"\n{name}"
        for record in sorted(subjects, key=lambda record: record.get("seconds", {}).get("median", float("inf"))):
            yield "  " + _line(record, ours, found)


def _line(record: Record, ours: Record | None, found: dict[str, float]) -> str:
    label = f"{record['subject']:<24}"
    if "seconds" not in record:
        kind = next(key for key in ("missing", "wrong", "failed") if key in record)
        return f"{label}{kind}: {record[kind]}"
    seconds = record["seconds"]
    line = f"{label}{1e3 * seconds['median']:>12.4f} ms  ({1e3 * seconds['low']:.4f} .. {1e3 * seconds['high']:.4f}, {seconds['runs']} runs)"
    if ours is not None:
        line += f"{seconds['median'] / ours['seconds']['median']:>8.2f} x ours"
    if record["flops"] and found.get(record["ceiling"]):
        rate = record["flops"] / seconds["median"]
        line += f"{rate / 1e12:>10.3f} TFLOP/s{100 * rate / found[record['ceiling']]:>6.1f} % of {record['ceiling']}"
    if record["bytes"] and found.get("bytes"):
        line += f"{100 * record['bytes'] / seconds['median'] / found['bytes']:>6.1f} % of copy"
    return line


def _tail(records: list[Record]) -> Iterator[str]:
    yield ""
    for record in records:
        if isinstance(record.get("loss"), dict):
            worst = record["loss"]
            bar = f", bar {worst['bar']}" if worst["bar"] else ""
            ratio = f"{worst['ours']} is {worst['ratio']:.2f} x as fast as {worst['peer']}"
            yield f"largest loss: {worst['group']}: {ratio}{bar}; trace in {record['trace']}"
        elif "loss" in record:
            yield f"largest loss: {record['loss']}"
        if "sanitizer" in record:
            yield f"compute-sanitizer: {record['sanitizer']}"


if __name__ == "__main__":
    print(table(read(Path(sys.argv[1]))), end="")
