"""Convergence of options on averages in paths: the arithmetic Asian on two dates and on twelve, the basket of two assets.

An error is the root of the mean square over SEEDS independent sets of draws, all points of a set sharing theirs; gradients in the unit cube, the
largest of the features. Truth on two dates and on two assets: given the first price, Black's formula for the second, integrated over the first by
Gauss-Legendre, and differentiated by torch. Twelve dates: 2^19 paths of another seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.oracle_convergence import Curve, curve, gradient_error
from pybackdoor.data import design
from pybackdoor.oracles import Oracle
from pybackdoor.oracles.asian import AsianCall
from pybackdoor.oracles.basket_call import BasketCall

ROWS = 48
PATHS = (2048, 8192, 32768)
SEEDS = 8
FARTHEST = 9.0  # deviations of the first price
NODES = 400  # on either side of where the first price alone is worth twice the strike

Truth = tuple[torch.Tensor, torch.Tensor]


def curves() -> list[Curve]:
    """All of them."""
    found = []
    asian, basket = AsianCall(dates=2), BasketCall(2)
    for made, label, draw, exact in (
        (asian, "asian_call_mc, 2 dates", lambda **options: AsianCall(dates=2, **options), _of_two_dates),
        (AsianCall(), "asian_call_mc, 12 dates", AsianCall, None),
        (basket, "basket_call_two_mc", lambda **options: BasketCall(2, **options), _of_two_assets),
    ):
        x = design(made.domain, ROWS, seed=11)
        truth = _differentiated(exact, x) if exact else draw(paths=2**19, seed=99).values_and_gradients(x)
        for draws in ("sobol", "philox"):
            found += _curves(made, label, draws, [[draw(paths=paths, draws=draws, seed=seed) for seed in range(SEEDS)] for paths in PATHS], x, truth)
    return found


def _curves(made: Oracle, label: str, draws: str, oracles: list[list[Oracle]], x: torch.Tensor, truth: Truth) -> list[Curve]:
    values, gradients = [], []
    for seeds in oracles:
        answers = [oracle.values_and_gradients(x) for oracle in seeds]
        values.append(torch.stack([value - truth[0] for value, _ in answers]).square().mean(dim=0).sqrt())
        gradients.append(torch.stack([gradient_error(made.domain, x, slope, truth[1]) for _, slope in answers]).square().mean(dim=0).sqrt())
    return [curve(f"{label}, {of}", draws, "paths", PATHS, errors) for of, errors in (("value", values), ("gradient", gradients))]


def _differentiated(exact: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Truth:
    rows = x.clone().requires_grad_()
    values = exact(rows)
    return values.detach(), torch.autograd.grad(values.sum(), rows)[0]


def _of_two_dates(x: torch.Tensor) -> torch.Tensor:
    spot, strike, vol, maturity, rate, dividend = x.unbind(dim=1)
    half = 0.5 * maturity
    drift, spread = (rate - dividend - 0.5 * vol**2) * half, vol * half.sqrt()
    first = (spot.log() + drift, spread)
    second = (spot.log() + 2 * drift, spread, spread)  # log S_2 = level + slope z + spread z'
    return (-rate * maturity).exp() * _average_call(first, second, strike)


def _of_two_assets(x: torch.Tensor) -> torch.Tensor:
    s1, s2, strike, v1, v2, rho, maturity, rate, q1, q2 = x.unbind(dim=1)
    root = maturity.sqrt()
    first = (s1.log() + (rate - q1 - 0.5 * v1**2) * maturity, v1 * root)
    second = (s2.log() + (rate - q2 - 0.5 * v2**2) * maturity, rho * v2 * root, (1 - rho**2).sqrt() * v2 * root)
    return (-rate * maturity).exp() * _average_call(first, second, strike)


def _average_call(first: tuple[torch.Tensor, ...], second: tuple[torch.Tensor, ...], strike: torch.Tensor) -> torch.Tensor:
    """E[((S_1 + S_2) / 2 - K)+], log S_1 = level + slope z, log S_2 = level + slope z + spread z'."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(NODES))
    crossing = (((2 * strike).log() - first[0]) / first[1]).clamp(-FARTHEST, FARTHEST)
    total = torch.zeros_like(strike)
    for low, high in ((-FARTHEST + 0 * crossing, crossing), (crossing, FARTHEST + 0 * crossing)):
        z = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * nodes
        s1, centre = (first[0][:, None] + first[1][:, None] * z).exp(), second[0][:, None] + second[1][:, None] * z
        left, spread = 2 * strike[:, None] - s1, second[2][:, None]
        forward = (centre + 0.5 * spread**2).exp()
        d2 = (centre - left.clamp(min=1e-300).log()) / spread
        paid = torch.where(left > 0, forward * torch.special.ndtr(d2 + spread) - left * torch.special.ndtr(d2), forward - left)
        density = (-0.5 * z * z).exp() / math.sqrt(2 * math.pi)
        total = total + 0.5 * (high - low) / 2 * (weights * density * paid).sum(dim=1)
    return total
