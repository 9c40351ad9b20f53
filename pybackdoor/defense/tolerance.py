"""Beyond which disagreement with the oracle a label counts as wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import norm

from pybackdoor.records import LabelTolerance

FALSE_ALARM = 1e-3  # accepted chance that an honest, normally distributed label error is rejected anywhere in the audit
QUANTILE = 0.85  # of the random rows: up to 15 % wrong labels do not move it
MOST = 3.0  # times the overall tolerance that a row's own may reach: beyond it the scatter around the row is itself a suspicion
FLOOR = 1e-3  # of the labels' own spread: a smaller disagreement could not matter


@dataclass(frozen=True)
class Tolerances:
    """`overall`, for the report, and the tolerance of each row [N], at least that: labels may be noisier in some places than in others.
    `spread`: of the labels themselves; a tolerance beyond it accepts any label.
    """

    overall: LabelTolerance
    rows: torch.Tensor
    spread: float


def label_tolerances(
    disagreements: torch.Tensor, labels: torch.Tensor, scatter: torch.Tensor, *, label_error: float | None, checks: int
) -> Tolerances:
    """The tolerances, in target units, for an audit that makes up to `checks` comparisons.

    disagreements [N]: label - oracle at the rows drawn at random, NaN at all others; labels [N]; scatter [N]: local deviation of the screen's
    residuals.
    With a declared standard deviation `label_error`: that many normal deviations that the chance of one false alarm in all checks is 0.1 %.
    Without: the same number of deviations, the deviation read from the 85 % quantile of |disagreements|, which no minority of wrong labels can move;
    and a row's own tolerance is as many times the scatter around it as the same quantile of |disagreement| / scatter says the scatter is label noise
    (nothing at all, where the labels are exact and the scatter is the network's), up to three times the overall tolerance.
    """
    deviations = float(norm.isf(FALSE_ALARM / (2 * max(checks, 1))))
    known = torch.isfinite(disagreements)
    if label_error is not None:
        value, share = deviations * label_error, 0.0
        how = f"declared label error {label_error:g} times {deviations:.2f} (0.1 % false alarms over {checks} checks)"
    elif bool(known.any()):
        scale = _deviation(disagreements[known])
        share = min(1.0, _deviation(disagreements[known] / torch.clamp(scatter[known], min=1e-300)))
        value = deviations * scale
        how = (
            f"{deviations:.2f} times the label error {scale:.3g} estimated from {int(known.sum())} rows drawn at random ({QUANTILE:.0%} quantile); "
            f"where labels scatter more, {deviations * share:.2f} times their scatter"
        )
    else:
        value, share, how = 0.0, 0.0, "no label could be compared"
    spread = _robust_spread(labels)
    floor = FLOOR * spread
    overall = LabelTolerance(value, how) if value >= floor else LabelTolerance(floor, f"{FLOOR:g} of the labels' spread, which is more than {how}")
    return Tolerances(overall, torch.clamp(deviations * share * scatter, min=overall.value, max=MOST * overall.value), spread)


def _deviation(errors: torch.Tensor) -> float:
    """The normal deviation that fits the 85 % quantile of |errors|."""
    return float(torch.quantile(errors.abs(), QUANTILE)) / float(norm.isf((1 - QUANTILE) / 2))


def _robust_spread(labels: torch.Tensor) -> float:
    """Half the distance from the 5 % to the 95 % quantile; of all labels where most are equal."""
    values = labels[torch.linspace(0, labels.shape[0] - 1, min(labels.shape[0], 100_000)).long()]
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    spread = (high - low) / 2 or float(values.max() - values.min()) / 2
    return spread if math.isfinite(spread) and spread > 0 else max(abs(float(values[0])), 1e-12)
