"""QuantLib as an oracle: a pricing function of the user's, row by row in processes of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from pybackdoor.domain import Domain
from pybackdoor.errors import InputTypeError, UnsupportedError
from pybackdoor.oracles.callable import CallableOracle
from pybackdoor.workers import ByRow, PoolOptions


class QuantLibOracle(CallableOracle):
    """`price(row)` with row = {feature: value} in natural units, returning one number (or the pair of value and standard error), by QuantLib.

    QuantLib keeps its evaluation date in a global and the interpreter's lock while it computes, so rows are priced in `workers` processes (1 unless
    said otherwise; see `PoolOptions` for timeout, retries and start_method): define `price` at the top level of a module.

    The gradient is by second-order differences, charged 2 d values. difference_step: their step in the unit cube, one number or {feature: step}. The
    default, 1e-3, is for prices with the noise of a grid. QuantLib counts whole days: give the maturity a step of a few days (`days_step`)
    and expect its derivative to be good to about one part in that many. A row on which QuantLib raises has the status RAISED.

    Raises UnsupportedError when QuantLib is not installed, and what CallableOracle raises.

    >>> import math
    >>> domain = Domain(("spot", "strike"), (50.0, 50.0), (150.0, 150.0))
    >>> QuantLibOracle(math.fsum, domain).gradient_cost
    4.0
    """

    method = "QuantLib, finite differences"

    def __init__(
        self,
        price: Callable[[dict[str, float]], Any],
        domain: Domain,
        *,
        name: str | None = None,
        difference_step: float | Mapping[str, float] = 1e-3,
        **processes: Unpack[PoolOptions],
    ) -> None:
        if importlib.util.find_spec("QuantLib") is None:
            raise UnsupportedError("QuantLib oracle: QuantLib is not installed; pip install 'pybackdoor[quantlib]'")
        if not callable(price):
            raise InputTypeError(f"QuantLib oracle: price is a {type(price).__name__}; a callable on a row {{feature: value}} is needed")
        called = name if name is not None else str(getattr(price, "__name__", "quantlib"))
        if isinstance(difference_step, Mapping):
            difference_step = dict.fromkeys(domain.names, 1e-3) | dict(difference_step)
        options: PoolOptions = {"workers": 1, **processes}
        super().__init__(ByRow(price, domain.names), domain, name=called, difference_step=difference_step, **options)


def days_step(domain: Domain, days: int = 7, feature: str = "maturity") -> dict[str, float]:
    """The step of `days` days in the unit cube for a maturity in years on a linear scale, for `difference_step`.

    >>> days_step(Domain(("maturity",), (0.0,), (2.0,)), days=73)
    {'maturity': 0.1}
    """
    place = domain.names.index(feature)
    return {feature: days / 365 / (domain.upper[place] - domain.lower[place])}
