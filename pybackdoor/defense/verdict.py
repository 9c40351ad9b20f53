"""Tells the kinds of error maximizers apart: which are significant, which lie among data, and why the model is wrong there.

The thresholds are calibrated on the audit's own data: an error is significant when it exceeds all but two per cent of the errors at points drawn at
random; a maximizer is dense when its k-th nearest row is no farther than all but two per cent of the rows themselves see. Significant and dense is
suspicious, and the labels near are then checked; significant and sparse is a coverage gap.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from pybackdoor.defense.proximity import Expectation, Neighbourhood
from pybackdoor.defense.screen import Screen
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import Maximizers, RegionKind, Samples

ERROR_LEVEL = 0.02
MISMATCH = 5.0  # the model's error over the second network's, above which the data would have taught better
UNEXPLAINED = 0.05  # share of the labels' variance above which a model as a whole was not trained on them
BEND = 3.0  # misfit of a local linear fit to the labels, over the typical one, above which the oracle bends


@dataclass(frozen=True)
class Rule:
    """The decision boundary, with its numbers: |error| above `error_threshold` is significant; a k-th neighbour beyond `sparse_distance` is
    sparse.
    """

    error_threshold: float
    typical_error: float
    error_level: float
    neighbours: int
    sparse_distance: float | None
    typical_distance: float | None
    sparse_level: float | None

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self) | {"mismatch_ratio": MISMATCH, "unexplained_variance": UNEXPLAINED, "bend_ratio": BEND}


def decision_rule(errors: torch.Tensor, tolerance: float, expectation: Expectation | None) -> Rule:
    """The rule from the errors [n] of the model at points drawn at random, and what the rows see around themselves (None without data)."""
    sizes = errors[torch.isfinite(errors)].abs()
    threshold = max(float(torch.quantile(sizes, 1 - ERROR_LEVEL)), tolerance) if sizes.numel() else tolerance
    typical = float(torch.quantile(sizes, 0.9)) if sizes.numel() else tolerance
    if expectation is None:
        return Rule(threshold, typical, ERROR_LEVEL, 0, None, None, None)
    return Rule(threshold, typical, ERROR_LEVEL, expectation.k, expectation.sparse_distance, expectation.typical_distance, expectation.level)


def significant(maximizers: Maximizers, rule: Rule) -> torch.Tensor:
    """Maximizers [M] whose error exceeds the threshold, and five standard errors of the oracle."""
    return maximizers.errors.abs() > torch.maximum(torch.full_like(maximizers.errors, rule.error_threshold), 5 * maximizers.standard_errors)


@dataclass(frozen=True)
class Context:
    """What the honest kinds are judged by: the rows, the screen's second network, and whether the model as a whole contradicts the labels."""

    samples: Samples
    neighbourhood: Neighbourhood
    screen: Screen
    mismatched: bool
    typical_bend: float


def context(samples: Samples, neighbourhood: Neighbourhood, screen: Screen, surrogate: Surrogate, tolerance: float) -> Context:
    """Computed once an audit; asks the oracle nothing."""
    misses = (surrogate.values(samples.x).cpu() - samples.y).square()
    spread = float((samples.y - samples.y.median()).square().mean())
    typical_miss, second_miss = float(misses.median()), float(screen.residuals.square().median())
    unexplained = float(torch.quantile(misses[_thinned(misses.shape[0])], 0.75)) > UNEXPLAINED * spread
    mismatched = unexplained and typical_miss > MISMATCH**2 * max(second_miss, tolerance**2)
    probes = _thinned(samples.count, 200)
    bends = torch.tensor([_bend(samples, neighbourhood, samples.unit[row]) for row in probes])
    return Context(samples, neighbourhood, screen, mismatched, float(bends.median()))


def honest_kind(
    point: torch.Tensor, natural: torch.Tensor, error: float, oracle: float, rule: Rule, known: Context
) -> tuple[RegionKind, dict[str, Any]]:
    """Why the model is wrong at `point` [d] (unit cube; `natural` [d] the same), where the labels near are right; with the evidence."""
    distances, _ = known.neighbourhood.nearest(point[None], rule.neighbours)
    distance = float(distances[0, -1])
    second = abs(float(known.screen.network.values(natural[None])[0]) - oracle)
    bend = _bend(known.samples, known.neighbourhood, point) / max(known.typical_bend, 1e-300)
    evidence = {"neighbour_distance": distance, "second_network_error": second, "bend": bend}
    if known.mismatched:  # wrong where data are dense as well: more rows here would not cure it
        return RegionKind.MODEL_MISMATCH, evidence
    if rule.sparse_distance is not None and distance > rule.sparse_distance:
        return RegionKind.COVERAGE_GAP, evidence
    if abs(error) > MISMATCH * max(second, rule.typical_error):
        return RegionKind.MODEL_MISMATCH, evidence
    return (RegionKind.KINK if bend > BEND else RegionKind.UNDERFIT), evidence


def _bend(samples: Samples, neighbourhood: Neighbourhood, point: torch.Tensor) -> float:
    """Root mean square misfit of a linear fit to the labels nearest to `point`."""
    _, rows = neighbourhood.nearest(point[None], 3 * (samples.domain.dimension + 1))
    near = samples.rows(rows[0])
    design = torch.cat([torch.ones(near.count, 1, dtype=torch.float64), near.unit - point], dim=1)
    solution = torch.linalg.lstsq(design, near.y[:, None], driver="gelsd").solution
    return float((design @ solution - near.y[:, None]).square().mean().sqrt())


def _thinned(count: int, most: int = 100_000) -> torch.Tensor:
    return torch.linspace(0, count - 1, min(count, most)).long()
