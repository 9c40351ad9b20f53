"""Derivatives of Heston prices in variance, reversion and mean where the variance lingers at 0: no tangents, but paths of a shifted variance.

Near 0 a variance that is drawn by the inverse of its distribution hardly ever moves with its parameters, and then by far: the tangent's second
moment grows with every step, and its mean comes from paths that are too rare to be drawn. But u_v, u being the price and v the variance, solves the
price's own equation differentiated in v: that of a Heston model whose reversion x mean is greater by vol^2 / 2 (the squared Bessel process has two
dimensions more and leaves 0 at once) and whose log price drifts by correlation vol more, discounted at the reversion besides, with the source
(u_xx - u_x) / 2. So

    u_v(s) = int_s^T e^(-reversion (t - s)) E[(u_xx - u_x)(t) / 2] dt        on paths shifted from s to t,
    du / dmean = reversion int_0^T E[u_v(s)] ds,    du / dreversion = int_0^T E[(mean - v_s) u_v(s)] ds     on paths as they are up to s,

and u_xx - u_x at t is the mean of Black's density given the path's variance up to T, as it is from t on. A path draws one s, or 0 in a part
SHARE of all for u_v itself, and one t; both are rounded to the steps.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.heston_steps import BY_MEAN, C1, C2, A, B, E, H, P, Q, R, U, W
from pybackdoor.oracles.scalar.block import BLOCK
from pybackdoor.oracles.scalar.quadratic_exponential import quadratic_exponential
from pybackdoor.oracles.scalar.vmath import log_ratio, normal

SHARE = 0.3  # of the paths that are shifted from the start
START, STOP, WEIGHT, AT_START, VARIANCE, DRIFT, CLOCK = (row * BLOCK for row in range(7))
SUMS = 7 * BLOCK  # three rows: derivatives in variance, reversion and mean
ROWS = 10


@scalar
def begin(w, point, steps, first, second):  # type: ignore[no-untyped-def]
    """Draws the steps [start, stop) that are shifted and the weight, from normal numbers [BLOCK]; start < 0: from the start, for u_v."""
    kappa, time = point[3], point[7]
    for i in range(BLOCK):
        u, s = normal(first[i])[0], 0.0
        if u >= SHARE:
            s = time * (u - SHARE) / (1.0 - SHARE)
        mass = -math.expm1(-kappa * (time - s))
        t = min(s - math.log1p(-mass * normal(second[i])[0]) / kappa, time)
        w[START + i] = math.floor(s / time * steps + 0.5) if u >= SHARE else -1.0
        w[STOP + i] = math.floor(t / time * steps + 0.5)
        w[WEIGHT + i] = time * mass / (1.0 - SHARE) if u >= SHARE else mass / (kappa * SHARE)
        w[VARIANCE + i], w[AT_START + i], w[DRIFT + i], w[CLOCK + i] = point[2], point[2], 0.0, 0.0


@scalar
def advance(w, step, normals, tails, point, c, dt):  # type: ignore[no-untyped-def]
    """One step: as `heston_mc` takes it, or shifted; c as there."""
    e, c1, a, b, p, q, r, mixed = c[E, 0], c[C1, 0], c[A, 0], c[B, 0], c[P, 0], c[Q, 0], c[R, 0], c[W, 0]
    h, c2, u, up = c[H, 0], c[C2, BY_MEAN], c[U, BY_MEAN], 0.5 * point[5] * point[5] / point[3]
    kick = point[6] * point[5] * dt
    for i in range(BLOCK):
        v = w[VARIANCE + i]
        w[AT_START + i] = v if w[START + i] == step else w[AT_START + i]
        on = 1.0 if w[START + i] <= step and step < w[STOP + i] else 0.0
        theta = point[4] + on * up
        mean, spread = max(e * v + theta * h, 1e-100), c1 * v + theta * c2
        share = theta * c2 / max(spread, 1e-300)
        y = (a - b * share) * mean
        g, _, level, _, _ = quadratic_exponential(spread / (mean * mean), normals[i], tails[i], y)
        w[DRIFT + i] += y * g - level + on * kick
        w[CLOCK + i] += p * v + theta * u + mixed * v * share + mean * (q * g + r * share * (1.0 - g))
        w[VARIANCE + i] = mean * g


@scalar
def pay(w, point, steps):  # type: ignore[no-untyped-def]
    """Adds the density of Black's formula, over the discounted strike, times the weight."""
    time = point[7]
    moneyness = log_ratio(point[0], point[1]) + (point[8] - point[9]) * time
    for i in range(BLOCK):
        root = math.sqrt(w[CLOCK + i] + 1e-60)
        d2 = (moneyness + w[DRIFT + i]) / root - 0.5 * root
        _, peak = normal(d2)
        worth = 0.5 * w[WEIGHT + i] * peak / root
        before = w[VARIANCE + i] if w[START + i] == steps else w[AT_START + i]
        inner = w[START + i] >= 0.0
        w[SUMS + i] += 0.0 if inner else worth
        w[SUMS + BLOCK + i] += (point[4] - before) / point[3] * worth if inner else 0.0
        w[SUMS + 2 * BLOCK + i] += worth if inner else 0.0
