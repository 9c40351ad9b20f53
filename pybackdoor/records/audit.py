"""What an audit found, in the shape of `verdict.json` (schema 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA = 1


class AuditStatus(StrEnum):
    """Whether the audit said all it set out to say."""

    COMPLETE = "complete"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"


class RegionKind(StrEnum):
    """What is wrong in a region, worst kind first."""

    POISONED = "poisoned"
    MISLABELED = "mislabeled"
    MODEL_MISMATCH = "model_mismatch"
    KINK = "kink"
    UNDERFIT = "underfit"
    COVERAGE_GAP = "coverage_gap"

    @property
    def explanation(self) -> str:
        """One sentence a person can act on."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    RegionKind.POISONED: "many neighbouring labels contradict the oracle: a localized backdoor; drop or relabel these rows and train again",
    RegionKind.MISLABELED: "isolated rows whose labels contradict the oracle; drop or relabel them",
    RegionKind.MODEL_MISMATCH: "labels are right and data are dense, yet the model is wrong: it was not trained on this data",
    RegionKind.KINK: "the oracle bends or jumps here and the model smooths over it; refine the design here",
    RegionKind.UNDERFIT: "labels are right and data are present, the model is moderately wrong; train longer or with a larger network",
    RegionKind.COVERAGE_GAP: "few training rows near and a large error: extrapolation; ask the oracle here and train again",
}


@dataclass(frozen=True)
class Region:
    """One place where the model or the labels contradict the oracle.

    center {feature: natural value}; radius in the unit cube; peak_error = |model - oracle| at the center, with both values;
    rows_near: rows of the data within the radius; checked_rows and confirmed_rows: row numbers compared with the oracle and, of these, rejected.
    """

    kind: RegionKind
    center: dict[str, float]
    radius: float
    peak_error: float | None
    model: float | None
    oracle: float | None
    rows_near: int
    checked_rows: tuple[int, ...] = ()
    confirmed_rows: tuple[int, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """With `confidence`, at most `max_bad_label_fraction` of the rows carry a wrong label.

    From `random_calls` rows drawn uniformly without replacement, their number fixed beforehand, of which `bad_found` were rejected.
    """

    confidence: float
    max_bad_label_fraction: float | None
    random_calls: int
    bad_found: int


@dataclass(frozen=True)
class LabelTolerance:
    """The disagreement |label - oracle| (target units) beyond which a label counts as wrong, and how it was set."""

    value: float
    how: str


@dataclass(frozen=True)
class AuditReport:
    """The outcome of one audit; `to_dict` is `verdict.json`."""

    status: AuditStatus
    reason: str
    poisoned: bool
    suspicious_rows: tuple[int, ...]
    outside_rows: tuple[int, ...]
    regions: tuple[Region, ...]
    label_tolerance: LabelTolerance | None
    certificate: Certificate | None
    oracle_calls: float
    oracle_calls_to_first_confirmation: float | None
    oracle_failures: int
    rule: dict[str, Any]
    maximizers: dict[str, list[Any]]
    seconds: float
    config: dict[str, Any]
    versions: dict[str, str]
    inputs: dict[str, str]

    @property
    def exit_status(self) -> int:
        """0 complete and no poison confirmed; 3 poison confirmed; 4 inconclusive or interrupted without a confirmation."""
        if self.poisoned:
            return 3
        return 0 if self.status is AuditStatus.COMPLETE else 4

    def to_dict(self) -> dict[str, Any]:
        """The content of `verdict.json`."""
        return {
            "schema": SCHEMA,
            "status": str(self.status),
            "reason": self.reason,
            "poisoned": self.poisoned,
            "suspicious_rows": list(self.suspicious_rows),
            "outside_rows": list(self.outside_rows),
            "regions": [
                {
                    "kind": str(region.kind),
                    "center": region.center,
                    "radius": region.radius,
                    "peak_error": region.peak_error,
                    "model": region.model,
                    "oracle": region.oracle,
                    "rows_near": region.rows_near,
                    "checked_rows": list(region.checked_rows),
                    "confirmed_rows": list(region.confirmed_rows),
                    "evidence": region.evidence,
                    "explanation": region.kind.explanation,
                }
                for region in self.regions
            ],
            "label_tolerance": None if self.label_tolerance is None else {"value": self.label_tolerance.value, "how": self.label_tolerance.how},
            "certificate": None
            if self.certificate is None
            else {
                "confidence": self.certificate.confidence,
                "max_bad_label_fraction": self.certificate.max_bad_label_fraction,
                "random_calls": self.certificate.random_calls,
                "bad_found": self.certificate.bad_found,
            },
            "oracle_calls": self.oracle_calls,
            "oracle_calls_to_first_confirmation": self.oracle_calls_to_first_confirmation,
            "oracle_failures": self.oracle_failures,
            "rule": self.rule,
            "maximizers": self.maximizers,
            "seconds": self.seconds,
            "config": self.config,
            "versions": self.versions,
            "inputs": self.inputs,
        }
