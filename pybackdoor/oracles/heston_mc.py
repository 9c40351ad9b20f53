"""European put and call in Heston's model by Monte Carlo: Andersen's scheme QE-M for the variance, Black's formula for the spot given it."""

from __future__ import annotations

import math

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.oracles import heston, heston_shifted
from pybackdoor.oracles.compiled import kernel, scalar
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.scalar.block import BLOCK, cache_lines
from pybackdoor.oracles.scalar.quadratic_exponential import quadratic_exponential
from pybackdoor.oracles.scalar.vmath import exp, log, log_ratio, normal

VARIANCE, DRIFT, CLOCK, SHARES, ASSET, CASH = (row * BLOCK for row in range(6))
BY_VARIANCE, BY_DRIFT, BY_CLOCK, SUMS = 6 * BLOCK, 11 * BLOCK, 18 * BLOCK, 23 * BLOCK  # 5, 7, 5 and 7 rows; DRIFT and SUMS end with the correlation
G, G_PSI, L_PSI, L_Y, PSI, MEAN = (row * BLOCK for row in range(30, 36))  # and the scale of the variance
ROWS = 36
LINGERS = 1.0  # relative variance of the variance at maturity beyond which its tangents are no more carried
PATHS, TANGENTS, SHIFTS = 0, 1, 2  # what a point needs: no derivatives, or by which method

_SHORTEST = 1e-8  # years; a shorter maturity is the payoff


class HestonMonteCarlo(MonteCarloOracle):
    """Price in currency units with its standard error and all ten derivatives.

    The variance moves in `steps` equal steps by QE-M (scalar/quadratic_exponential.py says how it is made differentiable). Given its path, log S(T)
    is normal, and the option is worth Black's formula at the forward F exp(sum A v' - log E[exp(A v') | v]), which is a martingale, and the variance
    (1 - rho^2) int v dt (M. Romano and N. Touzi, Mathematical Finance 7 (1997), 399-412); nothing is drawn for the spot. int v dt is weighted so
    that its mean is exact for any step.

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
    c = np.empty((7, 6))
    for row in range(points.shape[0]):
        point, over = points[row], points[row, 7] <= _SHORTEST
        _coefficients(point, steps, c)
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
        _finish(w, shifted, point, sign, paths, method, answers[row])


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
def _weights(x):  # type: ignore[no-untyped-def]
    """(g1, g2, dg1/dx, dg2/dx): int v dt over a step is g1 v + g2 E[v'] of its length in the mean, x = reversion dt."""
    e = math.exp(-x)
    if x < 0.1:
        second, second_slope = 0.5 + x / 12.0 - x**3 / 720.0 + x**5 / 30240.0, 1.0 / 12.0 - x * x / 240.0 + x**4 / 6048.0
        mean = 1.0 - x * (1.0 / 2.0 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0 - x * (1.0 / 720.0 - x / 5040.0)))))
        mean_slope = -0.5 + x * (1.0 / 3.0 - x * (1.0 / 8.0 - x * (1.0 / 30.0 - x * (1.0 / 144.0 - x * (1.0 / 840.0 - x / 5760.0)))))
    else:
        second, second_slope = 1.0 / (1.0 - e) - 1.0 / x, 1.0 / (x * x) - e / ((1.0 - e) * (1.0 - e))
        mean, mean_slope = (1.0 - e) / x, (e * x - (1.0 - e)) / (x * x)
    return mean - second * e, second, mean_slope - second_slope * e + second * e, second_slope


@scalar
def _coefficients(point, steps, c):  # type: ignore[no-untyped-def]
    """Rows E, h, c1, c2, A, P, Q, columns the value and its derivatives in variance, reversion, mean, vol, maturity: [7, 6].

    E[v'] = E v + theta h, Var v' = c1 v + c2, the forward's exponent A, and int v dt = P v + Q v' over a step. Column 1 (variance) is 0 and holds
    in row A the derivative in the correlation.
    """
    kappa, theta, vol, rho = point[3], point[4], point[5], point[6]
    dt = point[7] / steps
    x = kappa * dt
    e, h = math.exp(-x), -math.expm1(-x)
    first, second, first_slope, second_slope = _weights(x)
    square = vol * vol
    pull, half = kappa * rho / vol - 0.5 * rho * rho, 0.5 * theta * square
    c[:, :] = 0.0
    c[:, 0] = e, h, square * e * h / kappa, half * h * h / kappa, dt * second * pull + rho / vol, dt * first, dt * second
    c[4, 1] = dt * second * (kappa / vol - rho) + 1.0 / vol
    for j in (2, 5):  # what moves x
        x_slope, dt_slope = (dt, 0.0) if j == 2 else (kappa / steps, 1.0 / steps)
        c[0, j], c[1, j] = -e * x_slope, e * x_slope
        c[2, j] = square / kappa * (e * e - e * h) * x_slope
        c[3, j] = half / kappa * 2.0 * h * e * x_slope
        c[5, j] = dt_slope * first + dt * first_slope * x_slope
        c[6, j] = dt_slope * second + dt * second_slope * x_slope
        c[4, j] = c[6, j] * pull
    c[2, 2] -= c[2, 0] / kappa
    c[3, 2] -= c[3, 0] / kappa
    c[4, 2] += dt * second * rho / vol
    c[3, 3] = c[3, 0] / theta if theta > 0.0 else 0.5 * square * h * h / kappa
    c[2, 4], c[3, 4] = 2.0 * c[2, 0] / vol, 2.0 * c[3, 0] / vol
    c[4, 4] = -(dt * second * kappa * rho + rho) / square


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
    """One step of the variance; the drift A v' - log E[exp(A v')] of the forward, and int v dt; and the tangents of all three."""
    e, h, c1, c2, a, p, q, theta = c[0, 0], c[1, 0], c[2, 0], c[3, 0], c[4, 0], c[5, 0], c[6, 0], point[4]
    for i in range(BLOCK):
        v = w[VARIANCE + i]
        mean = max(e * v + theta * h, 1e-100)
        psi = (c1 * v + c2) / (mean * mean)
        g, g_psi, level, l_psi, l_y = quadratic_exponential(psi, normals[i], tails[i], a * mean)
        w[DRIFT + i] += a * mean * g - level
        w[CLOCK + i] += p * v + q * mean * g
        w[G + i], w[MEAN + i] = g, mean
        if method != PATHS:
            w[G_PSI + i], w[L_PSI + i], w[L_Y + i], w[PSI + i] = g_psi, l_psi, l_y, psi
    if method != PATHS:
        by_rho, by_scale = c[4, 1], a + 0.5 * point[5] * c[4, 4]
        for i in range(BLOCK):
            moved = w[MEAN + i] * (w[G + i] - w[L_Y + i])
            w[BY_DRIFT + 5 * BLOCK + i] += by_rho * moved
            w[BY_DRIFT + 6 * BLOCK + i] += by_scale * moved
    if method == TANGENTS:
        for j in range(5):
            own, drift, clock = BY_VARIANCE + j * BLOCK, BY_DRIFT + j * BLOCK, BY_CLOCK + j * BLOCK
            e_j, c1_j, c2_j, p_j, q_j = c[0, 1 + j], c[2, 1 + j], c[3, 1 + j], c[5, 1 + j], c[6, 1 + j]
            a_j, h_j = (c[4, 1 + j] if j > 0 else 0.0), theta * c[1, 1 + j] + (h if j == 2 else 0.0)
            for i in range(BLOCK):
                v, tangent, mean, g = w[VARIANCE + i], w[own + i], w[MEAN + i], w[G + i]
                mean_j = e * tangent + e_j * v + h_j
                psi_j = ((c1 * tangent + c1_j * v + c2_j) / mean - 2.0 * w[PSI + i] * mean_j) / mean
                after = g * mean_j + mean * w[G_PSI + i] * psi_j
                w[drift + i] += a_j * mean * g + a * after - w[L_PSI + i] * psi_j - w[L_Y + i] * (a_j * mean + a * mean_j)
                w[clock + i] += p_j * v + p * tangent + q_j * mean * g + q * after
                w[own + i] = after
    for i in range(BLOCK):
        w[VARIANCE + i] = w[MEAN + i] * w[G + i]


@scalar
def _pay(w, point, sign, method):  # type: ignore[no-untyped-def]
    """Adds Black's formula given the variance, over the discounted strike, and its derivatives in variance .. maturity, correlation and scale."""
    rho = point[6]
    moneyness, left = log_ratio(point[0], point[1]) + (point[8] - point[9]) * point[7], (1.0 - rho) * (1.0 + rho)
    for i in range(BLOCK):
        x, root = moneyness + w[DRIFT + i], math.sqrt(left * w[CLOCK + i] + 1e-60)
        d2 = x / root - 0.5 * root
        upper, _ = normal(sign * (d2 + root))
        lower, peak = normal(sign * d2)
        asset = sign * exp(x) * upper
        w[ASSET + i] += asset
        w[CASH + i] += sign * lower
        w[SHARES + i] = asset
        w[G + i] = 0.5 * peak / root
    if method == TANGENTS:
        for j in range(5):
            for i in range(BLOCK):
                w[SUMS + j * BLOCK + i] += w[SHARES + i] * w[BY_DRIFT + j * BLOCK + i] + left * w[G + i] * w[BY_CLOCK + j * BLOCK + i]
    if method != PATHS:
        for i in range(BLOCK):
            w[SUMS + 5 * BLOCK + i] += w[SHARES + i] * w[BY_DRIFT + 5 * BLOCK + i] - 2.0 * rho * w[G + i] * w[CLOCK + i]
            w[SUMS + 6 * BLOCK + i] += w[SHARES + i] * w[BY_DRIFT + 6 * BLOCK + i] + left * w[G + i] * w[CLOCK + i]


@scalar
def _finish(w, shifted, point, sign, paths, method, answer):  # type: ignore[no-untyped-def]
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
