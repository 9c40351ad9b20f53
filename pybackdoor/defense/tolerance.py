"""Beyond which disagreement with the oracle a label counts as wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import norm
from scipy.stats import t as student

from pybackdoor.defense.deviation import deviation_shape
from pybackdoor.records import LabelTolerance

FALSE_ALARM = 1e-3  # accepted chance that an honest, normally distributed label error is rejected anywhere in the audit
QUANTILE = 0.85  # of the random rows: up to 15 % wrong labels do not move it
MOST = 3.0  # times the overall tolerance that a row's own may reach where no random row shows it: such noise around a row is itself a suspicion
FLOOR = 1e-3  # of the labels' own spread: a smaller disagreement could not matter
FREEDOM = 0.4  # degrees of freedom that a random row adds to a local deviation: 0.65 to a quantile's, of which a place sees some three fifths


@dataclass(frozen=True)
class Tolerances:
    """`overall`, for the report, and the tolerance of each row [N], at least that: labels may be noisier in some places than in others.
    `alone` [N], at least `rows`: for a row that no cluster speaks against; it was picked out of all rows for its residual, and the deviation is
    itself an estimate. `spread`: of the labels themselves; a tolerance beyond it accepts any label.
    """

    overall: LabelTolerance
    rows: torch.Tensor
    alone: torch.Tensor
    spread: float


def label_tolerances(
    disagreements: torch.Tensor,
    labels: torch.Tensor,
    noise: torch.Tensor,
    values: torch.Tensor | None = None,
    *,
    label_error: float | None,
    checks: int,
) -> Tolerances:
    """The tolerances, in target units, for an audit that makes up to `checks` comparisons.

    disagreements [N]: label - oracle at the rows drawn at random, NaN at all others; labels [N]; noise [N], positive: the scale of the screen's
    residuals; values [N]: what the screen's network says (None: noise does not depend on it).
    With a declared standard deviation `label_error`: that many normal deviations that the chance of one false alarm in all checks is 0.1 %.
    Without: the same number of deviations, the deviation read from the 85 % quantile of |disagreements|, which no minority of wrong labels can move;
    and a row's own tolerance is as many times the deviation that `defense.deviation` makes of its noise, up to three times the overall tolerance or
    what the random rows themselves reach (nothing beyond the overall one where the labels are exact and the scatter is the network's).
    For a row alone the chance is that of a false alarm among all N rows (Bonferroni), and Student's quantile takes the place of the normal one.
    """
    deviations = float(norm.isf(FALSE_ALARM / (2 * max(checks, 1))))
    known = torch.isfinite(disagreements).nonzero()[:, 0]
    spread = _robust_spread(labels)
    floor = FLOOR * spread
    local = torch.zeros_like(labels)
    freedom = math.inf
    if label_error is not None:
        value = deviations * label_error
        how = f"declared label error {label_error:g} times {deviations:.2f} (0.1 % false alarms over {checks} checks)"
    elif known.numel():
        errors = disagreements[known]
        scale, freedom = _deviation(errors), FREEDOM * known.numel()
        shape = deviation_shape(errors, known, noise, torch.zeros_like(labels) if values is None else values, least=floor / deviations)
        local = deviations * _deviation(errors / shape[known]) * shape
        value = deviations * scale
        how = (
            f"{deviations:.2f} times the label error {scale:.3g} estimated from {known.numel()} rows drawn at random ({QUANTILE:.0%} quantile); "
            f"where labels are noisier, {deviations:.2f} times the error estimated there"
        )
    else:
        value, how = 0.0, "no label could be compared"
    overall = LabelTolerance(value, how) if value >= floor else LabelTolerance(floor, f"{FLOOR:g} of the labels' spread, which is more than {how}")
    most = max(MOST * overall.value, float(local[known].max()) if known.numel() else 0.0)
    rows = torch.clamp(local, min=overall.value, max=most)
    alone = torch.maximum(rows, _alone(freedom, labels.numel(), deviations) * torch.clamp(local, min=value, max=most))
    return Tolerances(overall, rows, alone, spread)


def _alone(freedom: float, rows: int, deviations: float) -> float:
    """How many times `deviations` a row alone must deviate, out of `rows`, by a deviation estimated with `freedom`; at least one."""
    return max(1.0, float(student.isf(FALSE_ALARM / (2 * rows), freedom)) / deviations)


def _deviation(errors: torch.Tensor) -> float:
    """The normal deviation that fits the 85 % quantile of |errors|."""
    return float(torch.quantile(errors.abs(), QUANTILE)) / float(norm.isf((1 - QUANTILE) / 2))


def _robust_spread(labels: torch.Tensor) -> float:
    """Half the distance from the 5 % to the 95 % quantile; of all labels where most are equal."""
    values = labels[torch.linspace(0, labels.shape[0] - 1, min(labels.shape[0], 100_000)).long()]
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    spread = (high - low) / 2 or float(values.max() - values.min()) / 2
    return spread if math.isfinite(spread) and spread > 0 else max(abs(float(values[0])), 1e-12)
