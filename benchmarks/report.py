"""Prints what a benchmark file says: `python -m benchmarks.report FILE.json [FILE.json ...]`.

Each group is one computation; each row gives its best time, how many times longer that is than ours, and the share of the core's arithmetic peak.
Rows that price points (extra_info `prices_per_second`) give their rate, how many times slower than our first that is, and their errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RATE = "prices_per_second"


def rows(report: dict[str, Any]) -> Iterator[str]:
    """The lines of one file's report."""
    processor = report.get("machine_info", {}).get("cpu", {}).get("brand_raw", "unknown processor")
    yield f"{processor}, {report.get('datetime', '')[:10]}, commit {report.get('commit_info', {}).get('id', '?')[:9]}"
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in report["benchmarks"]:
        groups.setdefault(benchmark["group"] or "", []).append(benchmark)
    for group, members in groups.items():
        yield f"\n{group}"
        if any(RATE in member.get("extra_info", {}) for member in members):
            yield from rates(members)
            continue
        ours = next((member["stats"]["min"] for member in members if "ours" in member["name"]), members[0]["stats"]["min"])
        for member in sorted(members, key=lambda member: member["stats"]["min"]):
            best, information = member["stats"]["min"], member.get("extra_info", {})
            line = f"  {label(member):<28}{1e3 * best:>12.3f} ms {best / ours:>8.2f} x"
            if "share_of_peak" in information:
                line += f"{information['gflops']:>10.1f} GF/s{100 * information['share_of_peak']:>7.1f} % of peak"
            yield line


def rates(members: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of a group of priced points, fastest first."""
    priced = [member for member in members if RATE in member.get("extra_info", {})]
    ours = next((member["extra_info"][RATE] for member in priced if "ours" in member["name"]), priced[0]["extra_info"][RATE])
    yield f"  {'':<44}{'a second':>12}{'ours / it':>11}{'median error':>14}{'largest':>10}"
    for member in sorted(priced, key=lambda member: -member["extra_info"][RATE]):
        facts = member["extra_info"]
        errors = "".join(f"{facts[key]:>{width}.1e}" if key in facts else " " * width for key, width in (("median_error", 14), ("largest_error", 10)))
        failed = f"  {facts['failed']} failed" if facts.get("failed") else ""
        yield f"  {title(member):<44}{facts[RATE]:>12,.0f}{ours / facts[RATE]:>11.3g}{errors}{failed}"


def title(member: dict[str, Any]) -> str:
    """Whose it is, and the test's own words without the group's name."""
    return f"{member['name'].partition('[')[0].removeprefix('test_')} {(member['param'] or '').replace(str(member['group']) + '-', '', 1)}"


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
