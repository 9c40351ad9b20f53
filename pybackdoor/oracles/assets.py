"""Several assets with one correlation: their features, and their common factor apart from what is left.

Of d assets whose pairs all have correlation rho, log S_i(T) moves by sigma_i sqrt(T) (a xi + b Y_i) with a = sqrt((1 + (d - 1) rho) / d),
b = sqrt(1 - rho), xi standard normal, and Y the projection of d standard normal numbers on the plane where they sum to 0. All assets rise with xi:
a payoff that rises with every asset has one threshold in xi and is integrated over it in closed form, so that what is left to sample is smooth, d - 1
dimensional, and never 0.
"""

from __future__ import annotations

import numpy as np

from pybackdoor.domain import Domain
from pybackdoor.oracles.conditions import Condition, Row, nonnegative, positive

WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}


def names(assets: int) -> tuple[str, ...]:
    """Spots, strike, volatilities, correlation, maturity, rate, dividend yields: 3 d + 4 features."""
    each = [[f"{kind}{number}" for number in range(1, assets + 1)] for kind in ("spot", "volatility", "dividend")]
    return (*each[0], "strike", *each[1], "correlation", "maturity", "rate", *each[2])


def domain(assets: int) -> Domain:
    """Their ranges; the correlation's lower bound is 95 % of the least that d assets can have."""
    lower = (*[50.0] * assets, 50.0, *[0.05] * assets, -0.95 / (assets - 1), 0.01, -0.02, *[0.0] * assets)
    upper = (*[200.0] * assets, 200.0, *[1.0] * assets, 0.95, 5.0, 0.1, *[0.1] * assets)
    return Domain(names(assets), lower, upper, target="price")


def conditions(assets: int) -> tuple[Condition, ...]:
    """What a row must be."""
    least = -1.0 / (assets - 1)

    def holds(row: Row):  # type: ignore[no-untyped-def]
        return (row["correlation"] < 1) & (row["correlation"] > least)

    kinds = [name for name in names(assets) if name.startswith(("spot", "strike", "volatility"))]
    return positive(*kinds) + nonnegative("maturity") + (Condition("correlation", f"a correlation strictly between {least:g} and 1", holds),)


def plane(assets: int) -> np.ndarray:
    """An orthonormal basis of the numbers that sum to 0, as rows [d - 1, d] (Helmert)."""
    rows = np.zeros((assets - 1, assets))
    for k in range(1, assets):
        rows[k - 1, :k], rows[k - 1, k] = 1.0, -k
        rows[k - 1] /= np.sqrt(k * (k + 1))
    return rows
