"""Triton: whole ascents of a block of seeds in one program, from first step to last; the order of events is `reference.climb`'s.

Imported only when Triton runs. A seed that stops makes room for the next of its program's share. WIDE networks pass their
activations through a workspace of `slot_numbers` float32 a program, in blocks of C units (triton_wide.py); others hold them in registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from pybackdoor.ops.ascent.triton_layers import evaluate
from pybackdoor.ops.ascent.triton_wide import evaluate_wide


@triton.jit
def _evaluate(numbers, u, slots, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr, ACTIVATION: tl.constexpr, WIDE: tl.constexpr,
              B: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Values [B] and input gradients [B, D]."""
    if WIDE and HIDDEN > 0:
        values, gradients = evaluate_wide(numbers, u, slots, D, P, HIDDEN, ACTIVATION, B, C, PRECISION)
    else:
        values, gradients = evaluate(numbers, u, D, P, HIDDEN, ACTIVATION, PRECISION)
    return values, gradients


@triton.jit
def _project(points, anchors, radii, HAS_BALL: tl.constexpr):
    """Onto the ball around the anchor, then onto the box; NaN stays NaN."""
    if HAS_BALL:
        away = points - anchors
        length = tl.sqrt_rn(tl.sum(away * away, axis=1))
        outside = length > radii
        shrink = tl.where(outside, radii / tl.where(outside, length, 1.0), 1.0)
        points = tl.where(outside[:, None], anchors + away * shrink[:, None], points)
    return tl.where(points < 0.0, 0.0, tl.where(points > 1.0, 1.0, points))


@triton.jit
def _direction(errors, gradients, NORMALISED: tl.constexpr):
    """The step's direction [B, D] before its length."""
    if NORMALISED:
        largest = tl.max(tl.abs(gradients), axis=1)
        scaled = gradients / largest[:, None]
        signs = tl.where(errors > 0, 1.0, tl.where(errors < 0, -1.0, errors))
        direction = signs[:, None] * scaled / tl.sqrt_rn(tl.sum(scaled * scaled, axis=1))[:, None]
    else:
        direction = 2.0 * errors[:, None] * gradients
    return direction


@triton.jit
def climb(first, second, starts, anchors, radii, offsets, slopes, points, values, objectives, status, steps, workspace, count, dimension,
          slot_numbers, most_steps, step_size, decay, tolerance, patience, improvement, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr,
          ACTIVATION: tl.constexpr, SECOND_P: tl.constexpr, SECOND_HIDDEN: tl.constexpr, SECOND_ACTIVATION: tl.constexpr, HAS_SECOND: tl.constexpr,
          HAS_BALL: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SLOPES: tl.constexpr, NORMALISED: tl.constexpr, WIDE: tl.constexpr,
          B: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """The program's share of the seeds, B at a time; absent parts point anywhere and are not read. steps, status: int64; all else float32."""
    slots = workspace + tl.program_id(0).to(tl.int64) * slot_numbers
    share = (count + tl.num_programs(0) - 1) // tl.num_programs(0)
    waiting = tl.program_id(0) * share  # the next seed to come in
    end = tl.minimum(waiting + share, count)
    features = tl.arange(0, D)
    rows = tl.zeros([B], tl.int32)
    seated = rows > 0  # lanes that a seed climbs in
    u = tl.zeros([B, D], tl.float32)
    anchor, slope, best = u, u, u
    radius, offset = tl.zeros([B], tl.float32), tl.zeros([B], tl.float32)
    best_value, best_objective = tl.zeros([B], tl.float32), tl.zeros([B], tl.float32)
    waited, taken = tl.zeros([B], tl.int32), tl.zeros([B], tl.int32)
    while (waiting < end) | (tl.sum(seated.to(tl.int32), axis=0) > 0):
        room = B - tl.sum(seated.to(tl.int32), axis=0)
        if (waiting < end) & (room > 0):
            vacant = tl.where(seated, 0, 1)
            following = waiting + tl.cumsum(vacant, axis=0) - 1
            come = (vacant == 1) & (following < end)
            waiting += room
            rows = tl.where(come, following, rows)
            taken = tl.where(come, 0, taken)
            seated = seated | come
            place = rows.to(tl.int64)[:, None] * dimension + features[None, :]
            real = come[:, None] & (features[None, :] < dimension)
            anchor = tl.where(come[:, None], tl.load(anchors + place, mask=real, other=0.0), anchor)
            if HAS_BALL:
                radius = tl.where(come, tl.load(radii + rows, mask=come, other=0.0), radius)
            if HAS_OFFSETS:
                offset = tl.where(come, tl.load(offsets + rows, mask=come, other=0.0), offset)
            if HAS_SLOPES:
                slope = tl.where(come[:, None], tl.load(slopes + place, mask=real, other=0.0), slope)
            u = tl.where(come[:, None], _project(tl.load(starts + place, mask=real, other=0.0), anchor, radius, HAS_BALL), u)
        value, gradients = _evaluate(first, u, slots, D, P, HIDDEN, ACTIVATION, WIDE, B, C, PRECISION)
        errors = value
        if HAS_SECOND:
            second_value, second_gradients = _evaluate(second, u, slots, D, SECOND_P, SECOND_HIDDEN, SECOND_ACTIVATION, WIDE, B, C, PRECISION)
            errors -= second_value
            gradients -= second_gradients
        errors -= offset
        if HAS_SLOPES:
            errors -= tl.sum(slope * (u - anchor), axis=1)
            gradients -= slope
        objective = errors * errors
        finite = (value - value == 0.0) & (objective - objective == 0.0)
        better = finite & ((objective > best_objective) | (best_objective != best_objective)) | (taken == 0)
        improved = finite & (objective > best_objective + improvement * best_objective) | (taken == 0)
        waited = tl.where(improved, 0, waited + 1)
        best = tl.where(better[:, None], u, best)
        best_value = tl.where(better, value, best_value)
        best_objective = tl.where(better, objective, best_objective)
        flat = (errors == 0.0) | (tl.max(tl.where(gradients == 0.0, 0, 1), axis=1) == 0)
        direction = _direction(errors, gradients, NORMALISED)
        usable = tl.min((direction - direction == 0.0).to(tl.int32), axis=1) == 1
        moved = _project(u + (step_size / (1.0 + decay * taken))[:, None] * direction, anchor, radius, HAS_BALL)
        move = moved - u
        code = tl.where(tl.sqrt_rn(tl.sum(move * move, axis=1)) <= tolerance, 1, -1)
        code = tl.where(usable, code, 4)
        code = tl.where(flat, 3, code)
        code = tl.where(taken == most_steps, 0, code)
        code = tl.where((patience > 0) & (waited >= patience), 2, code)
        code = tl.where(finite, code, 4)
        stopped = seated & (code >= 0)
        if tl.sum(stopped.to(tl.int32), axis=0) > 0:
            place = rows.to(tl.int64)[:, None] * dimension + features[None, :]
            tl.store(points + place, best, mask=stopped[:, None] & (features[None, :] < dimension))
            tl.store(values + rows, best_value, mask=stopped)
            tl.store(objectives + rows, best_objective, mask=stopped)
            tl.store(status + rows, code.to(tl.int64), mask=stopped)
            tl.store(steps + rows, taken.to(tl.int64), mask=stopped)
            seated = seated & (code < 0)
        u = moved
        taken += 1


@triton.jit
def answer(numbers, points, values, gradients, workspace, count, dimension, slot_numbers, D: tl.constexpr, P: tl.constexpr, HIDDEN: tl.constexpr,
           ACTIVATION: tl.constexpr, WIDE: tl.constexpr, B: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Values and input gradients of `count` points; a NaN value has a NaN gradient."""
    slots = workspace + tl.program_id(0).to(tl.int64) * slot_numbers
    features = tl.arange(0, D)
    block = tl.program_id(0)
    while block * B < count:  # not a for: the interpreter of Triton 3.6 cannot count with device numbers
        rows = (block * B + tl.arange(0, B)).to(tl.int64)
        place = rows[:, None] * dimension + features[None, :]
        real = (rows < count)[:, None] & (features[None, :] < dimension)
        u = tl.load(points + place, mask=real, other=0.0)
        value, gradient = _evaluate(numbers, u, slots, D, P, HIDDEN, ACTIVATION, WIDE, B, C, PRECISION)
        gradient = tl.where((value != value)[:, None], value[:, None], gradient)
        tl.store(values + rows, value, mask=rows < count)
        tl.store(gradients + place, gradient, mask=real)
        block += tl.num_programs(0)
