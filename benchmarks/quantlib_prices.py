"""QuantLib's prices at rows of features: for the comparisons in benchmarks and tests. One call prices one row, as its Python users do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import QuantLib as ql
import torch

DAYS = 365  # maturities are whole days


class Market:
    """A Black-Scholes-Merton process whose four quotes are moved from row to row."""

    def __init__(self) -> None:
        self.today = ql.Date(2, 1, 2025)
        ql.Settings.instance().evaluationDate = self.today
        day = ql.Actual365Fixed()
        self.spot, self.rate, self.dividend, self.volatility = (ql.SimpleQuote(value) for value in (100.0, 0.05, 0.0, 0.2))
        flat = [ql.YieldTermStructureHandle(ql.FlatForward(self.today, ql.QuoteHandle(quote), day)) for quote in (self.dividend, self.rate)]
        smile = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(self.today, ql.NullCalendar(), ql.QuoteHandle(self.volatility), day))
        self.dividends, self.rates = flat
        self.process = ql.BlackScholesMertonProcess(ql.QuoteHandle(self.spot), *flat, smile)

    def move(self, spot: float, volatility: float, rate: float, dividend: float) -> None:
        self.spot.setValue(spot)
        self.volatility.setValue(volatility)
        self.rate.setValue(rate)
        self.dividend.setValue(dividend)

    def date(self, maturity: float) -> Any:
        return self.today + round(maturity * DAYS)


def american_puts(points: torch.Tensor, scheme: Any) -> torch.Tensor:
    """Prices at rows (spot, strike, volatility, maturity, rate, dividend) by the engine QdFp."""
    market = Market()
    engine = ql.QdFpAmericanEngine(market.process, scheme)

    def price(row: list[float]) -> float:
        spot, strike, volatility, maturity, rate, dividend = row
        market.move(spot, volatility, rate, dividend)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.AmericanExercise(market.today, market.date(maturity)))
        option.setPricingEngine(engine)
        return float(option.NPV())

    return _each(price, points)


def american_truth(points: torch.Tensor) -> torch.Tensor:
    """The same by QdFp with 30 points and 60 iterations to 1e-10, which its high-precision scheme, 10 points, is up to 5e-6 away from."""
    return american_puts(points, ql.QdFpTanhSinhIterationScheme(30, 60, 1e-10))


def barriers(points: torch.Tensor, kind: str) -> torch.Tensor:
    """Prices at rows (spot, strike, barrier, rebate, volatility, maturity, rate, dividend) by the closed form."""
    market = Market()
    engine = ql.AnalyticBarrierEngine(market.process)
    direction, action, right = kind.split("_")
    barrier_type = getattr(ql.Barrier, direction.title() + action.title())
    option_type = ql.Option.Call if right == "call" else ql.Option.Put

    def price(row: list[float]) -> float:
        spot, strike, barrier, rebate, volatility, maturity, rate, dividend = row
        market.move(spot, volatility, rate, dividend)
        payoff, exercise = ql.PlainVanillaPayoff(option_type, strike), ql.EuropeanExercise(market.date(maturity))
        option = ql.BarrierOption(barrier_type, barrier, rebate, payoff, exercise)
        option.setPricingEngine(engine)
        return float(option.NPV())

    return _each(price, points)


def european_puts(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows (spot, strike, volatility, maturity, rate, dividend) by the closed form."""
    market = Market()
    engine = ql.AnalyticEuropeanEngine(market.process)

    def price(row: list[float]) -> float:
        spot, strike, volatility, maturity, rate, dividend = row
        market.move(spot, volatility, rate, dividend)
        option = ql.EuropeanOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.EuropeanExercise(market.date(maturity)))
        option.setPricingEngine(engine)
        return float(option.NPV())

    return _each(price, points)


def heston_puts(points: torch.Tensor, *, order: int | None = 144, tolerance: float = 1e-8) -> torch.Tensor:
    """Prices at rows of `heston.NAMES` by the analytic engine: Gauss-Laguerre of an order, or adaptive (order None) to a relative tolerance."""
    market = Market()
    process = ql.HestonProcess(market.rates, market.dividends, ql.QuoteHandle(market.spot), 0.04, 1.0, 0.04, 0.5, -0.5)
    model = ql.HestonModel(process)
    engine = ql.AnalyticHestonEngine(model, tolerance, 100_000) if order is None else ql.AnalyticHestonEngine(model, order)

    def price(row: list[float]) -> float:
        spot, strike, variance, reversion, mean, vol, rho, maturity, rate, dividend = row
        market.move(spot, 0.2, rate, dividend)
        model.setParams(ql.Array([mean, reversion, vol, rho, variance]))
        option = ql.EuropeanOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.EuropeanExercise(market.date(maturity)))
        option.setPricingEngine(engine)
        return float(option.NPV())

    return _each(price, points)


def heston_puts_fd(points: torch.Tensor, time: int, price_nodes: int, variance_nodes: int) -> torch.Tensor:
    """Prices at rows of `heston.NAMES` by the finite-difference engine (Hundsdorfer's scheme, its default) on a grid.

    NaN where its mesh does not reach the row's own variance, which it calls an extrapolation.
    """
    market = Market()
    model = ql.HestonModel(ql.HestonProcess(market.rates, market.dividends, ql.QuoteHandle(market.spot), 0.04, 1.0, 0.04, 0.5, -0.5))
    engine = ql.FdHestonVanillaEngine(model, time, price_nodes, variance_nodes)

    def price(row: list[float]) -> float:
        spot, strike, variance, reversion, mean, vol, rho, maturity, rate, dividend = row
        market.move(spot, 0.2, rate, dividend)
        model.setParams(ql.Array([mean, reversion, vol, rho, variance]))
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.EuropeanExercise(market.date(maturity)))
        option.setPricingEngine(engine)
        try:
            return float(option.NPV())
        except RuntimeError as error:
            if "extrapolation" not in str(error):
                raise
            return math.nan

    return _each(price, points)


def cev_puts(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows (spot, strike, volatility, elasticity, maturity, rate, dividend = rate), by the noncentral chi-square engine."""
    market = Market()

    def price(row: list[float]) -> float:
        spot, strike, volatility, elasticity, maturity, rate, _ = row
        market.move(spot, 0.2, rate, 0.0)
        engine = ql.AnalyticCEVEngine(spot, volatility * 100 ** (1 - elasticity), elasticity, market.rates)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.EuropeanExercise(market.date(maturity)))
        option.setPricingEngine(engine)
        return float(option.NPV())

    return _each(price, points)


def cev_puts_fd(points: torch.Tensor, time: int, nodes: int) -> torch.Tensor:
    """The same rows by the finite-difference engine on a grid."""
    market = Market()

    def price(row: list[float]) -> float:
        spot, strike, volatility, elasticity, maturity, rate, _ = row
        market.move(spot, 0.2, rate, 0.0)
        engine = ql.FdCEVVanillaEngine(spot, volatility * 100 ** (1 - elasticity), elasticity, market.rates, time, nodes)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.EuropeanExercise(market.date(maturity)))
        option.setPricingEngine(engine)
        try:
            return float(option.NPV())
        except RuntimeError:
            return math.nan

    return _each(price, points)


def max_calls(points: torch.Tensor) -> torch.Tensor:
    """Prices at rows of `max_call_two.NAMES` by the engine of Stulz."""
    one, two = Market(), Market()

    def price(row: list[float]) -> float:
        spot1, spot2, strike, volatility1, volatility2, rho, maturity, rate, dividend1, dividend2 = row
        one.move(spot1, volatility1, rate, dividend1)
        two.move(spot2, volatility2, rate, dividend2)
        payoff = ql.MaxBasketPayoff(ql.PlainVanillaPayoff(ql.Option.Call, strike))
        option = ql.BasketOption(payoff, ql.EuropeanExercise(one.date(maturity)))
        option.setPricingEngine(ql.StulzEngine(one.process, two.process, rho))
        return float(option.NPV())

    return _each(price, points)


def _each(price: Callable[[list[float]], float], points: torch.Tensor) -> torch.Tensor:
    return torch.tensor([price(row) for row in points.tolist()], dtype=torch.float64)
