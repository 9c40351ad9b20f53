"""The paper's search: gradient ascent on (Y - Z)^2 with the oracle's value and gradient at every step.

Source: X. Li, G. Kesidis, D. J. Miller, V. Lucic, "Backdoor Attack and Defense for Deep Regression", arXiv 2109.02381 (2021).
"""

from __future__ import annotations

import torch

from pybackdoor.records import AscentSchedule, AscentStatus
from pybackdoor.search.asking import Asker
from pybackdoor.search.climb import LIVE, Climb, surrogate_values
from pybackdoor.search.config import SearchConfig
from pybackdoor.search.inner import InnerAscent
from pybackdoor.search.waiting import chosen, fetch


def plain_ascent(climb: Climb, inner: InnerAscent, asker: Asker, config: SearchConfig) -> None:
    """Moves every climber to its best point; `climb.slopes` must hold the oracle's gradients. A step costs 1 + g value calls.

    Step k = 0, 1, ... has the length step_size / (1 + decay k) along the objective's unit gradient, projected on the cube. A climber ends CONVERGED
    (the projected step vanishes), FLAT, STALLED (`patience` steps in a row without a gain of the fraction `tolerance`), ORACLE_FAILED, BUDGET_SPENT
    or STEPS_DONE. A step that leads down on the oracle's tangent plane already is not taken and costs nothing; one that turns out to lead down is
    taken all the same, and the best point so far is what counts.
    """
    unit, surrogate, oracle, slopes = climb.unit.clone(), climb.surrogate.clone(), climb.oracle.clone(), climb.slopes.clone()
    waited = torch.zeros_like(climb.status)
    rows = climb.everyone
    for k in range(config.iterations):
        schedule = AscentSchedule(steps=1, step_size=config.step_size / (1 + config.decay * k), decay=0.0, patience=0)
        rows, live = climb.largest_first(rows, climb.status[rows] == LIVE)
        ascents = inner.climb(unit[rows], schedule, anchors=unit[rows], offsets=oracle[rows], slopes=slopes[rows])
        stopped = live & (ascents.steps == 0) & (ascents.status != AscentStatus.STEPS_DONE)
        length = torch.linalg.vector_norm(ascents.points - unit[rows], dim=1)
        stays = length <= schedule.step_tolerance  # the step leads down already on the tangent plane: wait for a shorter one
        asking = live & ~stopped & ~stays
        questions, alive = (int(number[0]) for number in fetch(asking.sum(), live.sum()))  # the step's one look at the device
        if not alive:
            return
        climb.status[rows] = torch.where(stopped, ascents.status, climb.status[rows])
        waited[rows] += (live & stays).to(waited.dtype)
        where = chosen(asking, questions)
        _try(rows[where], ascents.points[where], (unit, surrogate, oracle, slopes, waited), climb, inner, asker, config)
        rows = rows[:alive]
        if config.patience:
            climb.stop(climb.everyone, (climb.status == LIVE) & (waited >= config.patience), AscentStatus.STALLED)
    climb.stop(climb.everyone, climb.status == LIVE, AscentStatus.STEPS_DONE)


def _try(
    rows: torch.Tensor,
    trial: torch.Tensor,
    path: tuple[torch.Tensor, ...],
    climb: Climb,
    inner: InnerAscent,
    asker: Asker,
    config: SearchConfig,
) -> None:
    """Asks about the trial points [n, d] of the climbers `rows`; `path` is where each stands, which need not be its best point so far."""
    unit, surrogate, oracle, slopes, waited = path
    answers = asker.ask(trial, gradient=True)
    assert answers.gradients is not None
    usable = answers.usable
    climb.stop(rows, ~usable, AscentStatus.ORACLE_FAILED)
    climb.stop(rows, ~answers.asked, AscentStatus.BUDGET_SPENT)
    values = surrogate_values(inner.surrogate, trial)
    for standing, found in ((unit, trial), (surrogate, values), (oracle, answers.values), (slopes, answers.gradients)):
        standing[rows] = torch.where(usable.reshape(-1, *[1] * (found.ndim - 1)), found, standing[rows])
    before, now = climb.errors[rows].abs(), (surrogate[rows] - oracle[rows]).abs()
    gained = torch.where(now > before * (1 + config.tolerance), 0, waited[rows] + 1)
    waited[rows] = torch.where(usable, gained, waited[rows])
    climb.move(rows, usable & (now > before), unit[rows], surrogate[rows], oracle[rows], answers.standard_errors)
