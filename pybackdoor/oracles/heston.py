"""European put and call in the stochastic volatility model of Heston, semi-closed.

dS = (r - q) S dt + sqrt(v) S dW, dv = reversion (mean - v) dt + vol sqrt(v) dZ, dW dZ = correlation dt; the feature `variance` is v today.

Known price: F. Fang and C. W. Oosterlee, SIAM Journal on Scientific Computing 31 (2008), 826-848: spot = strike = 100, variance .0175, reversion
1.5768, mean .0398, vol .5751, correlation -.5711, one year, rate 0: call 5.78515543 (they give 5.785155450).
"""

from __future__ import annotations

import numpy as np
import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles.batched import BatchedOracle, correlation, nonnegative, positive
from pybackdoor.oracles.compiled import inlined, kernel, scalar
from pybackdoor.oracles.families import CLOSED
from pybackdoor.oracles.levels import Levelled
from pybackdoor.oracles.on_device import OnDevice
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines, load_block, store_block
from pybackdoor.oracles.scalar.heston_price import FIRST, SEARCH, SHORTEST, assembled, contour, goes_on, integrand, integrand_slopes

NAMES = ("spot", "strike", "variance", "reversion", "mean", "vol", "correlation", "maturity", "rate", "dividend")
DOMAIN = Domain(
    NAMES, (50.0, 50.0, 0.0025, 0.1, 0.0025, 0.05, -0.95, 0.02, -0.02, 0.0), (200.0, 200.0, 0.5, 10.0, 0.5, 2.0, 0.95, 5.0, 0.1, 0.1), target="price"
)
LEVELS = {"fast": 32, "standard": 64, "high": 128}  # points of the contour

_ACCURACY = {"fast": "1e-5, 99 %: 1e-10, half: 1e-13", "standard": "1e-12", "high": "1e-12"}

OUT = 10 * BLOCK  # the integral, then its derivatives in log(F / K) and six parameters; later price and gradient
LOG_MONEYNESS, TILT_SINE, TILT_COSINE, STEP, LOWER, UPPER = range(21 * BLOCK, 27 * BLOCK, BLOCK)
ROWS = 27


class Heston(OnDevice, Levelled, BatchedOracle):
    """Price in currency units with all ten derivatives.

    The call is S e^(-qT) - sqrt(S K) e^(-(r+q)T/2) / pi int Re[e^(iuk) phi(u - i/2)] du / (u^2 + 1/4), k = log(F/K) (A. L. Lewis, "Option
    Valuation under Stochastic Volatility" (2000)), by the trapezoidal rule on the hyperbola u = sinh(y + i tilt) / 2: the integrand decays
    double-exponentially along it, and without oscillation. L. Andersen and M. Lake, "Robust high-precision option pricing by Fourier
    transforms", SSRN 3231626 (2018), tilt it by the integrand's phase at infinity; here by its phase where it has decayed, up to 30 degrees.

    level: "fast", "standard" or "high", 32, 64 or 128 points: over the domain, its corners included, the price is within 1e-5 (99 %: 1e-10; half:
    1e-13), 1e-12 or 1e-12 of the exact one; derivatives, over 1 + their size, are within 2e-4 (99 %: 1e-9), 1e-9 or 1e-10, the largest those in
    variance and mean near .0025. Standard prices are exact to rounding; high is for derivatives there.
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

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import heston, rows

        return rows.solve(heston.price, x, gradient, self.sign, LEVELS[self.level])


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
        w[7 * BLOCK + i] = max(w[7 * BLOCK + i], SHORTEST)
        frame, last = contour(w[i], w[BLOCK + i], _model(w, i), w[8 * BLOCK + i], w[9 * BLOCK + i])
        w[LOG_MONEYNESS + i], w[TILT_SINE + i], w[TILT_COSINE + i] = frame
        w[LOWER + i], w[UPPER + i] = FIRST, last
    for _ in range(SEARCH):
        for i in range(BLOCK):
            middle = 0.5 * (w[LOWER + i] + w[UPPER + i])
            low = goes_on(middle, _frame(w, i), _model(w, i))
            w[LOWER + i] = middle if low else w[LOWER + i]
            w[UPPER + i] = w[UPPER + i] if low else middle
    for i in range(BLOCK):
        w[STEP + i] = w[UPPER + i] / count


@inlined
def _model(w, i):  # type: ignore[no-untyped-def]
    return w[2 * BLOCK + i], w[3 * BLOCK + i], w[4 * BLOCK + i], w[5 * BLOCK + i], w[6 * BLOCK + i], w[7 * BLOCK + i]


@inlined
def _frame(w, i):  # type: ignore[no-untyped-def]
    return w[LOG_MONEYNESS + i], w[TILT_SINE + i], w[TILT_COSINE + i]


@scalar
def _add(w, j):  # type: ignore[no-untyped-def]
    """Adds the integrand at point j."""
    for i in range(BLOCK):
        part, _, _ = integrand((j + 0.5) * w[STEP + i], _frame(w, i), _model(w, i))
        w[OUT + i] += part[0]


@scalar
def _add_with_slopes(w, j):  # type: ignore[no-untyped-def]
    """Adds the integrand at point j, and its derivatives."""
    for i in range(BLOCK):
        value, by_k, a, b, c, d, e, f = integrand_slopes((j + 0.5) * w[STEP + i], _frame(w, i), _model(w, i))
        w[OUT + i] += value
        w[OUT + BLOCK + i] += by_k
        w[OUT + 2 * BLOCK + i] += a
        w[OUT + 3 * BLOCK + i] += b
        w[OUT + 4 * BLOCK + i] += c
        w[OUT + 5 * BLOCK + i] += d
        w[OUT + 6 * BLOCK + i] += e
        w[OUT + 7 * BLOCK + i] += f


@scalar
def _finish(w, sign):  # type: ignore[no-untyped-def]
    """Price and gradient in the rows from OUT, from the sums there."""
    n = BLOCK
    for i in range(BLOCK):
        sums = (w[OUT + i], w[OUT + n + i], w[OUT + 2 * n + i], w[OUT + 3 * n + i], w[OUT + 4 * n + i], w[OUT + 5 * n + i], w[OUT + 6 * n + i],
                w[OUT + 7 * n + i])  # fmt: skip
        (
            w[OUT + i],
            w[OUT + n + i],
            w[OUT + 2 * n + i],
            w[OUT + 3 * n + i],
            w[OUT + 4 * n + i],
            w[OUT + 5 * n + i],
            w[OUT + 6 * n + i],
            w[OUT + 7 * n + i],
            w[OUT + 8 * n + i],
            w[OUT + 9 * n + i],
            w[OUT + 10 * n + i],
        ) = assembled(sign, w[i], w[n + i], w[7 * n + i], w[8 * n + i], w[9 * n + i], w[STEP + i], sums)
