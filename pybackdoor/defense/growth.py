"""From one row whose neighbours' labels are wrong to the whole region: which rows are wrong, at a fraction of a call each.

The oracle's answers at the rows checked so far correct the screen's robust network locally, and predict the oracle at the rows not checked
(`defense.prediction`). Rows that this prediction clearly contradicts are rejected; the doubtful ones are checked first, then a few of those held for
wrong and a few of those held for right, so that the calls go to the region's rim and to the prediction's weak spots. The region grows only
by rows that the oracle itself rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.stats import binom

from pybackdoor.defense.labels import LabelChecks
from pybackdoor.defense.prediction import FAINT, Prediction, predict
from pybackdoor.defense.proximity import Neighbourhood

FIRST = 5  # nearest rows checked before anything is decided
CONFIRMED = 3  # fewest wrong labels side by side
SIGNIFICANCE = 1e-3
LEAST_SHARE = 0.25  # of wrong labels among a cluster's rows: an attacker's own, and the right rows among them
BATCH = 16
QUIET = 2  # batches in a row without a surprise after which the region is settled
REACH = 1.5  # rows this many radii from the center are looked at
RIM = 1.1  # rows this many radii from the center may be rejected without a check
LEAST_REACH = 40  # rows looked at, however small the region is so far


@dataclass(frozen=True)
class Growth:
    """A region of wrong labels: `center` [d] and `radius` (unit cube), the rows rejected by the oracle itself (`confirmed`) and those by its local
    prediction (`inferred`), the rows checked, and the deviation of that prediction (target units). `limit`: no row of the region is allowed a larger
    tolerance than this or the overall one, however noisy its surroundings; `settled`: whether it was grown to its end, not to the end of the calls.
    """

    center: torch.Tensor
    radius: float
    checked: torch.Tensor
    confirmed: torch.Tensor
    inferred: torch.Tensor
    deviation: float
    limit: float
    settled: bool

    @property
    def rejected(self) -> torch.Tensor:
        """All rows of the region whose labels the audit rejects, ascending."""
        return torch.cat([self.confirmed, self.inferred]).sort().values


def is_cluster(bad: int, checked: int, base: float) -> bool:
    """Whether `bad` wrong labels of `checked` neighbouring rows are too many for wrong labels that fall at random with frequency `base`."""
    return bad >= CONFIRMED and float(binom.sf(bad - 1, checked, base)) < SIGNIFICANCE


def is_refuted(bad: int, drawn: int) -> bool:
    """Whether `bad` wrong labels of `drawn` rows of a place, drawn at random, are too few for a cluster, a quarter of whose rows is wrong."""
    return float(binom.cdf(bad, drawn, LEAST_SHARE)) < SIGNIFICANCE


def is_one_sided(errors: torch.Tensor) -> bool:
    """Whether label errors [n] lie on one side of the truth more often than noise would have them, which falls on both alike."""
    above = int((errors > 0).sum())
    return 2.0 * float(binom.cdf(min(above, errors.numel() - above), errors.numel(), 0.5)) < SIGNIFICANCE


def probe(
    start: int,
    checks: LabelChecks,
    neighbourhood: Neighbourhood,
    tolerance: torch.Tensor,
    *,
    base: float,
    most: float,
    counted: bool,
) -> bool:
    """Checks the rows nearest to row `start` one after another; whether they confirm a cluster of wrong labels.

    counted: whether `start` counts; one already known to be wrong was chosen for that and does not. Gives up once at least three rows, three quarters
    of those seen, are right; right rows among wrong ones are what an attacker who adds rows leaves. Asks at most `most` calls.
    """
    _, rows = neighbourhood.nearest(checks.samples.unit[start][None], 2 * FIRST)
    seen = rows[0] if counted else rows[0][rows[0] != start]
    for used, row in enumerate(seen, start=1):
        spent = checks.check(row[None], most)
        most -= spent
        known, bad = checks.known[seen[:used]], checks.rejected(tolerance)[seen[:used]]
        good = int(known.sum()) - int(bad.sum())
        if is_cluster(int(bad.sum()), int(known.sum()), base):
            return True
        if good >= CONFIRMED and int(bad.sum()) <= LEAST_SHARE * int(known.sum()):
            return False
    return False


def grow(start: int, checks: LabelChecks, neighbourhood: Neighbourhood, residuals: torch.Tensor, tolerance: torch.Tensor, *, most: float) -> Growth:
    """The region of wrong labels around row `start`, confirmed before by `probe`, with at most `most` further calls.

    residuals [N]: label - robust network. Stops when no row within reach is doubtful and two batches of checks brought no surprise, or the calls
    are spent.
    """
    unit = checks.samples.unit
    seeds = neighbourhood.nearest(unit[start][None], 2 * FIRST)[1][0]
    bad = seeds[checks.rejected(tolerance)[seeds]]
    center, radius = _ball(unit, bad)
    limit = FAINT * float(checks.disagreements[bad].abs().median())
    tolerance = capped(tolerance, limit)
    quiet, settled = 0, False
    while not settled and (most >= 1 or not quiet):
        reach = _reach(neighbourhood, center, radius)
        prediction = predict(checks, residuals, reach, center, radius, tolerance)
        chosen = _next_rows(unit, checks, reach, prediction)
        spent = checks.check(chosen, most)
        most -= spent
        verdicts = checks.rejected(tolerance)[reach]
        position = torch.isin(reach, chosen) & checks.known[reach]
        surprises = int((verdicts[position] != prediction.wrong[position]).sum())
        moved = _ball(unit, reach[verdicts])
        surprised = surprises > 0 or (spent > 0 and moved[1] > 1.02 * radius)
        center, radius = moved
        quiet = 0 if surprised else quiet + 1
        settled = quiet >= QUIET and (chosen.numel() == 0 or not bool(prediction.doubtful.any()))
    growth = _summary(checks, neighbourhood, residuals, tolerance, center, radius)
    return replace(growth, limit=limit, settled=settled)


def capped(tolerance: torch.Tensor, limit: float) -> torch.Tensor:
    """Row tolerances [N] cut at `limit`, but not below the smallest, the overall one: beside a region's typical label error a noisy
    neighbourhood is no excuse.
    """
    return torch.clamp(tolerance, max=max(limit, float(tolerance.min())))


def join(unit: torch.Tensor, first: Growth, second: Growth) -> Growth:
    """Two growths of one region [N, d] as one."""
    rows = {name: torch.cat([getattr(first, name), getattr(second, name)]).unique() for name in ("checked", "confirmed", "inferred")}
    center, radius = _ball(unit, torch.cat([rows["confirmed"], rows["inferred"]]))
    return Growth(
        center,
        radius,
        **rows,
        deviation=max(first.deviation, second.deviation),
        limit=min(first.limit, second.limit),
        settled=first.settled and second.settled,
    )


def _reach(neighbourhood: Neighbourhood, center: torch.Tensor, radius: float) -> torch.Tensor:
    """The rows to look at, nearest first."""
    distances, _ = neighbourhood.nearest(center[None], LEAST_REACH)
    return neighbourhood.within(center, max(REACH * radius, float(distances[0, -1])))


def _next_rows(unit: torch.Tensor, checks: LabelChecks, reach: torch.Tensor, prediction: Prediction) -> torch.Tensor:
    """A batch of rows to check: half of it doubtful ones, the rest spread over those held for wrong and for right."""
    unknown = ~checks.asked[reach]
    doubtful = _spread(unit, reach[unknown & prediction.doubtful], BATCH // 2)
    share = (BATCH - doubtful.numel()) // 2
    wrong = _spread(unit, reach[unknown & prediction.wrong & ~prediction.doubtful], share)
    right = _spread(unit, reach[unknown & ~prediction.wrong & ~prediction.doubtful], share)
    return torch.cat([doubtful, wrong, right])


def _summary(
    checks: LabelChecks, neighbourhood: Neighbourhood, residuals: torch.Tensor, tolerance: torch.Tensor, center: torch.Tensor, radius: float
) -> Growth:
    unit = checks.samples.unit
    reach = _reach(neighbourhood, center, radius)
    prediction = predict(checks, residuals, reach, center, radius, tolerance)
    confirmed = reach[checks.rejected(tolerance)[reach]]
    inside = torch.linalg.vector_norm(unit[reach] - center, dim=1) <= RIM * radius
    inferred = reach[~checks.known[reach] & prediction.wrong & inside]
    center, radius = _ball(unit, torch.cat([confirmed, inferred]))
    return Growth(
        center, radius, reach[checks.asked[reach]].sort().values, confirmed.sort().values, inferred.sort().values, prediction.deviation, 0.0, False
    )


def _ball(unit: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    """A ball around `rows`, at least one: their mean, and the distance within which all but the farthest twentieth lie."""
    center = unit[rows].mean(dim=0)
    distances = torch.linalg.vector_norm(unit[rows] - center, dim=1)
    return center, max(float(torch.quantile(distances, 0.95)), 1e-6)


def _spread(unit: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """Up to `count` of `rows`, each the farthest from those chosen before; the first is the nearest to the region's center."""
    if rows.numel() <= count:
        return rows
    chosen = [0]
    distances = torch.linalg.vector_norm(unit[rows] - unit[rows[0]], dim=1)
    while len(chosen) < count:
        chosen.append(int(torch.argmax(distances)))
        distances = torch.minimum(distances, torch.linalg.vector_norm(unit[rows] - unit[rows[chosen[-1]]], dim=1))
    return rows[torch.tensor(chosen[:count])]
