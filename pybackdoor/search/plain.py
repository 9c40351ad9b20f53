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


def plain_ascent(climb: Climb, inner: InnerAscent, asker: Asker, config: SearchConfig) -> None:
    """Moves every climber to its best point; `climb.slopes` must hold the oracle's gradients. A step costs 1 + g value calls.

    Step k = 0, 1, ... has the length step_size / (1 + decay k) along the objective's unit gradient, projected on the cube. A climber ends CONVERGED
    (the projected step vanishes), FLAT, STALLED (`patience` steps in a row without a gain of the fraction `tolerance`), ORACLE_FAILED, BUDGET_SPENT
    or STEPS_DONE. A step that leads down on the oracle's tangent plane already is not taken and costs nothing; one that turns out to lead down is
    taken all the same, and the best point so far is what counts.
    """
    unit, surrogate, oracle, slopes = climb.unit.clone(), climb.surrogate.clone(), climb.oracle.clone(), climb.slopes.clone()
    waited = torch.zeros_like(climb.status)
    for k in range(config.iterations):
        rows = climb.live()
        if not rows.numel():
            return
        schedule = AscentSchedule(steps=1, step_size=config.step_size / (1 + config.decay * k), decay=0.0, patience=0)
        ascents = inner.climb(unit[rows], schedule, anchors=unit[rows], offsets=oracle[rows], slopes=slopes[rows])
        stopped = (ascents.steps == 0) & (ascents.status != AscentStatus.STEPS_DONE)
        climb.status[rows[stopped]] = ascents.status[stopped]
        length = torch.linalg.vector_norm(ascents.points - unit[rows], dim=1)
        stays = length <= schedule.step_tolerance  # the step leads down already on the tangent plane: wait for a shorter one
        waited[rows[stays]] += 1
        asking = ~stopped & ~stays
        rows, trial = rows[asking], ascents.points[asking]
        answers = asker.ask(trial, gradient=True)
        assert answers.gradients is not None
        climb.stop(rows[~answers.usable], AscentStatus.ORACLE_FAILED)
        climb.stop(rows[~answers.asked], AscentStatus.BUDGET_SPENT)
        rows, trial, good = rows[answers.usable], trial[answers.usable], answers.usable
        unit[rows], oracle[rows], slopes[rows] = trial, answers.values[good], answers.gradients[good]
        surrogate[rows] = surrogate_values(inner.surrogate, trial)
        before, now = climb.errors[rows].abs(), (surrogate[rows] - oracle[rows]).abs()
        waited[rows] = torch.where(now > before * (1 + config.tolerance), 0, waited[rows] + 1)
        best = now > before
        moved = rows[best]
        climb.move(moved, unit[moved], surrogate[moved], oracle[moved], answers.standard_errors[good][best])
        if config.patience:
            climb.stop((climb.status == LIVE) & (waited >= config.patience), AscentStatus.STALLED)
    climb.stop(climb.status == LIVE, AscentStatus.STEPS_DONE)
