"""The trust-region search: climb a model of the oracle, pay one value to try, believe the ratio of what came to what was promised.

Source of the ratio test and the radius rule: A. R. Conn, N. I. M. Gould, P. L. Toint, "Trust-Region Methods" (2000), algorithm 6.1.1; of the rank-one
slope: C. G. Broyden, Mathematics of Computation 19 (1965).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pybackdoor.records import AscentSchedule, AscentStatus
from pybackdoor.search.asking import Answers, Asker
from pybackdoor.search.climb import LIVE, Climb, surrogate_values
from pybackdoor.search.config import SearchConfig
from pybackdoor.search.inner import InnerAscent

_POOR, _GOOD = 0.25, 0.75  # ratios of actual to predicted gain below which the radius shrinks and above which it may grow
_FIRST_STEP, _DECAY = 0.5, 0.2  # the inner ascent's first step in radii, and its decay: the last of 30 steps is 0.07 radii long
_FAILURES = 3  # trials in a row without a usable value after which a climber gives up


@dataclass(frozen=True)
class Trial:
    """What the model promises climbers `rows` [n]: at `unit` [n, d], `step` [n, d] from their anchors, the surrogate's and the model's values [n]."""

    rows: torch.Tensor
    unit: torch.Tensor
    step: torch.Tensor
    surrogate: torch.Tensor
    model: torch.Tensor

    def subset(self, where: torch.Tensor) -> Trial:
        """The climbers that the mask keeps."""
        return Trial(self.rows[where], self.unit[where], self.step[where], self.surrogate[where], self.model[where])


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
        climb.slopes -= torch.where(self.fresh[:, None], inner.pseudo_gradients(climb.unit), 0.0)

    def run(self) -> None:
        """Until every climber has a status: CONVERGED, FLAT, RADIUS_COLLAPSED, ORACLE_FAILED, BUDGET_SPENT, NOT_FINITE or STEPS_DONE."""
        for _ in range(self.config.iterations):
            self.climb.merge(self.config.merging_radius)
            rows = self.climb.live()
            if not rows.numel():
                return
            trial = self._promising(self._trial(rows))
            if trial.rows.numel():
                self._judge(trial)
        self.climb.stop(self.climb.live(), AscentStatus.STEPS_DONE)

    def _trial(self, rows: torch.Tensor) -> Trial:
        """The model's maximizer in each trust ball. Climbers of equal radius share an inner ascent, whose steps are in radii."""
        climb, unit, radii = self.climb, self.climb.unit[rows].clone(), self.radii[rows]
        offsets = climb.oracle[rows] - self.pseudo[rows]
        for radius in torch.unique(radii).tolist():
            group = (radii == radius).nonzero()[:, 0]
            schedule = AscentSchedule(steps=self.config.inner_steps, step_size=_FIRST_STEP * radius, decay=_DECAY, step_tolerance=1e-3 * radius)
            ascents = self.inner.climb(
                unit[group], schedule, anchors=climb.unit[rows[group]], radii=radii[group], offsets=offsets[group], slopes=climb.slopes[rows[group]]
            )
            unit[group] = ascents.points.clamp(0.0, 1.0)
            for status in (AscentStatus.FLAT, AscentStatus.NOT_FINITE):
                climb.stop(rows[group[(ascents.status == status) & (ascents.steps == 0)]], status)
        step = unit - climb.unit[rows]
        model = offsets + self._pseudo(unit) + (climb.slopes[rows] * step).sum(dim=1)
        return Trial(rows, unit, step, surrogate_values(self.inner.surrogate, unit), model)

    def _promising(self, trial: Trial) -> Trial:
        """The trials worth a call; a climber that is promised too little has arrived, or, with a secant slope, looks again with the oracle's."""
        error = self.climb.errors[trial.rows].abs()
        gain = (trial.surrogate - trial.model).abs() - error
        least = torch.maximum(self.config.tolerance * error, self.config.noise * self.climb.standard_errors[trial.rows])
        live = self.climb.status[trial.rows] == LIVE
        arrived = live & (gain <= least)
        again = arrived & ~self.fresh[trial.rows] & (self.config.slopes == "secant")
        self.climb.stop(trial.rows[arrived & ~again], AscentStatus.CONVERGED)
        self._refresh(trial.rows[again])
        self.climb.stop(trial.rows[live & ~torch.isfinite(gain)], AscentStatus.NOT_FINITE)
        return trial.subset(live & (gain > least) & torch.isfinite(gain))

    def _judge(self, trial: Trial) -> None:
        climb, rows, radii = self.climb, trial.rows, self.radii[trial.rows]
        answers = self.asker.ask(trial.unit, gradient=self._gradient_at_once())
        old, new = climb.errors[rows], trial.surrogate - answers.values
        noise = self.config.noise * torch.hypot(climb.standard_errors[rows], answers.standard_errors)
        better = answers.usable & (new.abs() - old.abs() > noise)
        ratio = torch.where(better, (new**2 - old**2) / ((trial.surrogate - trial.model) ** 2 - old**2), 0.0)
        self.poor[rows] = torch.where(ratio < _POOR, self.poor[rows] + 1, 0)
        self.failed[rows] = torch.where(answers.usable, 0, self.failed[rows] + 1)
        self.tried += int(answers.asked.sum())
        self.accepted += int(better.sum())
        length = torch.linalg.vector_norm(trial.step, dim=1)
        shrunk = torch.where(better, 0.5, 0.25) * torch.minimum(radii, 2 * length)
        grown = torch.where(length > 0.8 * radii, 2 * radii, radii).clamp(max=self.config.largest_radius)
        stale = answers.usable & ~self.fresh[rows] & (self.poor[rows] >= self.patience) & (self.config.slopes == "secant")
        radii = torch.where(ratio > _GOOD, grown, torch.where((ratio >= _POOR) | stale, radii, shrunk))
        self.radii[rows] = 2.0 ** torch.round(torch.log2(radii))  # powers of two: few groups
        self._move(trial, answers, better, stale)
        live = climb.status[rows] == LIVE
        climb.stop(rows[live & (self.radii[rows] < self.config.smallest_radius)], AscentStatus.RADIUS_COLLAPSED)
        climb.stop(rows[live & (self.failed[rows] >= _FAILURES)], AscentStatus.ORACLE_FAILED)
        climb.stop(rows[live & ~answers.asked], AscentStatus.BUDGET_SPENT)

    def _move(self, trial: Trial, answers: Answers, better: torch.Tensor, stale: torch.Tensor) -> None:
        """Moves the climbers that gained, and brings the slopes up to date."""
        climb, rows, gained = self.climb, trial.rows, trial.rows[better]
        climb.move(gained, trial.unit[better], trial.surrogate[better], answers.values[better], answers.standard_errors[better])
        self.pseudo[gained] = self._pseudo(trial.unit[better])
        self.fresh[gained] = False
        if self.config.slopes == "secant":
            miss = torch.where(answers.usable, answers.values - trial.model, 0.0)
            climb.slopes[rows] += miss[:, None] * trial.step / (trial.step**2).sum(dim=1, keepdim=True)
            self._refresh(rows[stale])
        elif self.config.slopes == "oracle" and answers.gradients is not None:
            self._take(gained, answers.gradients[better])
        elif self.config.slopes == "oracle":
            self._refresh(gained)

    def _refresh(self, rows: torch.Tensor) -> None:
        """Asks for the oracle's gradient at the anchors."""
        if not rows.numel():
            return
        answers = self.asker.ask(self.climb.unit[rows], gradient=True)
        assert answers.gradients is not None
        self.climb.stop(rows[~answers.usable], AscentStatus.ORACLE_FAILED)
        self.climb.stop(rows[~answers.asked], AscentStatus.BUDGET_SPENT)
        self._take(rows[answers.usable], answers.gradients[answers.usable])

    def _take(self, rows: torch.Tensor, gradients: torch.Tensor) -> None:
        self.climb.slopes[rows] = gradients - self.inner.pseudo_gradients(self.climb.unit[rows])
        self.fresh[rows] = True
        self.poor[rows] = 0

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
