"""Puts what an audit found into the record that becomes `verdict.json`."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy
import torch

import pybackdoor
from pybackdoor.defense import RIM, Growth, capped, certify, is_cluster, is_one_sided, is_refuted, join
from pybackdoor.loops.audit_config import PILOT, AuditConfig
from pybackdoor.loops.label_audit import LabelAudit
from pybackdoor.loops.model_audit import ModelFindings
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.oracles import BudgetedOracle
from pybackdoor.records import AuditReport, AuditStatus, Region, RegionKind

TOUCHING = 1.5  # two regions whose centers are no farther apart than this many sums of their radii are one


def report(
    oracle: BudgetedOracle,
    surrogate: Surrogate | None,
    labels: LabelAudit | None,
    model: ModelFindings | None,
    config: AuditConfig,
    *,
    usable_random: int,
    interrupted: bool,
    seconds: float,
) -> AuditReport:
    """The report; `usable_random`: random points at which the oracle gave a value."""
    poisoned = _poisoned(oracle, surrogate, labels) if labels is not None else []
    mislabeled = _mislabeled(labels, [region for region, _ in poisoned]) if labels is not None else []
    regions = sorted([region for region, _ in poisoned], key=_peak) + mislabeled + sorted(model.regions if model else (), key=_severity)
    status, reason = _status(oracle, labels, model, config, surrogate is not None, usable_random, interrupted)
    suspicious = (
        {row for _, growth in poisoned for row in growth.inferred.tolist()}
        | {row for region, _ in poisoned for row in region.confirmed_rows}
        | {row for region in mislabeled for row in region.confirmed_rows}
    )
    return AuditReport(
        status=status,
        reason=reason,
        poisoned=bool(poisoned),
        suspicious_rows=tuple(sorted(suspicious)),
        outside_rows=() if labels is None else tuple(labels.outside_rows.tolist()),
        regions=tuple(regions),
        label_tolerance=None if labels is None else labels.tolerances.overall,
        certificate=_certificate(labels, suspicious, config),
        oracle_calls=oracle.value_calls,
        oracle_calls_to_first_confirmation=labels.first_confirmation if labels is not None and poisoned else None,
        oracle_failures=oracle.failures,
        rule=_rule(labels, model),
        maximizers=_maximizers(model, labels),
        seconds=seconds,
        config=asdict(config),
        versions={
            "pybackdoor": pybackdoor.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
        },
        inputs={},
    )


def _poisoned(oracle: BudgetedOracle, surrogate: Surrogate | None, labels: LabelAudit) -> list[tuple[Region, Growth]]:
    """The grown clusters that stand under the final tolerance, each with the model's largest known error in it.

    A growth asks about the rows it doubts, so its own share of wrong labels proves little once it has spread. The rows drawn at random do not know of
    it: a region that those show to be right by more than three quarters, and whose wrong labels err to both sides, is noise over a wide place.
    """
    found = []
    for growth in _merged(labels):
        verdicts = labels.checks.rejected(capped(labels.tolerances.rows, growth.limit))
        inside = labels.neighbourhood.within(growth.center, RIM * growth.radius)
        near = inside[labels.checks.known[inside]]
        confirmed = torch.cat([growth.confirmed, near]).unique()
        confirmed = confirmed[verdicts[confirmed]]
        if not is_cluster(int(verdicts[near].sum()), near.numel(), labels.base_rate):
            continue
        rows = labels.neighbourhood.within(growth.center, growth.radius)
        drawn = rows[torch.isin(rows, labels.compared) & labels.checks.known[rows]]
        if is_refuted(int(verdicts[drawn].sum()), drawn.numel()) and not is_one_sided(labels.checks.disagreements[confirmed]):
            continue
        center = labels.samples.domain.to_natural(growth.center[None])
        error, value, truth = _peak_error(surrogate, labels, confirmed)
        evidence = {
            "inferred_rows": growth.inferred.tolist(),
            "prediction_deviation": growth.deviation,
            "mean_label_error": float(labels.checks.disagreements[confirmed].mean()),
        }
        region = Region(
            RegionKind.POISONED,
            dict(zip(labels.samples.domain.names, center[0].tolist(), strict=True)),
            growth.radius,
            error,
            value,
            truth,
            rows.numel(),
            tuple(torch.cat([growth.checked, near]).unique().tolist()),
            tuple(confirmed.tolist()),
            evidence,
        )
        found.append((region, growth))
    return found


def _merged(labels: LabelAudit) -> list[Growth]:
    """The growths, those that meet taken together: calls that ran out early may have left one region in pieces."""
    merged: list[Growth] = []
    for growth in labels.growths:
        for position, other in enumerate(merged):
            if float(torch.linalg.vector_norm(growth.center - other.center)) <= TOUCHING * (growth.radius + other.radius):
                merged[position] = join(labels.samples.unit, other, growth)
                break
        else:
            merged.append(growth)
    return merged


def _peak_error(surrogate: Surrogate | None, labels: LabelAudit, rows: torch.Tensor) -> tuple[float | None, float | None, float | None]:
    """The model's largest error at `rows`, whose truth is known, with both values."""
    if surrogate is None:
        return None, None, None
    values, truth = surrogate.values(labels.samples.x[rows]).cpu(), labels.checks.truth[rows]
    worst = int(torch.argmax((values - truth).abs()))
    return float((values - truth)[worst].abs()), float(values[worst]), float(truth[worst])


def _mislabeled(labels: LabelAudit, poisoned: list[Region]) -> list[Region]:
    """One region for each rejected row that belongs to no cluster, the largest label error first."""
    clustered = torch.tensor(sorted({row for region in poisoned for row in region.confirmed_rows}), dtype=torch.int64)
    rows = labels.wrong_alone.nonzero()[:, 0]
    rows = rows[~torch.isin(rows, clustered)]
    rows = rows[torch.argsort(labels.checks.disagreements[rows].abs(), descending=True, stable=True)]
    names = labels.samples.domain.names
    return [
        Region(
            RegionKind.MISLABELED,
            dict(zip(names, labels.samples.x[row].tolist(), strict=True)),
            0.0,
            None,
            None,
            float(labels.checks.truth[row]),
            1,
            (row,),
            (row,),
            {"label": float(labels.samples.y[row]), "label_error": float(labels.checks.disagreements[row])},
        )
        for row in rows.tolist()
    ]


def _status(
    oracle: BudgetedOracle,
    labels: LabelAudit | None,
    model: ModelFindings | None,
    config: AuditConfig,
    with_model: bool,
    usable_random: int,
    interrupted: bool,
) -> tuple[AuditStatus, str]:
    spent = f"{oracle.value_calls:g} of {config.budget} value calls spent"
    if interrupted:
        return AuditStatus.INTERRUPTED, f"interrupted by the user; {spent}"
    needed = PILOT if labels is None else min(PILOT, labels.samples.count)
    if usable_random < needed:
        cause = f"the oracle failed at {oracle.failures} points" if oracle.failures else "the budget was too small"
        return AuditStatus.INCONCLUSIVE, f"{cause}: only {usable_random} random points could be compared, {needed} are needed; {spent}"
    if labels is not None and labels.tolerances.overall.value > labels.tolerances.spread:
        return AuditStatus.INCONCLUSIVE, (
            f"the labels disagree with the oracle nearly everywhere, or are too noisy: a tolerance of {labels.tolerances.overall.value:.3g} beside a "
            f"spread of {labels.tolerances.spread:.3g} accepts any label; check that this is the oracle they came from; {spent}"
        )
    if oracle.failures > oracle.value_calls / 2:
        return AuditStatus.INCONCLUSIVE, f"the oracle failed at {oracle.failures} points, more than half of those asked; {spent}"
    if labels is not None and not labels.probes:
        return AuditStatus.INCONCLUSIVE, f"the budget was too small to probe any suspected cluster of labels; {spent}"
    if with_model and (model is None or not model.maximizers.count):
        return AuditStatus.INCONCLUSIVE, f"the budget was too small to find any error maximizer of the model; {spent}"
    return AuditStatus.COMPLETE, spent + (f"; the oracle failed at {oracle.failures} points" if oracle.failures else "")


def _certificate(labels: LabelAudit | None, suspicious: set[int], config: AuditConfig) -> Any:
    if labels is None:
        return None
    known = labels.compared[labels.checks.known[labels.compared]]
    bad = len(suspicious.intersection(known.tolist()))
    return certify(labels.samples.count, known.numel(), bad, confidence=config.confidence)


def _rule(labels: LabelAudit | None, model: ModelFindings | None) -> dict[str, Any]:
    rule: dict[str, Any] = {} if model is None else model.rule.to_dict()
    if labels is not None:
        known = labels.outside_rows[labels.checks.known[labels.outside_rows]]
        rejected = int(labels.wrong_alone[known].sum())
        rule |= {
            "base_rate": labels.base_rate,
            "clusters_probed": labels.probes,
            "outside_rows": {"count": labels.outside_rows.numel(), "checked": known.numel(), "rejected": rejected},
        }
    return rule


def _maximizers(model: ModelFindings | None, labels: LabelAudit | None) -> dict[str, list[Any]]:
    if model is None:
        return {}
    found = model.maximizers
    columns: dict[str, list[Any]] = {name: found.x[:, column].tolist() for column, name in enumerate(found.domain.names)}
    columns |= {
        "model": found.surrogate.tolist(),
        "oracle": found.oracle.tolist(),
        "error": found.errors.tolist(),
        "standard_error": found.standard_errors.tolist(),
        "kind": list(model.kinds),
    }
    if labels is not None and found.count:
        distances, _ = labels.neighbourhood.nearest(found.unit, labels.expectation.k)
        columns["neighbour_distance"] = distances[:, -1].tolist()
        columns["crowding"] = labels.expectation.crowding(distances[:, -1]).tolist()
        columns["rows_near"] = [labels.neighbourhood.within(point, labels.expectation.typical_distance).numel() for point in found.unit.cpu()]
    return columns


def _peak(region: Region) -> float:
    return -(region.peak_error or 0.0)


def _severity(region: Region) -> tuple[int, float]:
    return list(RegionKind).index(region.kind), _peak(region)
