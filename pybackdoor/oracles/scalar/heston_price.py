"""A European option in Heston's model by one complex integral, on one point of the contour and on one option.

The contour, its cut and the formula: see `pybackdoor.oracles.heston`. model: (variance, reversion, mean, vol, correlation, maturity).
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import inlined
from pybackdoor.oracles.scalar.complexes import exponential, over, times
from pybackdoor.oracles.scalar.heston import exponent, exponent_slopes
from pybackdoor.oracles.scalar.vmath import exp, log, log_ratio

SHORTEST = 1e-8  # years; a shorter maturity is the payoff
SEARCH = 6  # halvings of the search for the end of the contour
FIRST = 1.0  # the least it can be
_LAST = 25.0  # the most
_SCALE = 0.5  # of the contour: the poles +-i/2 of 1 / (u^2 + 1/4) are then as far from it as they can be
_STEEPEST = 0.5  # sine of the largest tilt: a Gaussian grows from 45 degrees on
_DECAY = -34.0  # exponent at which the integrand is cut off
_PROBED = -10.0  # exponent, about, at which its oscillation is measured


@inlined
def contour(spot, strike, model, rate, dividend):  # type: ignore[no-untyped-def]
    """(log(F / K), sine of the contour's tilt, its cosine), and a y beyond the end of the contour.

    The tilt is half the angle of the integrand's exponent at a u where it has decayed: there, and not at infinity, where the oscillation of a short
    maturity or a small vol may be the other way, long after the integrand is nothing. Beyond the end it may even grow again, hence the bound.
    """
    variance, reversion, mean, vol, correlation, maturity = model
    k = log_ratio(spot, strike) + (rate - dividend) * maturity
    u = _decayed(_PROBED, model), 0.0
    by_mean, by_variance, _, _, _, _, _, _ = exponent(u, reversion, vol, correlation, maturity)
    pull = reversion * mean
    decay = max(-pull * by_mean[0] - variance * by_variance[0], 1e-12)
    phase = pull * by_mean[1] + variance * by_variance[1] + u[0] * k
    sine = min(math.sqrt(0.5 * max(1.0 - decay / math.sqrt(decay * decay + phase * phase), 0.0)), _STEEPEST)
    last = log(4.0 * _decayed(_DECAY, model)) + 0.5
    return (k, sine if phase >= 0.0 else -sine, math.sqrt(1.0 - sine * sine)), min(max(last, 2.0), _LAST)


@inlined
def _decayed(power, model):  # type: ignore[no-untyped-def]
    """A real u at which the exponent is about `power` or less: where a Gaussian's of the mean variance is, plus where its form at infinity is."""
    variance, reversion, mean, vol, correlation, maturity = model
    pull = reversion * maturity
    spread = maturity * (variance + 0.5 * pull * mean) / (1.0 + 0.5 * pull)  # about the mean of the variance's integral
    slope = math.sqrt(1.0 - correlation * correlation) * (variance + pull * mean) / vol
    return min(math.sqrt(-2.0 * power / max(spread, 1e-18)) - power / max(slope, 1e-9), 1e10)


@inlined
def goes_on(y, frame, model):  # type: ignore[no-untyped-def]
    """Whether the integrand is not yet nothing at y; frame: what `contour` returned."""
    variance, reversion, mean, vol, correlation, maturity = model
    k, sine, cosine = frame
    grown = exp(y)
    u = 0.5 * _SCALE * (grown - 1.0 / grown) * cosine, 0.5 * _SCALE * (grown + 1.0 / grown) * sine
    state = exponent(u, reversion, vol, correlation, maturity)
    return reversion * mean * state[0][0] + variance * state[1][0] - u[1] * k - y > _DECAY


@inlined
def integrand(y, frame, model):  # type: ignore[no-untyped-def]
    """(the integrand du/dy at y, u, the state of `exponent` there)."""
    variance, reversion, mean, vol, correlation, maturity = model
    k, sine, cosine = frame
    grown = exp(y)
    sinh, cosh = 0.5 * (grown - 1.0 / grown), 0.5 * (grown + 1.0 / grown)
    u = _SCALE * sinh * cosine, _SCALE * cosh * sine
    along = _SCALE * cosh * cosine, _SCALE * sinh * sine
    state = exponent(u, reversion, vol, correlation, maturity)
    pull = reversion * mean
    power = pull * state[0][0] + variance * state[1][0] - u[1] * k, pull * state[0][1] + variance * state[1][1] + u[0] * k
    return times(exponential(power), over(along, state[3])), u, state


@inlined
def integrand_slopes(y, frame, model):  # type: ignore[no-untyped-def]
    """The real parts of the integrand and of its derivatives in log(F / K) and the six of the model."""
    variance, reversion, mean, vol, correlation, maturity = model
    part, u, state = integrand(y, frame, model)
    a, b, c, d, e, f = exponent_slopes(state, u, variance, reversion, mean, vol, correlation, maturity)
    return (
        part[0],
        -u[1] * part[0] - u[0] * part[1],
        times(part, a)[0],
        times(part, b)[0],
        times(part, c)[0],
        times(part, d)[0],
        times(part, e)[0],
        times(part, f)[0],
    )


@inlined
def assembled(sign, spot, strike, maturity, rate, dividend, step, sums):  # type: ignore[no-untyped-def]
    """(price, ten derivatives) from the sums over the contour's points, `step` apart; of the payoff where the maturity is nothing."""
    over_now = maturity <= SHORTEST
    held, paid = spot * exp(-dividend * maturity), strike * exp(-rate * maturity)
    level = math.sqrt(held * paid) * step / math.pi
    total, by_k = level * sums[0], level * sums[1]
    total = min(held, paid) if over_now else total
    by_k = (0.5 * total if held < paid else -0.5 * total) if over_now else by_k
    a, b, c = level * sums[2], level * sums[3], level * sums[4]
    d, e, f = level * sums[5], level * sums[6], level * sums[7]
    a, b, c, d, e, f = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0) if over_now else (a, b, c, d, e, f)
    asset, cash = (held, 0.0) if sign > 0.0 else (0.0, -paid)  # the call is asset - total, the put total's complement: paid - total
    return (
        asset - cash - total,
        (asset - 0.5 * total - by_k) / spot,
        (-cash - 0.5 * total + by_k) / strike,
        -a,
        -b,
        -c,
        -d,
        -e,
        -dividend * asset + rate * cash + 0.5 * (rate + dividend) * total - (rate - dividend) * by_k - f,
        maturity * (cash + 0.5 * total - by_k),
        maturity * (-asset + 0.5 * total + by_k),
    )
