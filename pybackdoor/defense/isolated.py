"""Rows that stand alone with a wrong label: no neighbour shares their error."""

from __future__ import annotations

import torch

from pybackdoor.defense.labels import LabelChecks

BATCH = 8
LEAST_SCORE = 6.0  # |residual| over its neighbours' typical one below which a row is no outlier
LEAST_YIELD = 0.25


def check_outliers(outlier_scores: torch.Tensor, residuals: torch.Tensor, checks: LabelChecks, tolerance: torch.Tensor, *, most: float) -> int:
    """Checks the rows whose residual stands out, worst first in batches of eight, while at least a quarter of a batch is wrong; returns the calls.

    outlier_scores [N] and residuals [N] are the screen's. Asks at most `most` calls.
    """
    standing_out = (outlier_scores >= LEAST_SCORE) & (residuals.abs() > tolerance) & ~checks.asked
    rows = standing_out.nonzero()[:, 0]
    rows = rows[torch.argsort(residuals[rows].abs() * outlier_scores[rows].clamp(max=50.0), descending=True, stable=True)]
    spent = 0
    for batch in rows.split(BATCH):
        asked = checks.check(batch, most - spent)
        spent += asked
        if asked < batch.numel() or float(checks.rejected(tolerance)[batch].float().mean()) < LEAST_YIELD:
            break
    return spent
