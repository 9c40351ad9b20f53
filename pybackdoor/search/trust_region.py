"""The trust-region search: climb a model of the oracle, pay one value to try, believe the ratio of what came to what was promised.

Source of the ratio test and the radius rule: A. R. Conn, N. I. M. Gould, P. L. Toint, "Trust-Region Methods" (2000), algorithm 6.1.1; of the rank-one
slope: C. G. Broyden, Mathematics of Computation 19 (1965).

An iteration waits for the device twice at most, whatever the number of climbers: before the trials are asked about, because the oracle must know how
many there are; and before slopes are asked for anew and the next trials are shaped. All else is masks over climbers that stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pybackdoor.records import AscentSchedule, AscentStatus
from pybackdoor.search.asking import Answers, Asker
from pybackdoor.search.climb import LIVE, MERGED, Climb, surrogate_values
from pybackdoor.search.config import SearchConfig
from pybackdoor.search.inner import InnerAscent
from pybackdoor.search.waiting import chosen, fetch

_POOR, _GOOD = 0.25, 0.75  # ratios of actual to predicted gain below which the radius shrinks and above which it may grow
_FIRST_STEP, _DECAY = 0.5, 0.2  # the inner ascent's first step in radii, and its decay: the last of 30 steps is 0.07 radii long
_FAILURES = 3  # trials in a row without a usable value after which a climber gives up


@dataclass(frozen=True)
class Front:
    """Climbers `rows` [n] that may be live, the largest error first, and their positions grouped by radius: (radius, [m]) each."""

    rows: torch.Tensor
    groups: tuple[tuple[float, torch.Tensor], ...]


@dataclass(frozen=True)
class Trial:
    """What the model promises climbers `rows` [n]: at `unit` [n, d], `step` [n, d] from their anchors, the values [n] of all concerned."""

    rows: torch.Tensor
    unit: torch.Tensor
    step: torch.Tensor
    surrogate: torch.Tensor
    model: torch.Tensor
    pseudo: torch.Tensor

    def subset(self, where: torch.Tensor) -> Trial:
        """The climbers at these positions."""
        parts = (self.unit, self.step, self.surrogate, self.model, self.pseudo)
        return Trial(self.rows[where], *(part[where] for part in parts))


@dataclass(frozen=True)
class Outcome:
    """What a trial has led to: for each of its climbers, whether a slope is to be asked for anew, and the status it ends with (LIVE: it goes on)."""

    rows: torch.Tensor
    stale: torch.Tensor
    ending: torch.Tensor


class TrustRegion:
    """Climbers with a trust ball each. The model of the oracle is R = z + slope . (u - anchor), plus P(u) - P(anchor) with a pseudo-oracle P.

    slopes "oracle": the oracle's gradient at every anchor. "secant": rank-one updates from the values of the trials, and the oracle's gradient when
    the trials go badly, or the climber seems to have arrived, with a slope that is not the oracle's own. "none": the slope stays 0.
    """

    def __init__(self, climb: Climb, inner: InnerAscent, asker: Asker, config: SearchConfig) -> None:
        self.climb, self.inner, self.asker, self.config = climb, inner, asker, config
        self.radii = torch.full_like(climb.oracle, config.radius)
        self.pseudo = self._pseudo(climb.unit)  # P at the anchors
        self.fresh = torch.full_like(climb.status, needs_gradients(config, inner), dtype=torch.bool)  # the slope is the oracle's own
        self.poor, self.failed = torch.zeros_like(climb.status), torch.zeros_like(climb.status)  # trials in a row
        self.patience = 1 if inner.pseudo_oracle is None else 2  # a pseudo-oracle's shape is worth a second, shorter trial before a gradient is paid
        self.tried = self.accepted = 0
        self.counts = torch.zeros(2, dtype=torch.int64, device=climb.unit.device)  # the same two, where they are counted
        climb.slopes -= torch.where(self.fresh[:, None], inner.pseudo_gradients(climb.unit), 0.0)

    def run(self) -> None:
        """Until every climber has a status: CONVERGED, FLAT, RADIUS_COLLAPSED, ORACLE_FAILED, BUDGET_SPENT, NOT_FINITE or STEPS_DONE."""
        front = self._front(self.climb.everyone, None)
        for left in reversed(range(self.config.iterations)):
            if not front.rows.numel():
                return
            trial = self._promising(self._trial(front))
            outcome = self._judge(trial) if trial.rows.numel() else None
            if left:
                front = self._front(front.rows, outcome)
            elif outcome is not None:
                self._settle(outcome, int(fetch(outcome.stale.sum())[0][0]))
        self.climb.stop(self.climb.everyone, self.climb.status == LIVE, AscentStatus.STEPS_DONE)

    def _front(self, rows: torch.Tensor, outcome: Outcome | None) -> Front:
        """Settles the outcome of a trial, merges climbers that have met, and says who of `rows` climbs on, all by one look at the device.

        Who climbs on is found as if no slope that is asked for now failed; a climber whose slope does fail is in the front without being live.
        """
        status, stale = self.climb.status, self.counts[:0].sum()
        if outcome is not None:
            status, stale = status.clone(), outcome.stale.sum()
            status[outcome.rows] = outcome.ending
        live = (status[rows] == LIVE) & ~self.climb.merged(rows, status, self.config.merging_radius)
        ordered, live = self.climb.largest_first(rows, live)
        radii = torch.where(live, self.radii[ordered], torch.inf)
        by_radius = torch.argsort(radii, stable=True)
        seen, counted, wanted = fetch(radii[by_radius], self.counts, stale)
        self.tried, self.accepted = (int(number) for number in counted)
        if outcome is not None:
            self._settle(outcome, int(wanted[0]))
        self.climb.stop(rows, self.climb.merged(rows, self.climb.status, self.config.merging_radius), MERGED)
        values, sizes = np.unique(seen[np.isfinite(seen)], return_counts=True)
        count = int(sizes.sum())
        return Front(ordered[:count], tuple(zip(values.tolist(), by_radius[:count].split(sizes.tolist()), strict=True)))

    def _settle(self, outcome: Outcome, stale: int) -> None:
        """Asks for the slopes that the trial has spoilt, then ends the climbers that it has ended."""
        self._refresh(outcome.rows[chosen(outcome.stale, stale)])
        ending = (self.climb.status[outcome.rows] == LIVE) & (outcome.ending != LIVE)
        self.climb.status[outcome.rows] = torch.where(ending, outcome.ending, self.climb.status[outcome.rows])

    def _trial(self, front: Front) -> Trial:
        """The model's maximizer in each trust ball. Climbers of equal radius share an inner ascent, whose steps are in radii."""
        climb, rows = self.climb, front.rows
        unit, radii = climb.unit[rows].clone(), self.radii[rows]
        offsets = climb.oracle[rows] - self.pseudo[rows]
        for radius, group in front.groups:
            schedule = AscentSchedule(steps=self.config.inner_steps, step_size=_FIRST_STEP * radius, decay=_DECAY, step_tolerance=1e-3 * radius)
            members = rows[group]
            ascents = self.inner.climb(
                unit[group], schedule, anchors=climb.unit[members], radii=radii[group], offsets=offsets[group], slopes=climb.slopes[members]
            )
            unit[group] = ascents.points.clamp(0.0, 1.0)
            at_once = (ascents.steps == 0) & (climb.status[members] == LIVE)
            for status in (AscentStatus.FLAT, AscentStatus.NOT_FINITE):
                climb.stop(members, at_once & (ascents.status == status), status)
        step, pseudo = unit - climb.unit[rows], self._pseudo(unit)
        model = offsets + pseudo + (climb.slopes[rows] * step).sum(dim=1)
        return Trial(rows, unit, step, surrogate_values(self.inner.surrogate, unit), model, pseudo)

    def _promising(self, trial: Trial) -> Trial:
        """The trials worth a call; a climber that is promised too little has arrived, or, with a secant slope, looks again with the oracle's."""
        error = self.climb.errors[trial.rows].abs()
        gain = (trial.surrogate - trial.model).abs() - error
        least = torch.maximum(self.config.tolerance * error, self.config.noise * self.climb.standard_errors[trial.rows])
        live = self.climb.status[trial.rows] == LIVE
        arrived = live & (gain <= least)
        again = arrived & ~self.fresh[trial.rows] & (self.config.slopes == "secant")
        promising = live & (gain > least) & torch.isfinite(gain)
        looks, trials = (int(number[0]) for number in fetch(again.sum(), promising.sum()))
        self.climb.stop(trial.rows, arrived & ~again, AscentStatus.CONVERGED)
        self._refresh(trial.rows[chosen(again, looks)])
        self.climb.stop(trial.rows, live & ~torch.isfinite(gain), AscentStatus.NOT_FINITE)
        return trial.subset(chosen(promising, trials))

    def _judge(self, trial: Trial) -> Outcome:
        climb, rows, radii = self.climb, trial.rows, self.radii[trial.rows]
        answers = self.asker.ask(trial.unit, gradient=self._gradient_at_once())
        old, new = climb.errors[rows], trial.surrogate - answers.values
        noise = self.config.noise * torch.hypot(climb.standard_errors[rows], answers.standard_errors)
        better = answers.usable & (new.abs() - old.abs() > noise)
        ratio = torch.where(better, (new**2 - old**2) / ((trial.surrogate - trial.model) ** 2 - old**2), 0.0)
        self.poor[rows] = torch.where(ratio < _POOR, self.poor[rows] + 1, 0)
        self.failed[rows] = torch.where(answers.usable, 0, self.failed[rows] + 1)
        self.counts = self.counts + torch.stack([answers.asked.sum(), better.sum()])
        length = torch.linalg.vector_norm(trial.step, dim=1)
        shrunk = torch.where(better, 0.5, 0.25) * torch.minimum(radii, 2 * length)
        grown = torch.where(length > 0.8 * radii, 2 * radii, radii).clamp(max=self.config.largest_radius)
        stale = answers.usable & ~self.fresh[rows] & (self.poor[rows] >= self.patience) & (self.config.slopes == "secant")
        radii = torch.where(ratio > _GOOD, grown, torch.where((ratio >= _POOR) | stale, radii, shrunk))
        self.radii[rows] = 2.0 ** torch.round(torch.log2(radii))  # powers of two: few groups
        stale = self._move(trial, answers, better, stale)
        ending = torch.full_like(rows, LIVE)
        for status, where in (
            (AscentStatus.RADIUS_COLLAPSED, self.radii[rows] < self.config.smallest_radius),
            (AscentStatus.ORACLE_FAILED, self.failed[rows] >= _FAILURES),
            (AscentStatus.BUDGET_SPENT, ~answers.asked),
        ):
            ending = torch.where(where, int(status), ending)
        return Outcome(rows, stale, ending)

    def _move(self, trial: Trial, answers: Answers, better: torch.Tensor, stale: torch.Tensor) -> torch.Tensor:
        """Moves the climbers that gained and corrects slopes by what is known; returns whose slope is to be asked for."""
        climb, rows = self.climb, trial.rows
        climb.move(rows, better, trial.unit, trial.surrogate, answers.values, answers.standard_errors)
        self.pseudo[rows] = torch.where(better, trial.pseudo, self.pseudo[rows])
        self.fresh[rows] = self.fresh[rows] & ~better
        if self.config.slopes == "secant":
            miss = torch.where(answers.usable, answers.values - trial.model, 0.0)
            climb.slopes[rows] += miss[:, None] * trial.step / (trial.step**2).sum(dim=1, keepdim=True)
            return stale
        if self.config.slopes == "oracle" and answers.gradients is not None:
            self._take(rows, better, answers.gradients)
            return torch.zeros_like(better)
        return better if self.config.slopes == "oracle" else torch.zeros_like(better)

    def _refresh(self, rows: torch.Tensor) -> None:
        """Asks for the oracle's gradient at the anchors."""
        if not rows.numel():
            return
        answers = self.asker.ask(self.climb.unit[rows], gradient=True)
        assert answers.gradients is not None
        self.climb.stop(rows, ~answers.usable, AscentStatus.ORACLE_FAILED)
        self.climb.stop(rows, ~answers.asked, AscentStatus.BUDGET_SPENT)
        self._take(rows, answers.usable, answers.gradients)

    def _take(self, rows: torch.Tensor, where: torch.Tensor, gradients: torch.Tensor) -> None:
        slopes = gradients - self.inner.pseudo_gradients(self.climb.unit[rows])
        self.climb.slopes[rows] = torch.where(where[:, None], slopes, self.climb.slopes[rows])
        self.fresh[rows] = self.fresh[rows] | where
        self.poor[rows] = torch.where(where, 0, self.poor[rows])

    def _gradient_at_once(self) -> bool:
        """Whether value and gradient at every trial cost less than a value, and both again on acceptance, at the rate seen so far."""
        cost, rate = self.asker.oracle.gradient_cost, (self.accepted + 1) / (self.tried + 2)
        return self.config.slopes == "oracle" and cost < rate * (1 + cost)

    def _pseudo(self, unit: torch.Tensor) -> torch.Tensor:
        pseudo = self.inner.pseudo_oracle
        return torch.zeros_like(unit[:, 0]) if pseudo is None else surrogate_values(pseudo, unit)


def needs_gradients(config: SearchConfig, inner: InnerAscent) -> bool:
    """Whether the climbers start with the oracle's gradient."""
    return config.slopes == "oracle" or (config.slopes == "secant" and inner.pseudo_oracle is None)
