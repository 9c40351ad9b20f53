"""European put and call in the stochastic volatility model of Heston, semi-closed.

dS = (r - q) S dt + sqrt(v) S dW, dv = reversion (mean - v) dt + vol sqrt(v) dZ, dW dZ = correlation dt; the feature `variance` is v today.

Known price: F. Fang and C. W. Oosterlee, SIAM Journal on Scientific Computing 31 (2008), 826-848: spot = strike = 100, variance .0175, reversion
1.5768, mean .0398, vol .5751, correlation -.5711, one year, rate 0: call 5.78515543 (they give 5.785155450).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, correlation, nonnegative, positive
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines, load_block, store_block
from pybackdoor.oracles.scalar.complexes import exponential, over, times
from pybackdoor.oracles.scalar.heston import exponent, exponent_slopes
from pybackdoor.oracles.scalar.vmath import exp, log_ratio

NAMES = ("spot", "strike", "variance", "reversion", "mean", "vol", "correlation", "maturity", "rate", "dividend")
DOMAIN = Domain(
    NAMES, (50.0, 50.0, 0.0025, 0.1, 0.0025, 0.05, -0.95, 0.02, -0.02, 0.0), (200.0, 200.0, 0.5, 10.0, 0.5, 2.0, 0.95, 5.0, 0.1, 0.1), target="price"
)
LEVELS = {"fast": 32, "standard": 64, "high": 128}  # points of the contour

_ACCURACY = {"fast": "4e-5, 99 %: 1e-6, half: 1e-12", "standard": "5e-9", "high": "1e-11"}

_SHORTEST = 1e-8  # years; a shorter maturity is the payoff
_SCALE = 0.5  # of the contour: the poles +-i/2 of 1 / (u^2 + 1/4) are then as far from it as they can be
_TILT = math.pi / 12.0
_DECAY = -34.0  # exponent at which the integrand is cut off
_SEARCH = 7  # halvings of the search for that place

OUT = 10 * BLOCK  # the integral, then its derivatives in log(F / K) and six parameters; later price and gradient
LOG_MONEYNESS, TILT_SINE, TILT_COSINE, STEP, LOWER, UPPER = range(21 * BLOCK, 27 * BLOCK, BLOCK)
ROWS = 27


class Heston(Levelled, BatchedOracle):
    """Price in currency units with all ten derivatives.

    The call is S e^(-qT) - sqrt(S K) e^(-(r+q)T/2) / pi int Re[e^(iuk) phi(u - i/2)] du / (u^2 + 1/4), k = log(F/K) (A. L. Lewis, "Option
    Valuation under Stochastic Volatility" (2000)), by the trapezoidal rule on the hyperbola u = sinh(y + i tilt) / 2: the integrand decays
    double-exponentially along it, and without oscillation, tilted as by L. Andersen and M. Lake, "Robust high-precision option pricing by Fourier
    transforms", SSRN 3231626 (2018).

    level: "fast", "standard" or "high", 32, 64 or 128 points: over the domain the price is within 4e-5 (99 %: 1e-6; half: 1e-12), 5e-9 or 1e-11 of
    the exact one; derivatives in variance and mean, down to .0025 there, lose two to three digits on that.
    Feller's condition need not hold. Maturities below 1e-8 years are the payoff. Raises InputError on an unknown level.
    """

    domain = DOMAIN
    accuracies = _ACCURACY
    family = CLOSED
    method = "semi-closed: one complex integral"
    gradient_cost = 0.35  # as measured: 8,192 points, one core
    chunk = 1024
    conditions = positive("spot", "strike", "reversion", "vol") + nonnegative("variance", "mean", "maturity") + correlation("correlation")
    sign: float

    def _solve(self, points: np.ndarray, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._run(_price, points, gradient, self.sign, LEVELS[self.level])


class HestonPut(Heston):
    """The put; see `Heston`."""

    name = "heston_put"
    sign = -1.0


class HestonCall(Heston):
    """The call; see `Heston`.

    >>> HestonCall().values([[100.0, 100.0, 0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 1.0, 0.0, 0.0]])
    tensor([5.7852], dtype=torch.float64)
    """

    name = "heston_call"
    sign = 1.0


@kernel
def _price(points, values, gradients, status, sign, count):  # type: ignore[no-untyped-def]
    w = cache_lines(ROWS * BLOCK)
    for first in range(0, points.shape[0], BLOCK):
        load_block(points, first, w)
        _contour(w, count)
        for j in range(count):
            if gradients.shape[0] > 0:
                _add_with_slopes(w, j)
            else:
                _add(w, j)
        _finish(w, sign)
        store_block(w, 10, first, values, gradients, status)


@scalar
def _contour(w, count):  # type: ignore[no-untyped-def]
    """Tilt and step of every contour; zeros the sums."""
    w[OUT : OUT + 11 * BLOCK] = 0.0
    for i in range(BLOCK):
        w[7 * BLOCK + i] = max(w[7 * BLOCK + i], _SHORTEST)
        pull = w[2 * BLOCK + i] + w[3 * BLOCK + i] * w[4 * BLOCK + i] * w[7 * BLOCK + i]
        k = log_ratio(w[i], w[BLOCK + i]) + (w[8 * BLOCK + i] - w[9 * BLOCK + i]) * w[7 * BLOCK + i]
        lean = w[6 * BLOCK + i] - w[5 * BLOCK + i] * k / max(pull, 1e-12)
        turned = (math.sin(_TILT) if k > 0.0 else -math.sin(_TILT)) if lean * k < 0.0 else 0.0
        w[LOG_MONEYNESS + i], w[TILT_SINE + i], w[TILT_COSINE + i] = k, turned, math.cos(_TILT) if lean * k < 0.0 else 1.0
        w[LOWER + i], w[UPPER + i] = 1.0, 25.0
    for _ in range(_SEARCH):
        for i in range(BLOCK):
            middle = 0.5 * (w[LOWER + i] + w[UPPER + i])
            grown = exp(middle)
            u = 0.5 * _SCALE * (grown - 1.0 / grown) * w[TILT_COSINE + i], 0.5 * _SCALE * (grown + 1.0 / grown) * w[TILT_SINE + i]
            state = exponent(u, w[3 * BLOCK + i], w[5 * BLOCK + i], w[6 * BLOCK + i], w[7 * BLOCK + i])
            size = w[3 * BLOCK + i] * w[4 * BLOCK + i] * state[0][0] + w[2 * BLOCK + i] * state[1][0] - u[1] * w[LOG_MONEYNESS + i] - middle
            low = size > _DECAY
            w[LOWER + i] = middle if low else w[LOWER + i]
            w[UPPER + i] = w[UPPER + i] if low else middle
    for i in range(BLOCK):
        w[STEP + i] = w[UPPER + i] / count


@scalar
def _add(w, j):  # type: ignore[no-untyped-def]
    """Adds the integrand at point j."""
    for i in range(BLOCK):
        grown = exp((j + 0.5) * w[STEP + i])
        sinh, cosh = 0.5 * (grown - 1.0 / grown), 0.5 * (grown + 1.0 / grown)
        u = _SCALE * sinh * w[TILT_COSINE + i], _SCALE * cosh * w[TILT_SINE + i]
        along = _SCALE * cosh * w[TILT_COSINE + i], _SCALE * sinh * w[TILT_SINE + i]
        state = exponent(u, w[3 * BLOCK + i], w[5 * BLOCK + i], w[6 * BLOCK + i], w[7 * BLOCK + i])
        pull = w[3 * BLOCK + i] * w[4 * BLOCK + i]
        power = (
            pull * state[0][0] + w[2 * BLOCK + i] * state[1][0] - u[1] * w[LOG_MONEYNESS + i],
            pull * state[0][1] + w[2 * BLOCK + i] * state[1][1] + u[0] * w[LOG_MONEYNESS + i],
        )
        w[OUT + i] += times(exponential(power), over(along, state[3]))[0]


@scalar
def _add_with_slopes(w, j):  # type: ignore[no-untyped-def]
    """Adds the integrand at point j, and its derivatives."""
    for i in range(BLOCK):
        grown = exp((j + 0.5) * w[STEP + i])
        sinh, cosh = 0.5 * (grown - 1.0 / grown), 0.5 * (grown + 1.0 / grown)
        u = _SCALE * sinh * w[TILT_COSINE + i], _SCALE * cosh * w[TILT_SINE + i]
        along = _SCALE * cosh * w[TILT_COSINE + i], _SCALE * sinh * w[TILT_SINE + i]
        state = exponent(u, w[3 * BLOCK + i], w[5 * BLOCK + i], w[6 * BLOCK + i], w[7 * BLOCK + i])
        pull = w[3 * BLOCK + i] * w[4 * BLOCK + i]
        power = (
            pull * state[0][0] + w[2 * BLOCK + i] * state[1][0] - u[1] * w[LOG_MONEYNESS + i],
            pull * state[0][1] + w[2 * BLOCK + i] * state[1][1] + u[0] * w[LOG_MONEYNESS + i],
        )
        part = times(exponential(power), over(along, state[3]))
        a, b, c, d, e, f = exponent_slopes(
            state, u, w[2 * BLOCK + i], w[3 * BLOCK + i], w[4 * BLOCK + i], w[5 * BLOCK + i], w[6 * BLOCK + i], w[7 * BLOCK + i]
        )
        w[OUT + i] += part[0]
        w[OUT + BLOCK + i] += -u[1] * part[0] - u[0] * part[1]
        w[OUT + 2 * BLOCK + i] += times(part, a)[0]
        w[OUT + 3 * BLOCK + i] += times(part, b)[0]
        w[OUT + 4 * BLOCK + i] += times(part, c)[0]
        w[OUT + 5 * BLOCK + i] += times(part, d)[0]
        w[OUT + 6 * BLOCK + i] += times(part, e)[0]
        w[OUT + 7 * BLOCK + i] += times(part, f)[0]


@scalar
def _finish(w, sign):  # type: ignore[no-untyped-def]
    """Price and gradient in the rows from OUT, from the sums there; of the payoff where the maturity is nothing."""
    for i in range(BLOCK):
        spot, strike, maturity, rate, dividend = w[i], w[BLOCK + i], w[7 * BLOCK + i], w[8 * BLOCK + i], w[9 * BLOCK + i]
        over_now = maturity <= _SHORTEST
        held, paid = spot * exp(-dividend * maturity), strike * exp(-rate * maturity)
        level = math.sqrt(held * paid) * w[STEP + i] / math.pi
        total, by_k = level * w[OUT + i], level * w[OUT + BLOCK + i]
        total = min(held, paid) if over_now else total
        by_k = (0.5 * total if held < paid else -0.5 * total) if over_now else by_k
        a, b, c = level * w[OUT + 2 * BLOCK + i], level * w[OUT + 3 * BLOCK + i], level * w[OUT + 4 * BLOCK + i]
        d, e, f = level * w[OUT + 5 * BLOCK + i], level * w[OUT + 6 * BLOCK + i], level * w[OUT + 7 * BLOCK + i]
        a, b, c, d, e, f = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0) if over_now else (a, b, c, d, e, f)
        asset, cash = (held, 0.0) if sign > 0.0 else (0.0, -paid)  # the call is asset - total, the put total's complement: paid - total
        w[OUT + i] = asset - cash - total
        w[OUT + BLOCK + i] = (asset - 0.5 * total - by_k) / spot
        w[OUT + 2 * BLOCK + i] = (-cash - 0.5 * total + by_k) / strike
        w[OUT + 3 * BLOCK + i], w[OUT + 4 * BLOCK + i], w[OUT + 5 * BLOCK + i] = -a, -b, -c
        w[OUT + 6 * BLOCK + i], w[OUT + 7 * BLOCK + i] = -d, -e
        w[OUT + 8 * BLOCK + i] = -dividend * asset + rate * cash + 0.5 * (rate + dividend) * total - (rate - dividend) * by_k - f
        w[OUT + 9 * BLOCK + i] = maturity * (cash + 0.5 * total - by_k)
        w[OUT + 10 * BLOCK + i] = maturity * (-asset + 0.5 * total + by_k)
