"""Prints what a benchmark file says: `python -m benchmarks.report FILE.json [FILE.json ...]`.

Each group is one computation; each row gives its best time, how many times longer that is than ours, and the share of the core's arithmetic peak.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def rows(report: dict[str, Any]) -> Iterator[str]:
    """The lines of one file's report."""
    processor = report.get("machine_info", {}).get("cpu", {}).get("brand_raw", "unknown processor")
    yield f"{processor}, {report.get('datetime', '')[:10]}, commit {report.get('commit_info', {}).get('id', '?')[:9]}"
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in report["benchmarks"]:
        groups.setdefault(benchmark["group"] or "", []).append(benchmark)
    for group, members in groups.items():
        yield f"\n{group}"
        ours = next((member["stats"]["min"] for member in members if "ours" in member["name"]), members[0]["stats"]["min"])
        for member in sorted(members, key=lambda member: member["stats"]["min"]):
            best, information = member["stats"]["min"], member.get("extra_info", {})
            line = f"  {label(member):<28}{1e3 * best:>12.3f} ms {best / ours:>8.2f} x"
            if "share_of_peak" in information:
                line += f"{information['gflops']:>10.1f} GF/s{100 * information['share_of_peak']:>7.1f} % of peak"
            yield line


def label(member: dict[str, Any]) -> str:
    """The peer where there is one, else the test's name."""
    text = member["param"] or member["name"]
    return text.split("-")[0] if "-" in text and " W=" in text else text


def main(arguments: list[str]) -> int:
    """Prints every file; 2 when one cannot be read."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for name in arguments:
        try:
            report = json.loads(Path(name).read_text())
        except (OSError, ValueError) as error:
            print(f"{name}: {error}; a file written by pytest --benchmark-json is needed", file=sys.stderr)
            return 2
        print("\n".join(rows(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
