"""Triton: the nine activations with their derivatives, and a packed network's values with its input gradients for a block of points.

The formulas are those of ops/activation.py. Imported only when Triton runs. A packed network is `packing.pack(network, P, D)`: P units in every
hidden layer and D features, powers of two (P, where units are streamed, a multiple of the block).
"""

from __future__ import annotations

import triton
import triton.language as tl

_ROOT_HALF = tl.constexpr(0.7071067811865476)
_DENSITY = tl.constexpr(0.3989422804014327)  # 1 / sqrt(2 pi)
_RATE = tl.constexpr(1.5957691216057308)  # sqrt(8 / pi)
_CUBIC = tl.constexpr(0.044715)


@triton.jit
def _gate(x):
    """Sigmoid of x and of -x."""
    small = tl.exp(-tl.abs(x))
    q = 1.0 / (1.0 + small)
    return tl.where(x < 0, small * q, q), tl.where(x < 0, q, small * q)


@triton.jit
def activate(z, ACTIVATION: tl.constexpr):
    """a(z) and a'(z), elementwise; ACTIVATION is a name of records.ACTIVATIONS."""
    if ACTIVATION == "relu":
        value, slope = tl.where(z < 0, 0.0, z), tl.where(z > 0, 1.0, 0.0)
    elif ACTIVATION == "leaky_relu":
        slope = tl.where(z > 0, 1.0, 0.01)
        value = slope * z
    elif ACTIVATION == "tanh":
        small = tl.exp(-2.0 * tl.abs(z))
        size = tl.abs(z)
        square = z * z
        series = size * (1.0 - square * (0.3333333333 - square * (0.1333333333 - square * 0.0539682540)))  # 1 - small cancels near 0
        value = tl.where(size < 0.1, series, (1.0 - small) / (1.0 + small))
        value = tl.where(z < 0, -value, value)
        slope = 4.0 * small / ((1.0 + small) * (1.0 + small))
    elif ACTIVATION == "sigmoid":
        opened, shut = _gate(z)
        value, slope = opened, opened * shut
    elif ACTIVATION == "silu":
        opened, shut = _gate(z)
        value = tl.where(z < -1e4, -1e4, z) * opened
        slope = opened + value * shut
    elif ACTIVATION == "gelu":
        bounded = tl.where(z < -40.0, -40.0, tl.where(z > 40.0, 40.0, z))
        below = 0.5 * (1.0 + tl.erf(bounded * _ROOT_HALF))
        value, slope = tl.where(z < -40.0, -40.0, z) * below, below + bounded * tl.exp(-0.5 * bounded * bounded) * _DENSITY
    elif ACTIVATION == "gelu_tanh":
        bounded = tl.where(z < -40.0, -40.0, tl.where(z > 40.0, 40.0, z))
        square = bounded * bounded
        opened, shut = _gate(bounded * (_RATE + _RATE * _CUBIC * square))
        value, slope = tl.where(z < -40.0, -40.0, z) * opened, opened + opened * shut * bounded * (_RATE + 3.0 * _RATE * _CUBIC * square)
    elif ACTIVATION == "softplus":
        opened, _ = _gate(z)
        small = tl.exp(-tl.abs(z))
        s = small / (2.0 + small)  # log(1 + small) = 2 atanh(s), s <= 1/3
        square = s * s
        rest = 2.0 * s * (1.0 + square * (0.3333333333 + square * (0.2 + square * (0.1428571429 + square * (0.1111111111 + square * 0.0909090909)))))
        value, slope = tl.where(z < 0, 0.0, z) + rest, opened
    else:
        low = tl.where(z > 0, 0.0, z)
        grown = tl.exp(low)
        series = low * (1.0 + low * (0.5 + low * (0.1666666667 + low * (0.0416666667 + low * 0.0083333333))))
        value, slope = tl.where(z > 0, z, tl.where(low > -0.1, series, grown - 1.0)), tl.where(z > 0, 1.0, grown)
    return value, slope


@triton.jit
def evaluate(numbers, u, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr, ACTIVATION: tl.constexpr, PRECISION: tl.constexpr):
    """Values [B] and input gradients [B, D] at points u [B, D] of the unit cube."""
    features = tl.arange(0, D)
    units = tl.arange(0, P)
    output = numbers + (P * (D + 1) + (HIDDEN - 1) * P * (P + 1) if HIDDEN > 0 else 0)
    rates = tl.load(output + (P if HIDDEN > 0 else D) + 4 + features)[None, :]
    powers = tl.exp(tl.where(rates != 0, rates * u, 0.0))
    x = tl.where(rates != 0, powers, u)
    if HIDDEN == 0:
        weights = tl.load(output + features)[None, :]
        values = tl.sum(x * weights, axis=1) + tl.load(output + D)
        gradients = weights + tl.zeros_like(u)
    else:
        first = tl.load(numbers + units[:, None] * D + features[None, :])  # [P, D]
        z = tl.dot(x, tl.trans(first), input_precision=PRECISION) + tl.load(numbers + P * D + units)[None, :]
        activations, slope = activate(z, ACTIVATION)
        slopes = (slope,)
        for layer in tl.static_range(1, HIDDEN):
            matrix = numbers + P * (D + 1) + (layer - 1) * P * (P + 1)
            weights = tl.load(matrix + units[:, None] * P + units[None, :])
            z = tl.dot(activations, tl.trans(weights), input_precision=PRECISION) + tl.load(matrix + P * P + units)[None, :]
            activations, slope = activate(z, ACTIVATION)
            slopes = slopes + (slope,)  # type: ignore[assignment]  # noqa: RUF005 (Triton knows no unpacking here)
        ends = tl.load(output + units)[None, :]
        values = tl.sum(activations * ends, axis=1) + tl.load(output + P)
        deltas = ends * slopes[HIDDEN - 1]
        for back in tl.static_range(1, HIDDEN):
            matrix = numbers + P * (D + 1) + (HIDDEN - 1 - back) * P * (P + 1)
            weights = tl.load(matrix + units[:, None] * P + units[None, :])
            deltas = tl.dot(deltas, weights, input_precision=PRECISION) * slopes[HIDDEN - 1 - back]
        gradients = tl.dot(deltas, first, input_precision=PRECISION)
    gradients = tl.where(rates != 0, gradients * rates * powers, gradients)
    return values, gradients
