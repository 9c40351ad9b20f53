"""Pricing functions as a user of QuantLib writes them."""

from __future__ import annotations

from typing import Any


def european_put(row: dict[str, float]) -> float:
    import QuantLib as ql

    today, day = ql.Date(2, 1, 2025), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, rate, day))

    spot = ql.QuoteHandle(ql.SimpleQuote(row["spot"]))
    smile = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), row["volatility"], day))
    process = ql.BlackScholesMertonProcess(spot, flat(row["dividend"]), flat(row["rate"]), smile)
    payoff, exercise = ql.PlainVanillaPayoff(ql.Option.Put, row["strike"]), ql.EuropeanExercise(today + round(row["maturity"] * 365))
    option = ql.EuropeanOption(payoff, exercise)
    option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    return float(option.NPV())


def expired(row: dict[str, float]) -> float:
    """QuantLib raises: the bond's curve ends before the date asked for."""
    import QuantLib as ql

    curve = ql.ZeroCurve([ql.Date(1, 1, 2025), ql.Date(1, 1, 2026)], [0.01, 0.01], ql.Actual365Fixed())
    return float(curve.discount(10.0 * row["maturity"]))
