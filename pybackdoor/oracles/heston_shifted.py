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
    e, c1, a, p, q = c[0, 0], c[2, 0], c[4, 0], c[5, 0], c[6, 0]
    kappa, vol = point[3], point[5]
    source, spread = point[4] * c[1, 0], c[3, 0]
    lift = 0.5 * vol * vol / kappa
    source_up, spread_up, kick = lift * c[1, 0], lift * 0.5 * vol * vol * c[1, 0] * c[1, 0] / kappa, point[6] * vol * dt
    for i in range(BLOCK):
        v = w[VARIANCE + i]
        w[AT_START + i] = v if w[START + i] == step else w[AT_START + i]
        on = 1.0 if w[START + i] <= step and step < w[STOP + i] else 0.0
        mean = max(e * v + source + on * source_up, 1e-100)
        psi = (c1 * v + spread + on * spread_up) / (mean * mean)
        g, _, level, _, _ = quadratic_exponential(psi, normals[i], tails[i], a * mean)
        w[DRIFT + i] += a * mean * g - level + on * kick
        w[CLOCK + i] += p * v + q * mean * g
        w[VARIANCE + i] = mean * g


@scalar
def pay(w, point, steps):  # type: ignore[no-untyped-def]
    """Adds the density of Black's formula, over the discounted strike, times the weight."""
    rho, time = point[6], point[7]
    moneyness, left = log_ratio(point[0], point[1]) + (point[8] - point[9]) * time, (1.0 - rho) * (1.0 + rho)
    for i in range(BLOCK):
        root = math.sqrt(left * w[CLOCK + i] + 1e-60)
        d2 = (moneyness + w[DRIFT + i]) / root - 0.5 * root
        _, peak = normal(d2)
        worth = 0.5 * w[WEIGHT + i] * peak / root
        before = w[VARIANCE + i] if w[START + i] == steps else w[AT_START + i]
        inner = w[START + i] >= 0.0
        w[SUMS + i] += 0.0 if inner else worth
        w[SUMS + BLOCK + i] += (point[4] - before) / point[3] * worth if inner else 0.0
        w[SUMS + 2 * BLOCK + i] += worth if inner else 0.0
