"""What must hold of a row for an oracle to have an answer there: positive volatilities, correlations within one, and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

Row = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Condition:
    """What must hold of a row: `holds` takes {feature: values [N]} and answers [N], bool; `feature` and `needed` go into the message.

    interval: whether it asks for this feature alone to lie in an interval, so that it holds of all rows when it holds at both ends of their range.
    """

    feature: str
    needed: str
    holds: Callable[[Row], torch.Tensor]
    interval: bool = False


def positive(*features: str) -> tuple[Condition, ...]:
    """Each feature > 0."""
    return tuple(Condition(name, "a positive number", partial(_above_zero, name), interval=True) for name in features)


def nonnegative(*features: str) -> tuple[Condition, ...]:
    """Each feature >= 0."""
    return tuple(Condition(name, "a number >= 0", partial(_not_below_zero, name), interval=True) for name in features)


def correlation(*features: str) -> tuple[Condition, ...]:
    """Each feature strictly between -1 and 1."""
    return tuple(Condition(name, "a correlation strictly between -1 and 1", partial(_within_one, name), interval=True) for name in features)


def _above_zero(name: str, row: Row) -> torch.Tensor:
    return row[name] > 0


def _not_below_zero(name: str, row: Row) -> torch.Tensor:
    return row[name] >= 0


def _within_one(name: str, row: Row) -> torch.Tensor:
    return row[name].abs() < 1
