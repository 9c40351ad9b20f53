"""The deviation of the label errors at each row: what a few exact errors at random rows make of the screen's noise scale.

The screen's scale is that of its residuals, and those hold the network's own errors as well, and nothing of the labels' where the network has learned
them by heart. So the errors [n] at the rows drawn at random decide how far it counts, and whether the value does:

    log deviation = a + b log(scale) + c log(|value| + a small one) + f(value),    f piecewise linear;

c = 1 is a relative error, which with the least deviation makes the two-component model of D. M. Rocke, S. Lorenzato, Technometrics 37 (1995). The fit
is the maximum of a penalised likelihood (a variance function: M. Davidian, R. J. Carroll, J. Am. Stat. Assoc. 82 (1987)) of Student's t with two
degrees of freedom, which a few wrong labels among the errors do not own (K. L. Lange, R. J. A. Little, J. M. G. Taylor, J. Am. Stat. Assoc. 84
(1989)). The penalty draws b to 1, c and f to 0: eight errors fix little more than a.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize

from pybackdoor.defense.piecewise import hats, quantile_knots

KNOTS = 5
FREEDOM = 2.0  # of Student's t: with four, five wrong labels of one place among a hundred made its noise look as large as they are
LEVEL, SLOPE, RELATIVE, HEIGHT = 10.0, 0.5, 1.0, 0.5  # deviations that a, b, c and the knots of f are thought to have
SMALL = 0.02  # of a large value: below it relative errors are none


def deviation_shape(errors: torch.Tensor, at: torch.Tensor, scale: torch.Tensor, values: torch.Tensor, *, least: float) -> torch.Tensor:
    """The deviation [N] of label errors at all rows, up to one factor, from `errors` [n], n >= 1, at the row numbers `at` [n].

    scale [N], positive: of the residuals; values [N]: of the network; least: deviation below which differences are of no interest, positive.
    """
    sizes = values.abs()
    sizes = sizes + SMALL * max(float(torch.quantile(sizes[at], 0.85)), 1e-300)
    columns = [torch.ones_like(scale), *(torch.log(column) - torch.log(column[at]).median() for column in (scale, sizes))]
    basis = hats(values, quantile_knots(values, KNOTS))
    design = torch.cat([torch.stack(columns, dim=1), basis], dim=1)  # [N, 3 + K]
    expected = torch.tensor([math.log(max(float(errors.abs().median()), least)), 1.0, 0.0] + [0.0] * basis.shape[1], dtype=torch.float64)
    spread = torch.tensor([LEVEL, SLOPE, RELATIVE] + [HEIGHT] * basis.shape[1], dtype=torch.float64)
    coefficients = _most_likely(errors.numpy(), design[at].numpy(), expected.numpy(), spread.numpy(), least)
    return torch.sqrt(least**2 + torch.exp(2.0 * (design @ torch.from_numpy(coefficients)).clamp(-300.0, 300.0)))


def _most_likely(errors: np.ndarray, design: np.ndarray, expected: np.ndarray, spread: np.ndarray, least: float) -> np.ndarray:
    def objective(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        grown = np.exp(2.0 * np.clip(design @ coefficients, -300.0, 300.0))
        variance = least**2 + grown
        squares = errors**2 / variance
        penalty = (coefficients - expected) / spread
        slopes = (1.0 - (FREEDOM + 1.0) * squares / (FREEDOM + squares)) * grown / variance
        likelihood = 0.5 * np.log(variance).sum() + 0.5 * (FREEDOM + 1.0) * np.log1p(squares / FREEDOM).sum()
        return likelihood + 0.5 * float(penalty @ penalty), design.T @ slopes + penalty / spread

    return minimize(objective, expected, jac=True, method="L-BFGS-B").x
