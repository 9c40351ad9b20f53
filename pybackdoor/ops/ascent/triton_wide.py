"""Triton: a wide network's values with its input gradients, in blocks of units; activations pass through a workspace instead of registers.

The formulas are those of triton_layers.py, the packed network is the same. A product runs over blocks of `C` units in a loop that is not unrolled, so
that registers and machine code do not grow with the width or the number of layers. Imported only when Triton runs.

A program's workspace holds HIDDEN + 2 slots of [B, P] float32: the derivatives of each hidden layer, and two slots that layers take turns to write.
Threads of a program exchange blocks through it, hence the barriers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from pybackdoor.ops.ascent.triton_layers import activate


@triton.jit
def _product(inputs, weights, down, along, first, P: tl.constexpr, B: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr):
    """Block `first` of a layer's outputs: sum over i of inputs[:, i] W(i, first + j), where W(i, j) lies at weights + i * along + j * down."""
    rows = tl.arange(0, B)
    units = tl.arange(0, C)
    total = tl.zeros([B, C], tl.float32)
    for start in range(0, P, C):
        block = tl.load(inputs + rows[:, None] * P + (start + units)[None, :])  # [B, C]
        matrix = tl.load(weights + (start + units)[:, None] * along + (first + units)[None, :] * down)  # [C, C]
        total = tl.dot(block, matrix, acc=total, input_precision=PRECISION)
    return total


@triton.jit
def _first_layer(numbers, x, slots, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr, ACTIVATION: tl.constexpr, B: tl.constexpr,
                 C: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Activations and derivatives of the first hidden layer, into their slots."""
    features = tl.arange(0, D)
    rows = tl.arange(0, B)
    for first in range(0, P, C):
        units = first + tl.arange(0, C)
        weights = tl.load(numbers + units[None, :] * D + features[:, None])  # [D, C]
        z = tl.dot(x, weights, input_precision=PRECISION) + tl.load(numbers + P * D + units)[None, :]
        value, slope = activate(z, ACTIVATION)
        place = rows[:, None] * P + units[None, :]
        tl.store(slots + place, slope)
        tl.store(slots + HIDDEN * B * P + place, value)


@triton.jit
def _ends(numbers, output, slots, turn, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """Values [B], from the last activations; and the last layer's delta, into the other slot."""
    rows = tl.arange(0, B)
    values = tl.zeros([B], tl.float32)
    for first in range(0, P, C):
        units = first + tl.arange(0, C)
        place = rows[:, None] * P + units[None, :]
        ends = tl.load(output + units)[None, :]
        values += tl.sum(tl.load(slots + (HIDDEN + turn) * B * P + place) * ends, axis=1)
        delta = ends * tl.load(slots + (HIDDEN - 1) * B * P + place)
        tl.store(slots + (HIDDEN + 1 - turn) * B * P + place, delta)
    return values + tl.load(output + P)


@triton.jit
def evaluate_wide(numbers, u, slots, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr, ACTIVATION: tl.constexpr, B: tl.constexpr,
                  C: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Values [B] and input gradients [B, D] at points u [B, D] of the unit cube; HIDDEN >= 1, `slots` is this program's workspace."""
    features = tl.arange(0, D)
    rows = tl.arange(0, B)
    output = numbers + P * (D + 1) + (HIDDEN - 1) * P * (P + 1)
    rates = tl.load(output + P + 4 + features)[None, :]
    powers = tl.exp(tl.where(rates != 0, rates * u, 0.0))
    _first_layer(numbers, tl.where(rates != 0, powers, u), slots, D, P, HIDDEN, ACTIVATION, B, C, PRECISION)
    tl.debug_barrier()
    for layer in range(1, HIDDEN):
        matrix = numbers + P * (D + 1) + (layer - 1) * P * (P + 1)
        turn = layer % 2
        for first in range(0, P, C):
            units = first + tl.arange(0, C)
            z = _product(slots + (HIDDEN + 1 - turn) * B * P, matrix, P, 1, first, P, B, C, PRECISION)
            value, slope = activate(z + tl.load(matrix + P * P + units)[None, :], ACTIVATION)
            place = rows[:, None] * P + units[None, :]
            tl.store(slots + layer * B * P + place, slope)
            tl.store(slots + (HIDDEN + turn) * B * P + place, value)
        tl.debug_barrier()
    turn = (HIDDEN - 1) % 2
    values = _ends(numbers, output, slots, turn, D, P, HIDDEN, B, C)
    tl.debug_barrier()
    for back in range(1, HIDDEN):
        layer = HIDDEN - 1 - back  # the deltas of layer + 1 give those of layer
        matrix = numbers + P * (D + 1) + layer * P * (P + 1)
        turn = (HIDDEN + back) % 2
        for first in range(0, P, C):
            units = first + tl.arange(0, C)
            place = rows[:, None] * P + units[None, :]
            delta = _product(slots + (HIDDEN + 1 - turn) * B * P, matrix, 1, P, first, P, B, C, PRECISION)
            tl.store(slots + (HIDDEN + turn) * B * P + place, delta * tl.load(slots + layer * B * P + place))
        tl.debug_barrier()
    gradients = tl.zeros([B, D], tl.float32)
    for first in range(0, P, C):
        units = first + tl.arange(0, C)
        deltas = tl.load(slots + (HIDDEN + 1) * B * P + rows[:, None] * P + units[None, :])  # after an odd number of turns
        weights = tl.load(numbers + units[:, None] * D + features[None, :])  # [C, D]
        gradients = tl.dot(deltas, weights, acc=gradients, input_precision=PRECISION)
    tl.debug_barrier()  # the next evaluation writes the slots again
    return values, tl.where(rates != 0, gradients * rates * powers, gradients)
