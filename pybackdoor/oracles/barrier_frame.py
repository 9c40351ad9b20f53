"""The mesh of the single barriers' finite-difference solver, and the numbers it is laid out by.

Any of the eight options is the same problem. Let y >= 0 be the distance of the asset from the barrier in its logarithm. In units of cash for a
barrier above the spot, and in units of the asset itself for one below, payoffs are bounded on y > 0 and made of z = e^-y and constants, and the
undiscounted price u solves

    u_t = (w / 2) u_yy + m u_y,    w = sigma^2 T,  m = growth + w / 2,  0 < t < 1 the time to maturity over T,

from max(+-(z - q), 0) + constant + slope z, q = e^-k at the strike's distance k, with u = rebate e^(waiting t) at y = 0. `growth` is (q - r) T above
the spot and (r - q) T below it; a barrier below is one above with spot and strike, rate and dividend exchanged.

Nodes: on the barrier (or where it is out of reach), on the strike at t = 0 (if it is in reach), and REACH deviations s = w^(1/2) beyond spot and
forward. Cells grow as cubics of the node number from the strike outwards and, towards the barrier, shrink again to resolve the layer of width s /
(1 + (m / s)^2)^(1/2) there. Where the drift is strong the nodes move with the part D of it, in one of two ways.

Away from the barrier (D > 0): y = v + (1 - t) D v^2 / (v^2 + w); the nodes near the barrier rest.

Towards it (D < 0): what the barrier does reaches the spot as a front that leaves it at t = 0 and travels with the drift. The problem is solved in x
= y + D t, where the front rests at x = 0. x = v + max(1 - pace t, 0) ((d^2 + 4 l^2)^(1/2) - d) / 2 less a constant, d = v - offset, l = BEHIND s:
nodes that end up behind the front leave from the barrier one after another, close together. The first node follows the barrier until it is REACH
deviations behind the front (or the spot), at t = 1 / pace; there the option is one that will surely touch, rebate e^(waiting t - decay y).
"""

from __future__ import annotations

import torch

REACH = 6.0
WEAK, STRONG = 1.5, 3.0  # drift over s at which the mesh begins to move with it, and does so fully
BEHIND = 0.7
# The cells at the strike, of an even mesh's, on the shorter and on the longer side; at the barrier; and there within the layer. Chosen by the errors
# over the domain and over its corners.
_SHORT_SIDE, _LONG_SIDE, _BARRIER, _LAYER = 1.2, 0.2, 0.5, 2.0
_STRIKE_REACH = 0.75  # of the way from the middle of what matters to an end, beyond which the strike is not followed

SHAPE = ("first", "middle", "left1", "left2", "left3", "right1", "right3")
MOTION = ("offset", "shift", "pace", "near", "lift", "towards", "decay")
EQUATION = ("variance", "growth", "speed", "strike", "distance")
COLUMNS = SHAPE + MOTION + EQUATION
FIRST, MIDDLE, LEFT1, LEFT2, LEFT3, RIGHT1, RIGHT3, OFFSET, SHIFT, PACE, NEAR, LIFT, TOWARDS, DECAY = range(len(SHAPE) + len(MOTION))
VARIANCE, GROWTH, SPEED, STRIKE, DISTANCE = range(len(SHAPE) + len(MOTION), len(COLUMNS))


RESTING, AWAY, TOWARDS_BARRIER = 0, 1, 2


def motion(variance: torch.Tensor, growth: torch.Tensor) -> torch.Tensor:
    """How the mesh moves [n]: RESTING, AWAY from the barrier or TOWARDS_BARRIER."""
    drift = growth + 0.5 * variance
    moving = torch.where(drift > 0.0, AWAY, TOWARDS_BARRIER)
    return torch.where(drift.abs() > WEAK * variance.sqrt(), moving, RESTING)


def frame(
    distance: torch.Tensor, strike: torch.Tensor, variance: torch.Tensor, growth: torch.Tensor, waiting: torch.Tensor, *, moving: bool
) -> list[torch.Tensor]:
    """The numbers of COLUMNS, each [n], differentiable in the arguments [n]; points whose mesh moves and those whose does not come apart.

    distance, strike: y of the spot and k; in COLUMNS `distance` is where the solution is read, y or x. Node v is first on the left end, then middle
    - p (left1 + p (left2 + p left3)), p = 1 ... 0, then middle + p (right1 + p^2 right3), p = 0 ... 1. `offset` is y of the first node at t = 0, 0
    if that is the barrier; `shift` what the first node moves by, or D where that is positive; `near` w or l^2; `lift` the constant; `towards` 1
    where D < 0; `speed` the drift in the coordinate that is solved in.
    """
    deviation = variance.sqrt()
    drift = growth + 0.5 * variance
    zero, one = torch.zeros_like(drift), torch.ones_like(drift)
    if not moving:
        aim, last = distance + drift, distance + torch.maximum(drift, zero) + REACH * deviation
        first = torch.maximum(distance + torch.minimum(drift, zero) - REACH * deviation, zero)
        shape = _shape(first, last, aim, strike, deviation, drift / deviation)
        return [*shape, first, zero, one, variance, zero, zero, zero, variance, growth, drift, strike, distance]

    ratio = drift / deviation
    moved = drift * _smooth_step((ratio.abs() - WEAK) / (STRONG - WEAK))
    towards = drift < 0.0
    rest = drift - moved
    ahead, behind = torch.maximum(rest, zero), torch.minimum(rest, zero)
    place = distance + torch.minimum(moved, zero)  # y, or x at t = 1
    offset = torch.maximum(place + behind - REACH * deviation, zero)

    size = torch.where(towards, -moved, one)  # a harmless one where it is not used
    follow = torch.minimum(size, REACH * deviation - torch.minimum(place + behind, zero))
    shift, pace = torch.where(towards, follow, moved), torch.where(towards, size / follow, one)
    near = torch.where(towards, BEHIND * BEHIND * variance, variance)
    lift = 0.5 * ((follow * follow + 4.0 * near).sqrt() - follow)

    first = torch.where(towards, offset - follow, offset)
    last = place + ahead + REACH * deviation
    last = torch.where(towards, torch.maximum(last, REACH * deviation), last)
    aim = torch.maximum(place + rest, first)
    size = torch.where(towards, one, moved)
    height = torch.where(towards, (strike - offset).clamp(min=0.0) + lift, deviation)
    middle = torch.where(towards, offset + height - near / height, _start_of(torch.where(towards, deviation, strike), size, variance))
    shape = _shape(first, last, aim, middle, deviation, torch.where(towards, zero, ratio))
    decay = ((drift * drift + 2.0 * variance * waiting).clamp(min=0.0).sqrt() - drift.abs()) / variance
    motion = [offset, shift, pace, near, lift, towards.double(), decay]
    return [*shape, *motion, variance, growth, torch.where(towards, rest, drift), strike, place]


def _shape(
    first: torch.Tensor, last: torch.Tensor, aim: torch.Tensor, middle: torch.Tensor, deviation: torch.Tensor, ratio: torch.Tensor
) -> list[torch.Tensor]:
    low = torch.maximum(aim - _STRIKE_REACH * REACH * deviation, first + 1e-3 * (last - first))
    middle = torch.minimum(torch.maximum(middle, low), aim + _STRIKE_REACH * (last - aim))
    left, right = middle - first, last - middle
    at_left = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * right / (left + right)
    at_right = _LONG_SIDE + (_SHORT_SIDE - _LONG_SIDE) * left / (left + right)
    layer = deviation / (1.0 + ratio * ratio).sqrt()
    at_barrier = _BARRIER * _LAYER * layer / (_BARRIER * left + _LAYER * layer)
    lefts = [left * at_left, left * (3.0 - 2.0 * at_left - at_barrier), left * (at_left + at_barrier - 2.0)]
    return [first, middle, *lefts, right * at_right, right * (1.0 - at_right)]


def _smooth_step(position: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, a cubic between."""
    position = position.clamp(0.0, 1.0)
    return position * position * (3.0 - 2.0 * position)


def _start_of(end: torch.Tensor, size: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """The v with v + size v^2 / (v^2 + w) = end, 0 where end < 0: bisection, then Newton steps, the last of which carries its derivatives."""
    end = end.clamp(min=0.0)
    with torch.no_grad():
        low, high = torch.zeros_like(end), end
        for _ in range(12):
            v = 0.5 * (low + high)
            below = v + size * v * v / (v * v + variance) < end
            low, high = torch.where(below, v, low), torch.where(below, high, v)
        for _ in range(3):
            v = _newton_step(v, end, size, variance)
    return _newton_step(v, end, size, variance)


def _newton_step(v: torch.Tensor, end: torch.Tensor, size: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    square = v * v + variance
    return v - (v + size * v * v / square - end) / (1.0 + 2.0 * size * v * variance / (square * square))
