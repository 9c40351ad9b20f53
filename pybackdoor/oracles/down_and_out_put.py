"""Down-and-out put, closed form."""

from __future__ import annotations

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation

SPOT = 100.0
DOMAIN = Domain(("strike", "barrier", "volatility", "maturity", "rate"), (50.0, 10.0, 0.01, 0.002, 0.0), (200.0, 100.0, 1.0, 5.0, 0.1),
                target="price")


class DownAndOutPut(Oracle):
    """European down-and-out put, Black-Scholes, continuous barrier, spot 100, no rebate, no dividend."""

    name = "down_and_out_put"
    domain = DOMAIN
    exact = True
    gradient_cost = 1.0

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        with torch.enable_grad():
            points = x.detach().clone().requires_grad_(gradient)
            values = _price(points)
            gradients = torch.autograd.grad(values.sum(), points)[0] if gradient else None
        values = values.detach()
        return Evaluation(values, gradients, torch.zeros_like(values), torch.zeros_like(values, dtype=torch.int64), self.cost(x.shape[0], gradient))


def _price(points: torch.Tensor) -> torch.Tensor:
    dead = (points[:, 0] <= points[:, 1]) | (points[:, 1] >= SPOT)
    safe = torch.tensor([100.0, 50.0, 0.2, 1.0, 0.05], dtype=torch.float64, device=points.device)
    strike, barrier, volatility, maturity, rate = torch.where(dead[:, None], safe, points).unbind(dim=1)
    deviation, drift = volatility * maturity.sqrt(), 2 * rate / volatility**2
    discount = -rate * maturity

    def window(log_weight: torch.Tensor, spot: torch.Tensor, shift: float) -> torch.Tensor:
        low = ((barrier / spot).log() - (rate + shift * volatility**2) * maturity) / deviation
        high = ((strike / spot).log() - (rate + shift * volatility**2) * maturity) / deviation
        flip = low > 0
        a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
        return (log_weight + torch.special.log_ndtr(b)).exp() - (log_weight + torch.special.log_ndtr(a)).exp()

    image = barrier**2 / SPOT
    log_ratio = (barrier / SPOT).log()
    spot = torch.full_like(strike, SPOT)
    out = strike * (window(discount, spot, -0.5) - window(discount + (drift - 1) * log_ratio, image, -0.5))
    out = out - SPOT * window(0 * discount, spot, 0.5) + SPOT * window((drift + 1) * log_ratio, image, 0.5)
    return torch.where(dead, torch.zeros_like(out), out)
