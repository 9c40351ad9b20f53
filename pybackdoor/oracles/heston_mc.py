"""European put and call in Heston's model by Monte Carlo: Andersen's scheme QE-M for the variance, Black's formula for the spot given it."""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.oracles import heston, heston_shifted
from pybackdoor.oracles.compiled import inlined, kernel, scalar
from pybackdoor.oracles.heston_steps import C1, C2, SHAPE, A, B, E, H, P, Q, R, U, W, coefficients
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.quadratic_exponential import quadratic_exponential
from pybackdoor.oracles.scalar.vmath import exp, log, log_ratio, normal

VARIANCE, DRIFT, CLOCK, SHARES, ASSET, CASH = (row * BLOCK for row in range(6))  # CLOCK: the variance of log S
BY_VARIANCE, BY_DRIFT, BY_CLOCK, SUMS = 6 * BLOCK, 11 * BLOCK, 18 * BLOCK, 25 * BLOCK  # 5 rows, and three times 7: last correlation and scale
G, G_PSI, L_PSI, L_Y, PSI, MEAN, SHARE, OVER = (row * BLOCK for row in range(32, 40))
ROWS = 40
LINGERS = 1.0  # relative variance of the variance at maturity beyond which its tangents are no more carried
PATHS, TANGENTS, SHIFTS = 0, 1, 2  # what a point needs: no derivatives, or by which method

_SHORTEST = 1e-8  # years; a shorter maturity is the payoff


class HestonMonteCarlo(MonteCarloOracle):
    """Price in currency units with its standard error and all ten derivatives.

    The variance moves in `steps` equal steps by QE-M (scalar/quadratic_exponential.py says how it is made differentiable). Given its path, log S(T)
    is normal, and the option is worth Black's formula at the forward F exp(sum A v' - log E[exp(A v') | v]), which is a martingale, and the variance
    (1 - rho^2) int v dt (M. Romano and N. Touzi, Mathematical Finance 7 (1997), 399-412); nothing is drawn for the spot. Of int v dt the mean, the
    covariance with the variance's end and, as part of the spot's normal number, the variance are exact for any step (heston_steps.py).

    Derivatives are those of the drawn price, carried along the path as tangents, where the variance at maturity is spread by less than its mean.
    Elsewhere tangents are too rare and too large to be sampled: those in variance, reversion and mean come from paths of a shifted variance
    (heston_shifted.py), those in vol and maturity from them and the derivative in the scale of the variance (variance, mean and vol^2 together),
    which is the drawn price's own, as are all others. They are then those of the mean, up to the bias of the steps, with an error of their own.

    Standard errors do not contain the bias of the steps: see docs/oracles.md; it falls as 1 / steps^2 while vol^2 dt is small beside the variance,
    more slowly beyond. A step that is so large that exp(A v') has no mean is NOT_FINITE: take more steps. draws: "sobol" or "philox"; see `Draws` and
    `MonteCarloOracle`. Feller's condition need not hold. Maturities below 1e-8 years are the payoff. Raises InputError when steps < 1.
    """

    domain = heston.DOMAIN
    method = "quasi-Monte Carlo, QE-M variance, Black's formula given it"
    gradient_cost = 0.6  # 0.4 where tangents are carried, 1 elsewhere
    conditions = heston.Heston.conditions
    sign: float

    def __init__(self, *, paths: int = 4096, steps: int = 64, seed: int = 0, draws: str = "sobol") -> None:
        if steps < 1:
            raise InputError(f"{self.name}: {steps} steps; at least 1 is needed")
        self.steps = steps
        super().__init__(paths=paths, dimensions=2 + steps, seed=seed, draws=draws, walk=steps)

    def _with_paths(self, paths: int) -> HestonMonteCarlo:
        return type(self)(paths=paths, steps=self.steps, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(_price, points, gradient, self.sign)


class HestonPutMonteCarlo(HestonMonteCarlo):
    """The put; see `HestonMonteCarlo`."""

    name = "heston_put_mc"
    sign = -1.0


class HestonCallMonteCarlo(HestonMonteCarlo):
    """The call; see `HestonMonteCarlo`.

    >>> HestonCallMonteCarlo(paths=65536).values([[100.0, 100.0, 0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 1.0, 0.0, 0.0]])  # 5.7852
    tensor([5.7877], dtype=torch.float64)
    """

    name = "heston_call_mc"
    sign = 1.0


@kernel
def _price(points, numbers, answers, sign):  # type: ignore[no-untyped-def]
    """Value and derivatives on one copy of the draws: numbers [2 + steps, paths], two rows for the shifts and the walk; answers [n, 1 or 11]."""
    walk = numbers[2:]
    steps, paths = walk.shape
    w, shifted = cache_lines(ROWS * BLOCK), cache_lines(heston_shifted.ROWS * BLOCK)
    normals, tails = np.empty((steps, paths)), np.empty((steps, paths))
    _increments(walk, normals, tails)
    c = np.empty(SHAPE)
    for row in range(points.shape[0]):
        point, over = points[row], points[row, 7] <= _SHORTEST
        coefficients(point, steps, c)
        method = PATHS if answers.shape[1] == 1 else SHIFTS if not over and _lingers(point) else TANGENTS
        w[:], shifted[:] = 0.0, 0.0
        for first in range(0, paths, BLOCK):
            block = slice(first, first + BLOCK)
            _begin(w, point[2])
            for step in range(0 if over else steps):
                _advance(w, normals[step, block], tails[step, block], point, c, method)
            _pay(w, point, sign, method)
            if method == SHIFTS:
                heston_shifted.begin(shifted, point, steps, numbers[0, block], numbers[1, block])
                for step in range(steps):
                    heston_shifted.advance(shifted, step, normals[step, block], tails[step, block], point, c, point[7] / steps)
                heston_shifted.pay(shifted, point, steps)
        _finish(w, shifted, point, paths, method, answers[row])


@scalar
def _lingers(point):  # type: ignore[no-untyped-def]
    """Whether the variance is often near 0 by maturity: its relative variance then, from today's."""
    kappa, square = point[3], point[5] * point[5]
    e, h = math.exp(-kappa * point[7]), -math.expm1(-kappa * point[7])
    mean = e * point[2] + h * point[4]
    return square * h / kappa * (e * point[2] + 0.5 * h * point[4]) > LINGERS * mean * mean


@scalar
def _increments(walk, normals, tails):  # type: ignore[no-untyped-def]
    """Standard normal steps of the walk, and -log N(-z) of them."""
    steps, paths = walk.shape
    root = math.sqrt(steps)
    for step in range(steps):
        for path in range(paths):
            normals[step, path] = root * (walk[step, path] - (walk[step - 1, path] if step > 0 else 0.0))
        for path in range(paths):
            tails[step, path] = -log(normal(-normals[step, path])[0])


@scalar
def _begin(w, variance):  # type: ignore[no-untyped-def]
    for i in range(BLOCK):
        w[VARIANCE + i], w[DRIFT + i], w[CLOCK + i] = variance, 0.0, 0.0
    for j in range(BY_VARIANCE, SUMS):
        w[j] = 0.0
    for i in range(BLOCK):
        w[BY_VARIANCE + i] = 1.0


@scalar
def _advance(w, normals, tails, point, c, method):  # type: ignore[no-untyped-def]
    """One step of the variance, of the forward's exponent and of the variance of log S (heston_steps.py), and their tangents."""
    e, pulled, c1, c2, a, b = c[E, 0], point[4] * c[H, 0], c[C1, 0], c[C2, 0], c[A, 0], c[B, 0]
    p, q, r, u, mixed = c[P, 0], c[Q, 0], c[R, 0], c[U, 0], c[W, 0]
    for i in range(BLOCK):
        v = w[VARIANCE + i]
        mean, spread = max(e * v + pulled, 1e-100), c1 * v + c2
        over = 1.0 / max(spread, 1e-300)
        share, psi = c2 * over, spread / (mean * mean)
        y = (a - b * share) * mean
        g, g_psi, level, l_psi, l_y = quadratic_exponential(psi, normals[i], tails[i], y)
        w[DRIFT + i] += y * g - level
        w[CLOCK + i] += p * v + u + mixed * v * share + mean * (q * g + r * share * (1.0 - g))
        w[G + i], w[MEAN + i], w[SHARE + i] = g, mean, share
        if method != PATHS:
            w[G_PSI + i], w[L_PSI + i], w[L_Y + i], w[PSI + i], w[OVER + i] = g_psi, l_psi, l_y, psi, over
    if method != PATHS:
        for j in range(5, 7):
            _move(w, j, c)
    if method == TANGENTS:
        for j in range(5):
            _carry(w, j, c, point[4])
    for i in range(BLOCK):
        w[VARIANCE + i] = w[MEAN + i] * w[G + i]


@inlined
def _move(w, j, c):  # type: ignore[no-untyped-def]
    """Derivatives in the correlation and the scale, which move no g and no share of v. Inlined: where j is not known no loop is vectorized."""
    drift, clock = BY_DRIFT + j * BLOCK, BY_CLOCK + j * BLOCK
    a, b, p, q, r, u, mixed = c[A, 1 + j], c[B, 1 + j], c[P, 1 + j], c[Q, 1 + j], c[R, 1 + j], c[U, 1 + j], c[W, 1 + j]
    for i in range(BLOCK):
        v, share, mean, g = w[VARIANCE + i], w[SHARE + i], w[MEAN + i], w[G + i]
        w[drift + i] += (a - b * share) * mean * (g - w[L_Y + i])
        w[clock + i] += p * v + u + mixed * v * share + mean * (q * g + r * share * (1.0 - g))


@inlined
def _carry(w, j, c, theta):  # type: ignore[no-untyped-def]
    """Derivatives in one of variance, reversion, mean, vol, maturity, along the tangent of v. Inlined as `_move` is."""
    own, drift, clock = BY_VARIANCE + j * BLOCK, BY_DRIFT + j * BLOCK, BY_CLOCK + j * BLOCK
    e, c1, a, b, p, q, r, mixed = c[E, 0], c[C1, 0], c[A, 0], c[B, 0], c[P, 0], c[Q, 0], c[R, 0], c[W, 0]
    e_j, c1_j, c2_j, a_j, b_j = c[E, 1 + j], c[C1, 1 + j], c[C2, 1 + j], c[A, 1 + j], c[B, 1 + j]
    p_j, q_j, r_j, u_j, mixed_j = c[P, 1 + j], c[Q, 1 + j], c[R, 1 + j], c[U, 1 + j], c[W, 1 + j]
    h_j = theta * c[H, 1 + j] + (c[H, 0] if j == 2 else 0.0)
    for i in range(BLOCK):
        v, tangent, mean, g, share = w[VARIANCE + i], w[own + i], w[MEAN + i], w[G + i], w[SHARE + i]
        mean_j, spread_j = e * tangent + e_j * v + h_j, c1 * tangent + c1_j * v + c2_j
        psi_j = (spread_j / mean - 2.0 * w[PSI + i] * mean_j) / mean
        share_j = (c2_j - share * spread_j) * w[OVER + i]
        after = g * mean_j + mean * w[G_PSI + i] * psi_j
        by, by_j = a - b * share, a_j - b_j * share - b * share_j
        w[drift + i] += by_j * mean * g + by * after - w[L_PSI + i] * psi_j - w[L_Y + i] * (by_j * mean + by * mean_j)
        w[clock + i] += p_j * v + p * tangent + u_j + (mixed_j * v + mixed * tangent) * share + mixed * v * share_j
        w[clock + i] += q * after + r * share * (mean_j - after) + mean * (q_j * g + (r_j * share + r * share_j) * (1.0 - g))
        w[own + i] = after


@scalar
def _pay(w, point, sign, method):  # type: ignore[no-untyped-def]
    """Adds Black's formula given the variance, over the discounted strike, and its derivatives in variance .. maturity, correlation and scale."""
    moneyness = log_ratio(point[0], point[1]) + (point[8] - point[9]) * point[7]
    for i in range(BLOCK):
        x, root = moneyness + w[DRIFT + i], math.sqrt(w[CLOCK + i] + 1e-60)
        d2 = x / root - 0.5 * root
        upper, _ = normal(sign * (d2 + root))
        lower, peak = normal(sign * d2)
        asset = sign * exp(x) * upper
        w[ASSET + i] += asset
        w[CASH + i] += sign * lower
        w[SHARES + i] = asset
        w[G + i] = 0.5 * peak / root
    for j in range(7 if method == PATHS else 5 if method == SHIFTS else 0, 7):
        for i in range(BLOCK):
            w[SUMS + j * BLOCK + i] += w[SHARES + i] * w[BY_DRIFT + j * BLOCK + i] + w[G + i] * w[BY_CLOCK + j * BLOCK + i]


@scalar
def _finish(w, shifted, point, paths, method, answer):  # type: ignore[no-untyped-def]
    """Price and gradient from the sums."""
    scale = point[1] * math.exp(-point[8] * point[7]) / paths
    asset, cash = scale * w[ASSET : ASSET + BLOCK].sum(), scale * w[CASH : CASH + BLOCK].sum()
    answer[0] = asset - cash
    if method != PATHS:
        answer[1], answer[2] = asset / point[0], -cash / point[1]
        if method == TANGENTS:
            for j in range(5):
                answer[3 + j if j < 4 else 8] = scale * w[SUMS + j * BLOCK : SUMS + (j + 1) * BLOCK].sum()
        else:
            for j in range(3):
                start = heston_shifted.SUMS + j * BLOCK
                answer[3 + j] = scale * shifted[start : start + BLOCK].sum()
            variance, reversion, mean = point[2] * answer[3], point[3] * answer[4], point[4] * answer[5]
            vol = 2.0 * (scale * w[SUMS + 6 * BLOCK : SUMS + 7 * BLOCK].sum() - variance - mean)
            answer[6], answer[8] = vol / point[5], (variance + reversion + mean + vol) / point[7]
        answer[7] = scale * w[SUMS + 5 * BLOCK : SUMS + 6 * BLOCK].sum()
        answer[8] += point[8] * cash - point[9] * asset
        answer[9], answer[10] = point[7] * cash, -point[7] * asset
