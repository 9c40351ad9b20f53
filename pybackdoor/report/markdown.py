"""`report.md` of an audit: what was asked, what was found, what was not proven, and how to run it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pybackdoor.records import AuditReport, AuditStatus, Region
from pybackdoor.report.tables import markdown, number

ROWS_SHOWN = 20


def audit_markdown(report: AuditReport, invocation: str, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The text for `report`; `invocation` is the command line that made it, pictures are (file name, caption)."""
    parts = [
        "# Audit report",
        _verdict(report),
        _asked(report, invocation),
        _found(report),
        _not_proven(report),
        "\n\n".join(["## Pictures", *(f"![{caption}]({name})\n\n{caption}" for name, caption in pictures)]) if pictures else "",
        _rule(report),
        _provenance(report, invocation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(report: AuditReport) -> str:
    if report.poisoned:
        verdict = f"**Poison confirmed.** {len(report.suspicious_rows)} rows carry labels that the audit rejects."
    elif report.status is AuditStatus.COMPLETE:
        verdict = "**No poison confirmed.** Read below what that does and does not mean."
    else:
        verdict = f"**No verdict: {report.status}.** This is not a finding that the data are clean."
    return f"{verdict}\n\nStatus: {report.status}, {report.reason}."


def _asked(report: AuditReport, invocation: str) -> str:
    tolerance = report.label_tolerance
    lines = [
        "Where the model, or the labels of its data, contradict the oracle, and whether somebody planted that:",
        "",
        "```",
        invocation,
        "```",
        "",
    ]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in report.config.items() if not isinstance(value, dict | list)]
    lines.append(
        "- a label counts as wrong when it differs from the oracle by more than "
        + (f"{number(tolerance.value)} ({tolerance.how})" if tolerance else "a tolerance that could not be set")
    )
    return "\n".join(["## What was asked", "", *lines])


def _found(report: AuditReport) -> str:
    lines = [
        "## What was found",
        "",
        f"- oracle calls spent: {report.oracle_calls:g}; points the oracle could not answer: {report.oracle_failures}",
        f"- calls until the first confirmation: {number(report.oracle_calls_to_first_confirmation)}; seconds: {report.seconds:.1f}",
        f"- suspicious rows: {_listed(report.suspicious_rows)}",
        f"- rows outside the domain: {_listed(report.outside_rows)}",
        "",
    ]
    if not report.regions:
        return "\n".join([*lines, "No region where the model or the labels contradict the oracle."])
    features = list(report.regions[0].center)
    head = ["kind", *features, "radius", "model", "oracle", "error", "rows near", "checked", "rejected"]
    rows = [_region_row(region, features) for region in report.regions[:ROWS_SHOWN]]
    more = len(report.regions) - ROWS_SHOWN
    kinds = dict.fromkeys(region.kind for region in report.regions)
    lines += ["Worst first; features in natural units, the radius in the unit cube.", "", markdown(head, rows), ""]
    lines += [f"{more} more in verdict.json.", ""] if more > 0 else []
    return "\n".join([*lines, *(f"- {kind.replace('_', ' ')}: {kind.explanation}" for kind in kinds)])


def _region_row(region: Region, features: Sequence[str]) -> list[str]:
    return [
        region.kind.replace("_", " "),
        *(number(region.center[name]) for name in features),
        number(region.radius),
        number(region.model),
        number(region.oracle),
        number(region.peak_error),
        str(region.rows_near),
        str(len(region.checked_rows)),
        str(len(region.confirmed_rows)),
    ]


def _not_proven(report: AuditReport) -> str:
    certificate = report.certificate
    if certificate is None or certificate.max_bad_label_fraction is None:
        labels = "- Nothing is certified about the labels that were not compared with the oracle."
    else:
        labels = (
            f"- Of {certificate.random_calls} rows drawn at random {certificate.bad_found} were wrong: with confidence "
            f"{certificate.confidence:.0%} at most {certificate.max_bad_label_fraction:.3%} of all rows carry a wrong label. "
            "A smaller share of wrong labels may remain."
        )
    lines = [
        labels,
        "- The search for error maximizers is a search: a region that no start reached is not ruled out.",
        "- The oracle is taken to be right. Where it is wrong, so is this audit.",
    ]
    if report.outside_rows:
        lines.append(f"- {len(report.outside_rows)} rows lie outside the domain; the model was not searched there.")
    if report.oracle_failures:
        lines.append(f"- At {report.oracle_failures} points the oracle gave no usable value; nothing is known there.")
    if report.status is not AuditStatus.COMPLETE:
        lines.append(f"- The audit is {report.status} ({report.reason}): what it did not reach is not clean, it is unknown.")
    return "\n".join(["## What was not proven", "", *lines])


def _rule(report: AuditReport) -> str:
    return "\n".join(["## The rule and its numbers", "", *_flat(report.rule)]) if report.rule else ""


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in content.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            lines += _flat(value, f"{label}: ")
        else:
            lines.append(f"- {label}: {number(value) if isinstance(value, float) else '-' if value is None else value}")
    return lines


def _provenance(report: AuditReport, invocation: str) -> str:
    inputs = [f"- {role}: `{value}`" for role, value in report.inputs.items()] or ["- none recorded"]
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    again = "With these inputs and versions, the same command gives the same verdict:"
    return "\n".join(["## Inputs, versions, and how to run it again", "", *inputs, "", versions, "", again, "", "```", invocation, "```"])


def _listed(rows: Sequence[int]) -> str:
    if not rows:
        return "none"
    shown = ", ".join(str(row) for row in rows[:ROWS_SHOWN])
    return f"{len(rows)} ({shown}{', ... all in verdict.json' if len(rows) > ROWS_SHOWN else ''})"
