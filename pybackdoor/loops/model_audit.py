"""The audit of the model: its error maximizers, and why it is wrong at each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from pybackdoor.data import design
from pybackdoor.defense import Rule, context, decision_rule, honest_kind, significant
from pybackdoor.loops.audit_config import AuditConfig
from pybackdoor.loops.label_audit import LabelAudit
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.oracles import BudgetedOracle
from pybackdoor.records import Maximizers, Region, RegionKind
from pybackdoor.search import search
from pybackdoor.stages import staged

NEAR_CHECKS = 3  # labels nearest to a suspicious maximizer that are compared before the cluster is probed


@dataclass(frozen=True)
class ModelFindings:
    """The maximizers, the rule that judged them, the kind of each ("" where the error is not significant), and a region for each honest kind."""

    maximizers: Maximizers
    rule: Rule
    kinds: tuple[str, ...]
    regions: tuple[Region, ...]


def typical_errors(surrogate: Surrogate, oracle: BudgetedOracle, labels: LabelAudit | None, config: AuditConfig) -> torch.Tensor:
    """Errors of the model at points drawn at random [n]: the random rows, already known, or without data new points of the domain."""
    if labels is not None:
        rows = labels.compared[labels.checks.known[labels.compared]]
        return surrogate.values(labels.samples.x[rows]).cpu() - labels.checks.truth[rows]
    x = design(oracle.domain, min(config.random_calls, int(oracle.remaining)), method="uniform", seed=config.seed)
    evaluation = oracle.evaluate(x)
    return (surrogate.values(x) - evaluation.values)[evaluation.ok]


@staged("audit.model")
def audit_model(
    surrogate: Surrogate, oracle: BudgetedOracle, labels: LabelAudit | None, config: AuditConfig, errors: torch.Tensor, *, progress: bool = False
) -> ModelFindings:
    """Searches the error maximizers with what the budget still allows and tells their kinds apart; suspicious ones have their labels checked.

    errors [n]: of `typical_errors`. Clusters of wrong labels that come to light are added to `labels.growths`.
    """
    tolerance = labels.tolerances.overall.value if labels is not None else 0.0
    rule = decision_rule(errors, tolerance, None if labels is None else labels.expectation)
    reserve = NEAR_CHECKS * config.search.climbers if labels is not None else 0
    allowed = int(oracle.remaining) - min(reserve, int(oracle.remaining) // 3)
    if allowed < 1:
        return ModelFindings(_none(oracle), rule, (), ())
    maximizers = search(
        surrogate,
        oracle,
        replace(config.search, budget=allowed),
        samples=None if labels is None else labels.samples,
        pseudo_oracle=None if labels is None else labels.screen.network,
        seed=config.seed,
        progress=progress,
    )
    kinds, regions = _kinds(surrogate, oracle, labels, maximizers, rule)
    return ModelFindings(maximizers, rule, kinds, regions)


def _kinds(
    surrogate: Surrogate, oracle: BudgetedOracle, labels: LabelAudit | None, maximizers: Maximizers, rule: Rule
) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    kinds, regions = [""] * maximizers.count, []
    known = None if labels is None else context(labels.samples, labels.neighbourhood, labels.screen, surrogate, labels.tolerances.overall.value)
    for position in significant(maximizers, rule).nonzero()[:, 0].tolist():
        point, evidence, checked = maximizers.unit[position].cpu(), dict[str, Any](), torch.zeros(0, dtype=torch.int64)
        if labels is None or known is None:
            kind, evidence = RegionKind.UNDERFIT, {"data": "none given: coverage gaps, kinks and underfitting cannot be told apart"}
        else:
            checked = _check_near(labels, point, rule, oracle)
            if bool(labels.in_region(point[None])):
                kinds[position] = str(RegionKind.POISONED)
                continue
            kind, evidence = honest_kind(
                point, maximizers.x[position].cpu(), float(maximizers.errors[position]), float(maximizers.oracle[position]), rule, known
            )
        kinds[position] = str(kind)
        regions.append(_region(kind, maximizers, position, labels, rule, checked, evidence))
    return tuple(kinds), tuple(regions)


def _check_near(labels: LabelAudit, point: torch.Tensor, rule: Rule, oracle: BudgetedOracle) -> torch.Tensor:
    """Compares the labels nearest to a dense maximizer; where most are wrong the cluster is probed and grown. Returns the rows compared."""
    distances, rows = labels.neighbourhood.nearest(point[None], rule.neighbours)
    if bool(labels.in_region(point[None])) or (rule.sparse_distance is not None and float(distances[0, -1]) > rule.sparse_distance):
        return rows[0, :0]
    near = rows[0, :NEAR_CHECKS]
    labels.checks.check(near, NEAR_CHECKS)
    bad = labels.wrong[near]
    if 2 * int(bad.sum()) > near.numel():
        labels.suspect(int(near[bad][0]), oracle.remaining)
    return near[labels.checks.known[near]]


def _region(
    kind: RegionKind, maximizers: Maximizers, position: int, labels: LabelAudit | None, rule: Rule, checked: torch.Tensor, evidence: dict[str, Any]
) -> Region:
    radius = rule.typical_distance or 0.0
    near = 0 if labels is None else labels.neighbourhood.within(maximizers.unit[position].cpu(), radius).numel()
    center = dict(zip(maximizers.domain.names, maximizers.x[position].tolist(), strict=True))
    return Region(
        kind,
        center,
        radius,
        abs(float(maximizers.errors[position])),
        float(maximizers.surrogate[position]),
        float(maximizers.oracle[position]),
        near,
        tuple(checked.tolist()),
        (),
        evidence,
    )


def _none(oracle: BudgetedOracle) -> Maximizers:
    empty = torch.zeros(0, dtype=torch.float64)
    points = torch.zeros(0, oracle.domain.dimension, dtype=torch.float64)
    return Maximizers(oracle.domain, points, points, empty, empty, empty, torch.zeros(0, dtype=torch.int64), 0.0)
