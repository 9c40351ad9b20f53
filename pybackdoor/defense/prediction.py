"""What the oracle would say at rows that were not checked, from those that were.

The oracle's values at the checked rows of a region are carried to its other rows in four ways: by a ridge regression linear in the features or the
mean of the nearest checked rows, of the robust network's error or, should that network have learned the wrong labels, of the values themselves. The
way with the smallest leave-one-out error is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pybackdoor.defense.labels import LabelChecks

NEAREST = 4
CERTAIN = 2.0  # deviations of the prediction that separate a clear verdict from a doubtful one
FAINT = 0.25  # of the region's typical label error: a smaller predicted one is not held for wrong without a check


@dataclass(frozen=True)
class Prediction:
    """For R rows: `errors` [R] label - predicted oracle (label - oracle itself where known); `wrong` and `doubtful` [R], bool;
    `deviation`: of the prediction, leaving one out (target units).
    """

    errors: torch.Tensor
    wrong: torch.Tensor
    doubtful: torch.Tensor
    deviation: float


def predict(
    checks: LabelChecks, residuals: torch.Tensor, rows: torch.Tensor, center: torch.Tensor, radius: float, tolerance: torch.Tensor
) -> Prediction:
    """The labels of `rows` [R] in and around a region (`center` [d] and `radius`, unit cube), at least one of them checked.

    residuals [N]: label - robust network; tolerance [N].
    """
    known = checks.known[rows]
    place = (checks.samples.unit[rows] - center) / radius  # [R, d]
    network = (checks.samples.y - residuals)[rows]  # [R]
    options = []
    for base in (network, torch.zeros_like(network)):
        target = checks.truth[rows[known]] - base[known]  # [C]
        options += [(base + values, left_out) for values, left_out in (_linear(place, place[known], target), _nearest(place, place[known], target))]
    predicted, left_out = min(options, key=lambda pair: _deviation(pair[1]))
    deviation = _deviation(left_out)
    errors = torch.where(known, checks.disagreements[rows], checks.samples.y[rows] - predicted)
    rejected = checks.rejected(tolerance)[rows]
    typical = float(checks.disagreements[rows][rejected].abs().median()) if bool(rejected.any()) else 0.0
    threshold = torch.clamp(tolerance[rows], min=max(FAINT * typical, CERTAIN * deviation))
    wrong = torch.where(known, rejected, errors.abs() > threshold)
    doubtful = ~known & ((errors.abs() - threshold).abs() < CERTAIN * deviation)
    return Prediction(errors, wrong, doubtful, deviation)


def _linear(place: torch.Tensor, known: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ridge regression: predictions [R] and leave-one-out errors [C]."""
    ones = torch.ones(place.shape[0], 1, dtype=place.dtype)
    features, design = torch.cat([ones, place], dim=1), torch.cat([ones[: known.shape[0]], known], dim=1)
    penalty = torch.ones(design.shape[1], dtype=place.dtype)
    penalty[0] = 1e-9
    inverse = torch.linalg.inv(design.T @ design + torch.diag(penalty))
    weights = inverse @ (design.T @ target)
    leverage = ((design @ inverse) * design).sum(dim=1)
    return features @ weights, (target - design @ weights) / torch.clamp(1 - leverage, min=1e-3)


def _nearest(place: torch.Tensor, known: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the nearest checked rows: predictions [R] and leave-one-out errors [C]."""
    count = min(NEAREST, known.shape[0])
    predicted = target[torch.topk(torch.cdist(place, known), count, largest=False).indices].mean(dim=1)
    if known.shape[0] == 1:
        return predicted, target
    between = torch.cdist(known, known).fill_diagonal_(float("inf"))
    others = torch.topk(between, min(NEAREST, known.shape[0] - 1), largest=False).indices
    return predicted, target - target[others].mean(dim=1)


def _deviation(left_out: torch.Tensor) -> float:
    """A deviation of leave-one-out errors that a few large ones do not own."""
    return max(float(1.4826 * left_out.abs().median()), float(left_out.square().mean().sqrt()) / 3)
