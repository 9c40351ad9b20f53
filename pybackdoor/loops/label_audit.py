"""The audit of the labels: random rows, suspected clusters, rows that stand alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from pybackdoor.defense import (
    FIRST,
    Growth,
    LabelChecks,
    Neighbourhood,
    Screen,
    Tolerances,
    check_outliers,
    grow,
    label_tolerances,
    local_expectation,
    probe,
    screen,
)
from pybackdoor.loops.audit_config import PILOT, AuditConfig
from pybackdoor.ops.philox import permutation
from pybackdoor.oracles import BudgetedOracle
from pybackdoor.records import Samples
from pybackdoor.stages import staged

BASE_RATE = 0.05  # frequency of wrong labels that fall at random, against which a cluster must stand out; raised when more are found
POOR_PREDICTION = 0.125  # of the region's typical label error: a larger deviation asks for a second fit without the rows rejected
SPILL = 1.5  # radii from its center that a region's influence reaches
OUTSIDE = 8  # rows outside the domain that are compared at least


class LabelAudit:
    """The labels of `samples` under the oracle; each method spends calls and adds to what is known. N >= 2 rows."""

    def __init__(self, samples: Samples, oracle: BudgetedOracle, config: AuditConfig, *, progress: bool = False) -> None:
        self.samples, self.oracle, self.config, self.progress = samples, oracle, config, progress
        self.checks = LabelChecks(samples, oracle)
        self.neighbourhood = Neighbourhood(samples.unit)
        self.expectation = local_expectation(self.neighbourhood, k=config.neighbours)
        self.random_rows = permutation(samples.count, seed=config.seed, purpose="audit.random")[: min(config.random_calls, samples.count)]
        self.compared = self.random_rows[:0]  # in their order, whatever other rows were asked: suspected ones would bias the tolerance
        self.random_calls = 0
        self.outside_rows = (~samples.domain.contains(samples.x)).nonzero()[:, 0]
        self.growths: list[Growth] = []
        self.first_confirmation: float | None = None
        self.probes = 0
        self._tolerances: tuple[int, Screen, Tolerances] | None = None
        self.screen: Screen = screen(samples, self.neighbourhood, neighbours=config.neighbours, seed=config.seed, progress=progress)

    @staged("audit.pilot")
    def pilot(self) -> None:
        """The first few random rows: enough for a provisional tolerance."""
        self._check_random(PILOT)

    @staged("audit.random")
    def finish_random(self) -> None:
        """The rest of the random rows."""
        self._check_random(self.random_rows.numel())

    @staged("audit.outside")
    def outside(self) -> None:
        """Some of the rows outside the domain."""
        self.checks.check(self.outside_rows[:OUTSIDE], OUTSIDE)

    def _check_random(self, count: int) -> None:
        self.compared = self.random_rows[:count]
        self.random_calls += self.checks.check(self.compared, count)

    @property
    def spent(self) -> float:
        """Value calls spent on suspicion: all but those set aside for random rows."""
        return self.oracle.value_calls - self.random_calls

    @property
    def tolerances(self) -> Tolerances:
        """The tolerances from the random rows compared so far."""
        if self._tolerances is None or self._tolerances[0] != self.compared.numel() or self._tolerances[1] is not self.screen:
            errors = torch.full_like(self.samples.y, torch.nan)
            errors[self.compared] = self.checks.disagreements[self.compared]
            values = self.samples.y - self.screen.residuals
            config = self.config
            found = label_tolerances(errors, self.samples.y, self.screen.noise, values, label_error=config.label_error, checks=config.budget)
            self._tolerances = (self.compared.numel(), self.screen, found)
        return self._tolerances[2]

    @property
    def wrong(self) -> torch.Tensor:
        """Rows [N] whose labels the oracle rejects, if others near them are rejected too."""
        return self.checks.rejected(self.tolerances.rows)

    @property
    def wrong_alone(self) -> torch.Tensor:
        """Rows [N] whose labels the oracle rejects whatever it says of others."""
        return self.checks.rejected(self.tolerances.alone)

    @property
    def base_rate(self) -> float:
        """Share of wrong labels expected anywhere: what the random rows outside all regions show, at least 5 %."""
        rows = self.compared[~torch.isin(self.compared, self.rejected)]
        known, bad = int(self.checks.known[rows].sum()), int(self.wrong[rows].sum())
        return max(BASE_RATE, (bad + 1) / (known + 2) if bad else BASE_RATE)

    @property
    def rejected(self) -> torch.Tensor:
        """Rows of all regions grown so far."""
        return torch.cat([growth.rejected for growth in self.growths]) if self.growths else torch.zeros(0, dtype=torch.int64)

    @staged("audit.clusters")
    def clusters(self, most: float) -> None:
        """Probes the clusters the screen suspects, worst first, and grows those that are confirmed, with at most `most` calls."""
        start, refuted, seen = self.spent, 0, torch.zeros(0, dtype=torch.int64)
        while refuted < self.config.refuted:
            left = most - (self.spent - start)
            row = self._next_suspect(seen)
            if row is None or left < 1:
                return
            seen = torch.cat([seen, self.neighbourhood.nearest(self.samples.unit[row][None], 2 * self.config.neighbours)[1][0]])
            refuted = 0 if self.suspect(row, left) else refuted + 1

    def suspect(self, row: int, most: float) -> bool:
        """Probes the labels around `row`; a confirmed cluster is grown. Whether it was confirmed.

        What the pilot's tolerance confirms must stand under that of all random rows before anything is spent on its growth.
        """
        self.probes += 1
        start, counted = self.spent, not bool(self.wrong[row])
        if not self._probed(row, most, counted):
            return False
        confirmed_at = self.oracle.value_calls
        if self.compared.numel() < self.random_rows.numel():
            self.finish_random()
            if not self._probed(row, most - (self.spent - start), counted):
                return False
        near = self.neighbourhood.nearest(self.samples.unit[row][None], 2 * FIRST)[1][0]
        bad = near[self.wrong[near]]
        if 2 * int(self.in_region(self.samples.unit[bad]).sum()) > bad.numel():  # the rim of a region grown before
            return False
        if self.first_confirmation is None:
            self.first_confirmation = confirmed_at
        left = most - (self.spent - start)
        tolerance = self.tolerances.rows  # that confirmed it: a second screen changes those of the other rows, not what started here
        growth = grow(row, self.checks, self.neighbourhood, self.screen.residuals, tolerance, most=left / 2)
        typical = float(self.checks.disagreements[growth.confirmed].abs().median())
        self.growths.append(growth)
        poor = growth.deviation > POOR_PREDICTION * typical
        if poor:
            self._rescreen()
        if poor or not growth.settled:
            left = most - (self.spent - start)
            self.growths[-1] = grow(row, self.checks, self.neighbourhood, self.screen.residuals, tolerance, most=left)
        return True

    def _probed(self, row: int, most: float, counted: bool) -> bool:
        return probe(row, self.checks, self.neighbourhood, self.tolerances.rows, base=self.base_rate, most=most, counted=counted)

    def in_region(self, points: torch.Tensor) -> torch.Tensor:
        """Whether points [M, d], unit cube, belong to a region grown so far; the model's error spills over its rim."""
        inside = torch.zeros(points.shape[0], dtype=torch.bool)
        for growth in self.growths:
            inside |= torch.linalg.vector_norm(points - growth.center, dim=1) <= SPILL * growth.radius
        return inside

    @staged("audit.outliers")
    def outliers(self, most: float) -> None:
        """Checks single rows whose residual stands out from their neighbours'."""
        scores = self.screen.outlier_scores.clone()
        scores[self.rejected] = 0.0
        check_outliers(scores, self.screen.residuals, self.checks, self.tolerances.alone, most=most)

    @staged("audit.around_outliers")
    def around_outliers(self, most: float) -> None:
        """Probes around the rejected rows outside all regions, the largest label error first: a cluster the screen was too coarse to see."""
        start, refuted, seen = self.spent, 0, torch.zeros(0, dtype=torch.int64)
        rows = self.wrong.nonzero()[:, 0]
        for row in rows[torch.argsort(self.checks.disagreements[rows].abs(), descending=True, stable=True)].tolist():
            left = most - (self.spent - start)
            if refuted == self.config.refuted or left < 1:
                return
            if row in seen or bool(self.in_region(self.samples.unit[row][None])):
                continue
            seen = torch.cat([seen, self.neighbourhood.nearest(self.samples.unit[row][None], FIRST)[1][0]])
            refuted = 0 if self.suspect(row, left) else refuted + 1

    def _rescreen(self) -> None:
        """Fits the second network again, without the rows rejected so far, to the labels that remain."""
        keep = torch.ones(self.samples.count, dtype=torch.bool)
        keep[self.rejected] = False
        kept = self.samples.rows(keep)
        if kept.count < 2:
            return
        again = screen(kept, Neighbourhood(kept.unit), neighbours=self.config.neighbours, seed=self.config.seed, progress=self.progress)
        residuals = self.samples.y - again.network.values(self.samples.x)
        clusters, outliers = torch.zeros_like(residuals), torch.zeros_like(residuals)
        noise = self.screen.noise.clone()
        clusters[keep], outliers[keep], noise[keep] = again.cluster_scores, again.outlier_scores, again.noise
        self.screen = replace(again, residuals=residuals, cluster_scores=clusters, noise=noise, outlier_scores=outliers)

    def _next_suspect(self, seen: torch.Tensor) -> int | None:
        """The row of the highest cluster score that lies in no region and near no row tried before."""
        scores = self.screen.cluster_scores.clone()
        scores[seen] = 0.0
        scores[self.in_region(self.samples.unit)] = 0.0
        row = int(torch.argmax(scores))
        return row if float(scores[row]) > 0 else None
