"""How much noisier the labels are in one place than in another, as far as the screen's residuals tell: a smooth scale, free of oracle calls.

Near rows alone say little: of twenty residuals a robust scale is off by half. So the scale is one additive function for all rows,

    log scale = c + f_0(value) + f_1(x_1) + ... + f_d(x_d),

each f piecewise linear: noise mostly grows with a quantity's size (value: what the robust network says) or along a feature. It is fitted to log
|residual| by penalised least squares with Huber's weights (P. J. Huber, Robust Statistics (1981), section 7.8; log |residual| as the response of a
variance function: M. Davidian, R. J. Carroll, J. Am. Stat. Assoc. 82 (1987)). Wrong labels of a small region move no f by much, as each f sees the
rows of the whole domain: poison makes no excuse for itself.
"""

from __future__ import annotations

import torch

from pybackdoor.defense.piecewise import hats, interpolated, quantile_knots

VALUE_KNOTS = 9
FEATURE_KNOTS = 5  # over the unit interval
PENALTY = 5.0  # log |normal| has the variance 1.2, and a knot is thought to deviate by about a factor exp(0.5): their ratio
ITERATIONS = 15
MOST_ROWS = 20_000  # that are fitted to
FAINT = 1e-3  # of the typical |residual|: smaller ones are alike


def noise_scale(unit: torch.Tensor, values: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
    """The scale [N] of `residuals` [N] about rows at `unit` [N, d], unit cube, where the robust network says `values` [N]; up to one factor for all.

    All ones where every residual is zero. O(N d).
    """
    sizes = residuals.abs()
    if not float(sizes.max()) > 0.0:
        return torch.ones_like(sizes)
    some = torch.linspace(0, sizes.shape[0] - 1, min(sizes.shape[0], MOST_ROWS)).long()
    response = torch.log(sizes[some] + FAINT * (float(sizes.median()) or float(sizes.mean())))
    inputs = [values, *unit.clamp(0.0, 1.0).T]
    knots = [quantile_knots(values, VALUE_KNOTS)] + [torch.linspace(0, 1, FEATURE_KNOTS, dtype=torch.float64)] * unit.shape[1]
    design = torch.cat([hats(column[some], places) for column, places in zip(inputs, knots, strict=True)], dim=1)
    center = response.median()
    heights = _robust_ridge(design, response - center).split([places.numel() for places in knots])
    logarithm = torch.full_like(sizes, float(center))
    for column, places, height in zip(inputs, knots, heights, strict=True):
        logarithm += interpolated(column, places, height)
    return torch.exp(logarithm)


def _robust_ridge(design: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Penalised least squares with Huber's weights [K], by reweighting."""
    penalty = PENALTY * torch.eye(design.shape[1], dtype=design.dtype)
    weights = torch.ones_like(response)
    heights = torch.zeros(design.shape[1], dtype=design.dtype)
    for _ in range(ITERATIONS):
        weighted = design * weights[:, None]
        heights = torch.linalg.solve(design.T @ weighted + penalty, weighted.T @ response)
        misfit = (response - design @ heights).abs()
        weights = torch.clamp(1.4826 * misfit.median() / misfit.clamp(min=1e-12), max=1.0)
    return heights
