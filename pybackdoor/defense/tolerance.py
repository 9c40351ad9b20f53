"""Beyond which disagreement with the oracle a label counts as wrong."""

from __future__ import annotations

import math

import torch
from scipy.stats import norm

from pybackdoor.records import LabelTolerance

FALSE_ALARM = 1e-3  # accepted chance that an honest, normally distributed label error is rejected anywhere in the audit
QUANTILE = 0.85  # of the random rows: up to 15 % wrong labels do not move it
FLOOR = 1e-3  # of the labels' own spread: a smaller disagreement could not matter


def label_tolerance(disagreements: torch.Tensor, labels: torch.Tensor, *, label_error: float | None, checks: int) -> LabelTolerance:
    """The tolerance, in target units, for an audit that makes up to `checks` comparisons.

    disagreements [n]: label - oracle at rows drawn at random; labels [N]: all labels, for the floor.
    With a declared standard deviation `label_error`: that many normal deviations that the chance of one false alarm in all checks is 0.1 %.
    Without: the same number of deviations, the deviation read from the 85 % quantile of |disagreements|, which no minority of wrong labels can move.
    """
    deviations = float(norm.isf(FALSE_ALARM / (2 * max(checks, 1))))
    floor = FLOOR * _robust_spread(labels)
    if label_error is not None:
        value = deviations * label_error
        how = f"declared label error {label_error:g} times {deviations:.2f} (0.1 % false alarms over {checks} checks)"
    elif disagreements.numel():
        scale = float(torch.quantile(disagreements.abs(), QUANTILE)) / float(norm.isf((1 - QUANTILE) / 2))
        value = deviations * scale
        how = (
            f"{deviations:.2f} times the label error {scale:.3g} estimated from {disagreements.numel()} rows drawn at random "
            f"({QUANTILE:.0%} quantile)"
        )
    else:
        value, how = 0.0, "no label could be compared"
    if value < floor:
        return LabelTolerance(floor, f"{FLOOR:g} of the labels' spread, which is more than {how}")
    return LabelTolerance(value, how)


def _robust_spread(labels: torch.Tensor) -> float:
    """Half the distance from the 5 % to the 95 % quantile; of all labels where most are equal."""
    values = labels[torch.linspace(0, labels.shape[0] - 1, min(labels.shape[0], 100_000)).long()]
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    spread = (high - low) / 2 or float(values.max() - values.min()) / 2
    return spread if math.isfinite(spread) and spread > 0 else max(abs(float(values[0])), 1e-12)
