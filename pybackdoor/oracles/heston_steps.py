"""The coefficients of one QE-M step of Heston's model, and their derivatives.

Given the variance's path v, the log price is normal. Over a step dt, with I = int v dt, mean = E[v'], and s = c2 / (c1 v + c2),

    mean = e v + theta h,    Var v' = c1 v + c2,    forward's exponent: (A - B s) v' - log E[exp((A - B s) v') | v]
    variance of log S given v = P v + U + W v s + v' Q + (mean - v') R s

scalar/variance_integral.py splits I into a part that v' tells and a rest. I counts (1 - rho^2) I in the variance and pull I in the exponent, pull =
reversion rho / vol - rho^2 / 2; there the rest is taken for normal and adds pull^2 times its variance. So the exponent's mean, its covariance with v'
and its variance are exact for any step, in particular where v hardly moves: there the price must not depend on rho at all.
"""

from __future__ import annotations

import math

from pybackdoor.oracles.compiled import scalar
from pybackdoor.oracles.scalar.variance_integral import integral_shares

E, H, C1, C2, A, B, P, Q, R, U, W = range(11)
BY_MEAN, BY_SCALE = 3, 7  # columns: value, by variance (0), reversion, mean, vol, maturity, correlation, scale
SHAPE = (11, 8)


@scalar
def coefficients(point, steps, c):  # type: ignore[no-untyped-def]
    """Fills c [11, 8]. The scale is variance, mean and vol^2 together: its column counts that v, v' and mean move along with what they multiply."""
    kappa, theta, vol, rho = point[3], point[4], point[5], point[6]
    dt, square = point[7] / steps, vol * vol
    x, ratio = kappa * dt, rho / vol
    pull, left = kappa * ratio - 0.5 * rho * rho, (1.0 - rho) * (1.0 + rho)
    at = (math.exp(-x), -math.expm1(-x), dt, square, theta, left, pull)
    shares, slopes = integral_shares(x)
    _values(c, at, shares, ratio)
    c[:, 1] = 0.0
    _slopes(c, 2, at, shares, slopes, (dt, 0.0, 0.0, 0.0, 0.0, ratio, 0.0))
    _slopes(c, BY_MEAN, at, shares, slopes, (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    _slopes(c, 4, at, shares, slopes, (0.0, 0.0, 2.0 * vol, 0.0, 0.0, -kappa * ratio / vol, -ratio / vol))
    _slopes(c, 5, at, shares, slopes, (kappa / steps, 1.0 / steps, 0.0, 0.0, 0.0, 0.0, 0.0))
    _slopes(c, 6, at, shares, slopes, (0.0, 0.0, 0.0, 0.0, -2.0 * rho, kappa / vol - rho, 1.0 / vol))
    _slopes(c, BY_SCALE, at, shares, slopes, (0.0, 0.0, square, theta, 0.0, -0.5 * kappa * ratio, -0.5 * ratio))
    for row in (A, B, P, Q, R, W):
        c[row, BY_SCALE] += c[row, 0]


@scalar
def _values(c, at, shares, ratio):  # type: ignore[no-untyped-def]
    e, h, dt, square, theta, left, pull = at
    mean, q1, q2, f1, f2 = shares
    apart, rest = dt * (q1 - q2), pull * pull * square * dt * dt * dt
    c[E, 0], c[H, 0] = e, h
    c[C1, 0], c[C2, 0] = square * dt * e * mean, 0.5 * theta * square * dt * h * mean
    c[A, 0], c[B, 0] = ratio + pull * dt * q1, pull * apart
    c[P, 0], c[Q, 0], c[R, 0] = left * dt * (mean - q1 * e) + rest * f1, left * dt * q1, left * apart
    c[U, 0], c[W, 0] = theta * rest * f2, rest * (q1 - q2) * (q1 - q2) * e * mean


@scalar
def _slopes(c, j, at, shares, slopes, moved):  # type: ignore[no-untyped-def]
    """Column j: the derivatives where x, dt, vol^2, theta, left, pull and rho / vol move by `moved`."""
    e, h, dt, square, theta, left, pull = at
    mean, q1, q2, f1, f2 = shares
    x_j, dt_j, square_j, theta_j, left_j, pull_j, ratio_j = moved
    mean_j, q1_j, f1_j, f2_j, e_j, h_j = slopes[0] * x_j, slopes[1] * x_j, slopes[3] * x_j, slopes[4] * x_j, -e * x_j, e * x_j
    gap, gap_j = q1 - q2, (slopes[1] - slopes[2]) * x_j
    pace, pace_j = square * dt, square_j * dt + square * dt_j
    weight, weight_j = pull * pull * dt * dt, 2.0 * pull * dt * (pull_j * dt + pull * dt_j)
    rest, rest_j = weight * pace, weight_j * pace + weight * pace_j
    wide, wide_j = e * mean, e_j * mean + e * mean_j
    start, start_j = mean - q1 * e, mean_j - q1_j * e - q1 * e_j
    c[E, j], c[H, j] = e_j, h_j
    c[C1, j] = pace_j * wide + pace * wide_j
    c[C2, j] = 0.5 * ((theta_j * pace + theta * pace_j) * h * mean + theta * pace * (h_j * mean + h * mean_j))
    c[A, j] = ratio_j + pull_j * dt * q1 + pull * (dt_j * q1 + dt * q1_j)
    c[B, j] = pull_j * dt * gap + pull * (dt_j * gap + dt * gap_j)
    c[P, j] = (left_j * dt + left * dt_j) * start + left * dt * start_j + rest_j * f1 + rest * f1_j
    c[Q, j] = (left_j * dt + left * dt_j) * q1 + left * dt * q1_j
    c[R, j] = (left_j * dt + left * dt_j) * gap + left * dt * gap_j
    c[U, j] = (theta_j * rest + theta * rest_j) * f2 + theta * rest * f2_j
    c[W, j] = (rest_j * gap * wide + rest * (2.0 * gap_j * wide + gap * wide_j)) * gap
