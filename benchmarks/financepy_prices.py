"""FinancePy's prices at rows of features, for the comparisons in benchmarks: its compiled formulas on whole columns where it has them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from financepy.models.black_scholes_analytic import bjerksund_stensland_value2, european_value
from financepy.models.equity_barrier_option_bs import value_equity_barrier_option_bs
from financepy.models.equity_crr_tree import crr_tree_val
from financepy.models.heston import Heston
from financepy.utils.global_types import BarrierTypes, OptionTypes

CONTINUOUS = 10**9  # its barriers are watched so many times a year
DAYS = 365.0


def european_puts(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows (spot, strike, volatility, maturity, rate, dividend) by the closed form, all rows in one call."""
    spot, strike, volatility, maturity, rate, dividend = points.numpy().T
    return torch.from_numpy(european_value(spot, maturity, strike, rate, dividend, volatility, OptionTypes.EUROPEAN_PUT.value))


def barriers(points: torch.Tensor, kind: str) -> torch.Tensor:
    """Prices at rows (spot, strike, barrier, rebate, volatility, maturity, rate, dividend), the rebate left out, all rows in one call."""
    spot, strike, barrier, _, volatility, maturity, rate, dividend = points.numpy().T
    direction, action, right = kind.upper().split("_")
    code = BarrierTypes[f"{direction}_AND_{action}_{right}"].value
    return torch.from_numpy(value_equity_barrier_option_bs(maturity, strike, barrier, spot, rate, dividend, volatility, code, CONTINUOUS))


def american_puts(points: torch.Tensor, steps: int = 0) -> torch.Tensor:
    """Prices by the approximation of Bjerksund and Stensland (its default), or by the binomial tree of Cox, Ross and Rubinstein, row by row."""
    code, prices = OptionTypes.AMERICAN_PUT.value, np.empty(len(points))
    for row, (spot, strike, volatility, maturity, rate, dividend) in enumerate(points.tolist()):
        if steps:
            prices[row] = crr_tree_val(spot, rate, dividend, volatility, steps, maturity, code, strike, 1)[0]
        else:
            prices[row] = bjerksund_stensland_value2(spot, maturity, strike, rate, dividend, volatility, code)
    return torch.from_numpy(prices)


def american_trees(points: torch.Tensor) -> torch.Tensor:
    """American puts on a tree of 400 steps a year."""
    return american_puts(points, steps=400)


def heston_puts(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows of `heston.NAMES` by its formula of Lewis with adaptive quadrature: calls, and parity."""
    prices = []
    for spot, strike, variance, reversion, mean, vol, rho, maturity, rate, dividend in points.tolist():
        option = SimpleNamespace(expiry_dt=maturity * DAYS, strike_price=strike)
        call = Heston(variance, reversion, mean, vol, rho).value_lewis(0.0, option, spot, rate, dividend)
        prices.append(call - spot * np.exp(-dividend * maturity) + strike * np.exp(-rate * maturity))
    return torch.tensor(prices, dtype=torch.float64)
